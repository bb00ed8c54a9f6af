import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import timm
import torch
import transformers
from PIL import Image

from histo_ray.encoders.base import encode_fixed
from histo_ray.encoders.network_ends import fit_tiles, pool_features
from histo_ray.encoders.registry import list_encoders, resolve
from histo_ray.encoders.timm_network import create_network
from histo_ray.encoders.torch_encoder import TorchEncoder, load_encoder
from histo_ray.encoders.transformers_network import TransformersNetwork
from histo_ray.errors import ConfigError

Load = Callable[[str], TorchEncoder]
MakeTiles = Callable[..., npt.NDArray[np.uint8]]
Cosine = Callable[..., npt.NDArray[np.float64]]

CONV = "random:resnet10t?px=64"
DEPTHWISE = "random:mobilenetv2_100?px=64"
VIT = "random:vit_tiny_patch16_224?px=64&img_size=64"
SMALL = [CONV, DEPTHWISE, VIT]


@pytest.mark.parametrize("request_text", SMALL)
def test_a_vector_depends_on_its_tile_alone(
    load: Load, tiles: MakeTiles, request_text: str
) -> None:
    encoder = load(request_text)
    pixels = tiles(21, 64)
    vectors = encode_fixed(encoder, pixels, 8)
    order = np.random.default_rng(3).permutation(21)
    assert np.array_equal(encode_fixed(encoder, pixels[order], 8), vectors[order])
    strangers = tiles(10, 64, seed=9)
    mixed = np.concatenate([strangers[:3], pixels[:2], strangers[3:], pixels[20:]])
    found = encode_fixed(encoder, mixed, 8)
    assert np.array_equal(found[3:5], vectors[:2])
    assert np.array_equal(found[-1], vectors[20])
    assert len(np.unique(vectors, axis=0)) == 21


@pytest.mark.parametrize("request_text", [*SMALL, "random:legacy_xception?px=75"])
def test_vectors_are_those_of_the_plain_network(
    load: Load, tiles: MakeTiles, cosine: Cosine, request_text: str
) -> None:
    encoder = load(request_text)
    spec = encoder.spec
    kwargs: dict[str, Any] = dict(spec.timm_kwargs)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        plain = timm.create_model(spec.architecture, num_classes=0, **kwargs).eval()
    pixels = tiles(4, spec.input_px)
    mean, std = (np.array(v, np.float32) for v in (spec.mean, spec.std))
    values = ((pixels.astype(np.float32) / 255 - mean) / std).transpose(0, 3, 1, 2)
    with torch.inference_mode():
        expected = plain(torch.from_numpy(np.ascontiguousarray(values))).numpy()
    vectors = encoder.encode(pixels)
    assert vectors.dtype == np.float32
    assert vectors.shape == (4, encoder.dim)
    assert cosine(vectors, expected).min() >= 0.9999
    np.testing.assert_allclose(vectors, expected, atol=2e-4 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("shape", "kind", "told"),
    [
        ((64, 48, 3), "uint8", r"\(64, 48, 3\).*one tile is tile\[np\.newaxis\]"),
        ((2, 3, 64, 48), "uint8", r"channels come last: tiles\.transpose\(0, 2, 3, 1\)"),
        ((2, 64, 48, 4), "uint8", r"\(2, 64, 48, 4\) and the type uint8; give uint8 RGB"),
        ((2, 64, 48, 3), "float32", r"the type float32; give uint8 RGB values of 0 to 255"),
        ((2, 64, 48, 3), "int64", "the type int64"),
        ((), "uint8", "tiles have the shape"),
    ],
)
def test_tiles_of_another_shape_or_type_are_refused(
    load: Load, shape: tuple[int, ...], kind: str, told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        load(CONV).encode(np.zeros(shape, kind))


def test_tiles_that_are_no_array_are_refused(load: Load) -> None:
    with pytest.raises(ConfigError, match="tiles are no array"):
        load(CONV).encode([[1, 2], [3]])  # type: ignore[arg-type]


def make_of_transformers(name: str) -> Any:
    """The network of an entry by its architecture: DINOv2's ViT-L or ViT-g, CLIP's ViT-B/32."""
    if name == "plip":
        clip = transformers.CLIPVisionConfig()  # ViT-B/32
        return TransformersNetwork(transformers.CLIPVisionModelWithProjection(clip))
    giant = name == "midnight"
    config = transformers.Dinov2Config(
        hidden_size=1536 if giant else 1024, num_attention_heads=24 if giant else 16,
        num_hidden_layers=40 if giant else 24, patch_size=14 if giant else 16, image_size=224,
        use_swiglu_ffn=giant,
    )  # fmt: skip
    return TransformersNetwork(transformers.Dinov2Model(config))


@pytest.mark.slow
def test_every_table_entry_builds_with_its_own_arguments_and_gives_its_dim() -> None:
    for spec in list_encoders():
        if spec.architecture.startswith("hf-hub:") or spec.remote_code:
            continue  # only its repository knows how to build it
        with torch.device("meta"):  # shapes without numbers: the largest would fill the memory
            if spec.library == "transformers":
                network: Any = make_of_transformers(spec.name).eval()
            else:
                network = create_network(spec, spec.timm_kwargs).eval()
        side = spec.input_px or 0
        tile = torch.empty(2, 3, side, side, device="meta")
        with torch.inference_mode():
            if spec.pool == "timm":
                vectors = network(tile)
            else:
                tokens = network.forward_features(tile)
                vectors = pool_features(tokens, spec.pool, network.num_prefix_tokens)
        assert vectors.shape == (2, spec.dim), spec.name


def test_two_loads_of_random_weights_are_the_same_and_seeds_differ() -> None:
    state = torch.get_rng_state()
    first, again = (load_encoder(resolve(CONV), device="cpu") for _ in range(2))
    other = load_encoder(resolve("random:resnet10t?px=64&seed=1"), device="cpu")
    assert torch.equal(torch.get_rng_state(), state)
    assert first.weights_sha256 == again.weights_sha256 != other.weights_sha256
    pixels = np.full((2, 64, 64, 3), 90, np.uint8)
    assert np.array_equal(first.encode(pixels), again.encode(pixels))


def test_a_loaded_spec_leaves_nothing_open(load: Load) -> None:
    spec = load("random:resnet10t").spec
    assert (spec.input_px, spec.dim, spec.interpolation) == (176, 512, "bicubic")
    assert spec.mean == (0.485, 0.456, 0.406)


def test_facts_for_the_receipt(load: Load) -> None:
    conv, vit = load(CONV), load(VIT)
    assert (conv.precision, conv.device, conv.batch_norm_folded) == ("float32", "cpu", True)
    assert not vit.batch_norm_folded
    assert len(conv.weights_sha256) == 64


def test_read_only_and_strided_pixels_are_taken(load: Load, tiles: MakeTiles) -> None:
    encoder = load(CONV)
    pixels = tiles(3, 64)
    expected = encoder.encode(pixels)
    shared = pixels.copy()
    shared.flags.writeable = False
    assert np.array_equal(encoder.encode(shared), expected)
    assert np.array_equal(encoder.encode(np.repeat(pixels, 2, axis=0)[::2]), expected)


@pytest.mark.parametrize("side", [128, 40])
def test_tiles_of_another_size_are_resized_as_pillow_does(
    load: Load, tiles: MakeTiles, cosine: Cosine, side: int
) -> None:
    encoder = load(CONV)
    pixels = tiles(3, side)
    resized = [Image.fromarray(t).resize((64, 64), Image.Resampling.BICUBIC) for t in pixels]
    expected = encoder.encode(np.stack([np.asarray(image) for image in resized]))
    vectors = encoder.encode(pixels)
    assert cosine(vectors, expected).min() > 0.999


def test_the_centre_is_cut_as_torchvision_does(tiles: MakeTiles) -> None:
    transforms = pytest.importorskip("torchvision.transforms.functional")
    spec = resolve(CONV).model_copy(update={"input_px": 64, "resize_px": 75})
    given = torch.from_numpy(tiles(2, 75)).permute(0, 3, 1, 2).float()
    assert torch.equal(fit_tiles(given, spec), transforms.center_crop(given, [64, 64]))
    larger = torch.from_numpy(tiles(2, 150)).permute(0, 3, 1, 2).float()
    resized = transforms.resize(larger, [75, 75], transforms.InterpolationMode.BICUBIC)
    expected = transforms.center_crop(resized, [64, 64]).clamp(0, 255)
    torch.testing.assert_close(fit_tiles(larger, spec), expected)
    native = given[..., :64, :64]
    assert fit_tiles(native, spec) is native


def test_gigapath_sees_the_centre_of_a_tile_of_256_px(tiles: MakeTiles) -> None:
    spec = resolve("prov-gigapath")
    given = torch.from_numpy(tiles(2, 256)).permute(0, 3, 1, 2).float()
    assert torch.equal(fit_tiles(given, spec), given[..., 16:240, 16:240])


def test_tokens_are_pooled_without_registers() -> None:
    features = torch.arange(2 * 7 * 3, dtype=torch.float32).reshape(2, 7, 3) ** 2
    cls, patches = features[:, 0], features[:, 5:]
    assert torch.equal(pool_features(features, "token", 5), cls)
    assert torch.equal(pool_features(features, "avg", 5), patches.mean(1))
    both = pool_features(features, "cls+mean", 5)
    assert torch.equal(both, torch.cat([cls, patches.mean(1)], 1))


def test_maps_are_pooled_over_their_own_axes() -> None:
    features = torch.rand(2, 3, 4, 5)
    assert torch.equal(pool_features(features, "avg", 0), features.mean((2, 3)))
    moved = features.permute(0, 2, 3, 1)
    torch.testing.assert_close(pool_features(moved, "avg", 0, True), features.mean((2, 3)))
    with pytest.raises(RuntimeError, match="no class token"):
        pool_features(features, "token", 0)


def test_class_token_beside_the_mean_doubles_the_vector(load: Load, tiles: MakeTiles) -> None:
    base = "random:vit_tiny_patch16_224?px=64&img_size=64&reg_tokens=4"
    both, token = load(f"{base}&pool=cls+mean"), load(f"{base}&pool=token")
    assert (both.dim, token.dim) == (384, 192)
    pixels = tiles(2, 64)
    assert np.array_equal(both.encode(pixels)[:, :192], token.encode(pixels))
    assert np.array_equal(load(base).encode(pixels), token.encode(pixels))


@pytest.mark.parametrize(
    ("request_text", "says"),
    [
        ("random:vit_tiny_patch16_224?px=112", r"does not run on tiles of 112 px.*img_size=112"),
        ("random:resnet10t?px=64&pool=token", r"no class token"),
        ("random:resnet10t?px=64&reg_tokens=4", r"timm cannot build resnet10t.*reg_tokens"),
        ("random:resnet18.nosuchtag", r"Invalid pretrained tag.*list_pretrained"),
    ],
)
def test_what_a_network_cannot_do_is_said_in_one_line(request_text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        load_encoder(resolve(request_text), device="cpu")
    assert "\n" not in str(caught.value)


def test_a_dim_that_does_not_hold_is_refused() -> None:
    spec = resolve(CONV).model_copy(update={"dim": 100})
    with pytest.raises(ConfigError, match=r"vectors have 512 numbers, .* says 100"):
        load_encoder(spec, device="cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_a_gpu_that_is_not_there_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"asks for a GPU, and torch sees none here.*--device cpu"
    ):
        load_encoder(resolve(CONV), device="cuda")


@pytest.mark.parametrize("request_text", SMALL)
def test_vectors_do_not_depend_on_threads_or_batch_size(
    load: Load, tiles: MakeTiles, request_text: str
) -> None:
    pixels = tiles(75, 64)
    alone, many = (load_encoder(resolve(request_text), device="cpu", threads=n) for n in (1, 3))
    vectors = alone.encode(pixels)
    assert np.array_equal(many.encode(pixels), vectors)
    for size in (1, 5, 64):
        assert np.array_equal(encode_fixed(many, pixels, size), vectors)
    assert many.encode(pixels[:0]).shape == (0, many.dim)


def test_a_thread_takes_few_large_tiles_and_many_small_ones(load: Load) -> None:
    sizes = {px: load(f"random:resnet10t?px={px}").fixed_tiles for px in (32, 224, 448, 518)}
    assert sizes == {32: 16, 224: 16, 448: 7, 518: 5}


def test_bfloat16_on_a_cpu_stays_close(load: Load, tiles: MakeTiles, cosine: Cosine) -> None:
    coarse = load_encoder(resolve(CONV), device="cpu", precision="bfloat16")
    pixels = tiles(3, 64)
    assert coarse.precision == "bfloat16"
    assert cosine(coarse.encode(pixels), load(CONV).encode(pixels)).min() > 0.99


def _real(name: str) -> Path:
    root = os.environ.get("HISTO_RAY_TEST_DATA")
    if not root:
        pytest.skip("HISTO_RAY_TEST_DATA is not set: real weights and tiles are not at hand")
    return Path(root) / name


def _leave_one_out(vectors: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]) -> float:
    """Part of tiles whose nearest other tile by cosine is of their class."""
    unit = vectors - vectors.mean(0)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    likeness = unit @ unit.T
    np.fill_diagonal(likeness, -np.inf)
    return float((labels[likeness.argmax(1)] == labels).mean())


def test_real_weights_tell_tissues_apart_better_than_random_ones(load: Load) -> None:
    folder = _real("tiles/nct9")
    files = sorted(file for file in folder.glob("*/*") if file.is_file())
    pixels = np.stack([np.asarray(Image.open(file).convert("RGB")) for file in files])
    names = sorted({file.parent.name for file in files})
    labels = np.array([names.index(file.parent.name) for file in files])
    weights = _real("weights/mobilenetv2_100_imagenet_dequant.safetensors")
    keys = "pad_type=same&mean=0.5&std=0.5"
    real = load(f"{weights}?arch=mobilenetv2_100&{keys}")
    random = load(f"random:mobilenetv2_100?{keys}")
    assert (real.dim, real.batch_norm_folded, real.spec.input_px) == (1280, True, 224)
    assert real.weights_sha256 != random.weights_sha256
    vectors = encode_fixed(real, pixels, 16)
    assert np.isfinite(vectors).all()
    score = _leave_one_out(vectors, labels)
    chance = _leave_one_out(encode_fixed(random, pixels, 16), labels)
    print(f"nearest neighbour right: {score:.3f}, with random weights {chance:.3f}")
    assert score > chance + 0.1


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
@pytest.mark.parametrize("request_text", SMALL)
def test_half_precision_on_a_gpu_is_close_to_the_cpu(
    load: Load, tiles: MakeTiles, cosine: Cosine, request_text: str
) -> None:
    gpu = load_encoder(resolve(request_text), device="cuda")
    assert gpu.precision == "float16"
    assert gpu.device.startswith("cuda (")
    pixels = tiles(21, 64)
    vectors = encode_fixed(gpu, pixels, 8)
    assert cosine(vectors, encode_fixed(load(request_text), pixels, 8)).min() > 0.999
    order = np.random.default_rng(3).permutation(21)
    moved = encode_fixed(gpu, pixels[order], 8).astype(np.float16)
    still = vectors[order].astype(np.float16)
    step = np.spacing(np.maximum(np.abs(moved), np.abs(still)))
    assert (np.abs(moved - still) <= step).all()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
def test_batches_of_two_threads_on_a_gpu_do_not_mix(tiles: MakeTiles) -> None:
    encoder = load_encoder(resolve(CONV), device="cuda")
    batches = [tiles(8, 64, seed=seed) for seed in range(40)]
    alone = [encoder.encode(batch) for batch in batches]
    before = encoder.device_s
    with ThreadPoolExecutor(2) as callers:
        together = list(callers.map(encoder.encode, batches))
    assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))
    assert encoder.device_s > before
