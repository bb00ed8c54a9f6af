"""Networks of hub repositories, against what timm itself builds of the same files."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from histo_ray.config import ExtractConfig
from histo_ray.encoders.registry import resolve
from histo_ray.encoders.timm_network import build_network
from histo_ray.encoders.torch_encoder import load_encoder
from histo_ray.errors import ConfigError
from histo_ray.extract.loading import encoder_facts
from histo_ray.types import EncoderFacts

REVISION = "0" * 40
HALF = {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}
SMALL = {"depth": 2, "embed_dim": 48, "num_heads": 3}
"""A vision transformer small enough to build in a moment."""
DINO = "vit_small_patch14_dinov2"
"""518 px by default, as several of the field's encoders that see 224 px."""
Publish = Callable[..., str]


@pytest.fixture
def publish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Publish:
    """Lays repositories into an empty hub cache, for us and for timm alike."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)

    def lay(config: dict[str, Any], source: nn.Module, pickled: bool = False) -> str:
        folder = tmp_path / "models--lab--net"
        (folder / "refs").mkdir(parents=True)
        (folder / "refs" / "main").write_text(REVISION, encoding="utf-8")
        snapshot = folder / "snapshots" / REVISION
        snapshot.mkdir(parents=True)
        (snapshot / "config.json").write_text(json.dumps(config), encoding="utf-8")
        if pickled:
            torch.save(source.state_dict(), snapshot / "pytorch_model.bin")
        else:
            save_file(source.state_dict(), snapshot / "model.safetensors")
        return "hf-hub:lab/net"

    return lay


def make(architecture: str, **arguments: Any) -> nn.Module:
    """A network whose every weight is random: also layer scales, norms and position embeddings."""
    arguments = {"num_classes": 0} | arguments
    network: nn.Module = timm.create_model(architecture, pretrained=False, **arguments)
    generator = torch.Generator().manual_seed(1)
    for name, value in network.state_dict().items():
        if value.is_floating_point():
            value.copy_(torch.rand(value.shape, generator=generator) * 0.2)
        if name.endswith("running_var"):
            value.add_(0.5)
    return network


def new_style(architecture: str, size: int, model_args: Any = None, **cfg: Any) -> dict[str, Any]:
    """A configuration as timm writes it today."""
    config = {
        "architecture": architecture,
        "num_classes": cfg.get("num_classes", 0),
        "num_features": 48,
        "global_pool": "token",
        "pretrained_cfg": {
            "tag": "lab",
            "custom_load": False,
            "input_size": [3, size, size],
            "fixed_input_size": True,
            "interpolation": "bilinear",
            "crop_pct": 1.0,
            "crop_mode": "center",
            "mean": [0.7, 0.6, 0.5],
            "std": [0.2, 0.25, 0.3],
            "num_classes": 0,
            "pool_size": None,
            "first_conv": "patch_embed.proj",
            "classifier": "head",
            "license": "mit",
        }
        | cfg,
    }
    return config if model_args is None else config | {"model_args": model_args}


def old_style(architecture: str, **cfg: Any) -> dict[str, Any]:
    """A flat configuration, as timm wrote it at first."""
    return {"architecture": architecture, "num_classes": 7, "num_features": 512} | cfg


RESOLVE: Any = timm.data.__dict__["resolve_model_data_config"]


def check_same(request: str, **arguments: Any) -> nn.Module:
    """Assert that we build, bit for bit, what timm builds; returns timm's."""
    theirs: Any = timm.create_model("hf-hub:lab/net", pretrained=True, num_classes=0, **arguments)
    theirs = theirs.eval()
    ours, spec = build_network(resolve(request))
    expected, found = theirs.state_dict(), ours.state_dict()
    assert expected.keys() == found.keys()
    for key, value in expected.items():
        assert torch.equal(found[key], value), key
    data = RESOLVE(theirs)
    side = spec.input_px or 0
    tiles = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        vectors = theirs(tiles)
        assert torch.equal(ours(tiles), vectors)
    assert vectors.shape[0] == 2
    assert len(vectors.unique(dim=0)) == 2  # the weights do tell tiles apart
    assert (spec.mean, spec.std) == (tuple(data["mean"]), tuple(data["std"]))
    assert spec.interpolation == data["interpolation"]
    if not arguments:
        assert (side, side) == tuple(data["input_size"][1:])
        assert spec.pos_embed_resampled == ""
    made: nn.Module = theirs
    return made


VIT_KINDS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    # model_args, pretrained_cfg
    "fixed size": (SMALL, {}),
    "fixed size, class scores": (SMALL | {"num_classes": 5}, {"num_classes": 5}),
    "size in model_args": (SMALL | {"img_size": 56}, {"fixed_input_size": False}),
    "size as height and width": (SMALL | {"img_size": [56, 56]}, {}),
    "other size in model_args": (SMALL | {"img_size": 56}, {"input_size": [3, 518, 518]}),
    "dynamic, size stated": (SMALL | {"img_size": 56, "dynamic_img_size": True}, {}),
    "padded": (SMALL | {"dynamic_img_pad": True}, {}),
    "patch size": (SMALL | {"patch_size": 8}, {}),
    "registers": (SMALL | {"reg_tokens": 4}, {}),
    "registers, no class position": (SMALL | {"reg_tokens": 4, "no_embed_class": True}, {}),
    "layer scale": (SMALL | {"init_values": 1e-5}, {}),
    "average pooling": (SMALL | {"global_pool": "avg"}, {}),
    "average pooling without class token": (
        SMALL | {"global_pool": "avg", "class_token": False}, {},
    ),
    "wide": (SMALL | {"mlp_ratio": 5.33334, "qkv_bias": False, "act_layer": "silu"}, {}),
    "stale": (SMALL, {"custom_load": True, "license": "Apache 2.0", "url": "https://x/y.pth"}),
    "half": (SMALL, HALF | {"interpolation": "bicubic", "crop_pct": 0.9}),
}  # fmt: skip


@pytest.mark.parametrize("kind", VIT_KINDS)
def test_vision_transformers_are_those_of_timm_bit_for_bit(publish: Publish, kind: str) -> None:
    model_args, cfg = VIT_KINDS[kind]
    source = make(DINO, **({"img_size": 56} | model_args))
    request = publish(new_style(DINO, 56, model_args, **cfg), source)
    theirs: Any = check_same(request)
    assert theirs.patch_embed.img_size == (56, 56)


@pytest.mark.parametrize("pickled", [False, True])
@pytest.mark.parametrize(
    ("config", "arguments"),
    [
        (
            new_style(
                "resnet10t", 72, fixed_input_size=False, classifier="fc", num_classes=3,
                first_conv="conv1.0",
            ),
            {"num_classes": 3},
        ),
        (old_style("resnet10t", input_size=[3, 72, 72], **HALF), {}),
        (old_style("resnet10t", classifier="fc", labels=["a"] * 7), {"num_classes": 7}),
        (old_style("resnet10t", first_conv="conv1.0", pool_size=[3, 3]), {"num_classes": 0}),
        (
            new_style(
                "convnext_atto", 64, {"dims": [8, 16, 24, 32]}, fixed_input_size=False,
                classifier="head.fc",
            ),
            {},
        ),
        (
            new_style(
                "swin_tiny_patch4_window7_224", 56,
                {"embed_dim": 24, "depths": [1, 1], "num_heads": [2, 3]},
            ),
            {"img_size": 56},
        ),
    ],
    ids=["resnet", "flat", "flat, labels", "flat, no mean", "convnext", "swin"],
)  # fmt: skip
def test_other_networks_are_those_of_timm_bit_for_bit(
    publish: Publish, config: dict[str, Any], arguments: dict[str, Any], pickled: bool
) -> None:
    source = make(config["architecture"], **(config.get("model_args", {}) | arguments))
    check_same(publish(config, source, pickled))


@pytest.mark.parametrize("keys", ["img_size=112", "img_size=112&dynamic_img_size=true"])
def test_a_position_embedding_is_resampled_as_timm_does_where_asked_for(
    publish: Publish, keys: str
) -> None:
    request = publish(new_style(DINO, 56, SMALL), make(DINO, img_size=56, **SMALL))
    check_same(f"{request}?{keys}", img_size=112)
    _, spec = build_network(resolve(f"{request}?{keys}"))
    assert (spec.input_px, spec.pos_embed_resampled) == (112, "4x4 to 8x8")


def test_a_flexible_network_is_resampled_with_its_own_filter(publish: Publish) -> None:
    source = make("flexivit_small", img_size=64, patch_size=16, **SMALL)
    config = new_style("flexivit_small", 64, SMALL | {"patch_size": 16})
    check_same(f"{publish(config, source)}?img_size=128", img_size=128)


@pytest.mark.filterwarnings("ignore::UserWarning")  # in timm's own code
def test_windows_of_another_size_are_resampled_where_asked_for(publish: Publish) -> None:
    name = "swin_tiny_patch4_window7_224"
    small = {"embed_dim": 24, "depths": [1, 1], "num_heads": [2, 3]}
    request = publish(new_style(name, 56, small), make(name, img_size=56, **small))
    check_same(f"{request}?img_size=64&window_size=8", img_size=64, window_size=8)
    with pytest.raises(ConfigError, match=r"would have to be resampled \(.*bias_table of 169 "):
        build_network(resolve(f"{request}?window_size=8"))


@pytest.mark.parametrize(
    ("config", "source_px", "says"),
    [
        # the weights are for 56 px, and timm builds 224 px
        (new_style(DINO, 56, SMALL, fixed_input_size=False), 56, "4x4 to 16x16"),
        (new_style(DINO, 56, SMALL | {"dynamic_img_size": True}), 56, "4x4 to 16x16"),
        (new_style(DINO, 112, SMALL), 56, "4x4 to 8x8"),
        (new_style(DINO, 56, SMALL), 112, "8x8 to 4x4"),
    ],
)
def test_a_position_embedding_that_nobody_asked_to_resample_is_refused(
    publish: Publish, config: dict[str, Any], source_px: int, says: str
) -> None:
    request = publish(config, make(DINO, img_size=source_px, **SMALL))
    with pytest.raises(ConfigError, match=rf"{says}.*add img_size={source_px},") as caught:
        build_network(resolve(request))
    assert "\n" not in str(caught.value)
    check_same(f"{request}?img_size={source_px}", img_size=source_px)  # the remedy is one


def test_a_dynamic_network_does_not_resample_for_every_batch(publish: Publish) -> None:
    arguments = SMALL | {"dynamic_img_size": True, "img_size": 56}
    request = publish(new_style(DINO, 56, arguments), make(DINO, **arguments))
    with pytest.raises(ConfigError, match=r"4x4 to 8x8.*px=56.*img_size=112") as caught:
        load_encoder(resolve(f"{request}?px=112"), device="cpu")
    assert "\n" not in str(caught.value)
    again = load_encoder(resolve(f"{request}?img_size=112"), device="cpu")
    assert (again.spec.input_px, again.spec.pos_embed_resampled) == (112, "4x4 to 8x8")
    assert load_encoder(resolve(request), device="cpu").spec.input_px == 56


def test_vectors_are_those_of_timm_on_normalised_tiles(publish: Publish, tiles: Any) -> None:
    request = publish(new_style(DINO, 56, SMALL, **HALF), make(DINO, img_size=56, **SMALL))
    theirs: Any = timm.create_model("hf-hub:lab/net", pretrained=True, num_classes=0).eval()
    pixels = tiles(5, 56)
    values = (torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.5
    with torch.inference_mode():
        expected = theirs(values).numpy()
    found = load_encoder(resolve(request), device="cpu").encode(pixels)
    assert abs(found - expected).max() <= 1e-6 * abs(expected).max()


def test_the_network_can_be_built_again_without_its_repository(publish: Publish) -> None:
    arguments = SMALL | {"reg_tokens": 4, "num_classes": 0}
    request = publish(new_style(DINO, 56, arguments), make(DINO, img_size=56, **arguments))
    first, spec = build_network(resolve(request))
    alone = spec.model_copy(update={"source": "random", "hub": None, "seed": 3})
    again, _ = build_network(alone)
    shapes = {key: value.shape for key, value in first.state_dict().items()}
    assert {key: value.shape for key, value in again.state_dict().items()} == shapes


@pytest.mark.parametrize(
    ("change", "cfg", "says"),
    [
        ({}, {"input_size": [3, 56, 112]}, r"112 x 56 px \(width x height\), and tiles are square"),
        ({"img_size": [56, 112]}, {}, r"112 x 56 px"),
        ({"in_chans": 4}, {"input_size": [4, 56, 56]}, r"images of 4 channels.*3 \(RGB\)"),
        ({}, {"input_size": [1, 56, 56]}, r"images of 1 channels"),
        ({"features_only": True}, {}, r"'features_only'.*maps of features"),
        ({"out_indices": [0]}, {}, r"'out_indices'"),
        ({"checkpoint_path": "x.pth"}, {}, r"'checkpoint_path' makes timm load"),
        ({"no_such_thing": 1}, {}, r"timm cannot build .* by the config\.json of lab/net"),
        ({}, {"no_such_fact": 1}, r"timm cannot build .*no_such_fact"),
        ({}, {"mean": [0.5]}, r"mean is given as .*three numbers.*mean=R,G,B"),
        ({}, {"mean": "half"}, r"mean is given as 'half'"),
        ({}, {"std": [0.5, 0.5, 0]}, r"std is given as .*0 or less"),
        ({}, {"interpolation": "lanczos"}, r"filter 'lanczos'.*interpolation="),
    ],
)
def test_configurations_that_make_no_encoder_are_refused(
    publish: Publish, change: dict[str, Any], cfg: dict[str, Any], says: str
) -> None:
    config = new_style(DINO, 56, SMALL | change, **cfg)
    request = publish(config, make(DINO, img_size=56, **SMALL))
    with pytest.raises(ConfigError, match=rf"^encoder 'net': .*{says}") as caught:
        load_encoder(resolve(request), device="cpu")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"architecture": "vit_of_tomorrow"}, r"'vit_of_tomorrow', which the installed timm"),
        ({"architecture": 3}, r"names no timm architecture"),
        ([], r"names no timm architecture"),
        (new_style(DINO, 56, [1]), r"model_args .* is list"),
    ],
)
def test_configurations_without_a_network_are_refused(
    publish: Publish, config: Any, says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        build_network(resolve(publish(config, make("resnet10t", num_classes=0))))


def test_a_repository_that_states_other_preparation_is_named_once_loaded(
    publish: Publish, tmp_path: Path
) -> None:
    """As the ports of the table that carry the stock values of their architecture."""
    request = publish(
        new_style(DINO, 56, SMALL, **HALF, crop_pct=0.9), make(DINO, img_size=56, **SMALL)
    )
    table = tmp_path / "mine.toml"
    table.write_text(
        "[mine]\nhub = 'lab/net'\nmean = [0.485, 0.456, 0.406]\ninterpolation = 'bilinear'\n"
    )
    spec = load_encoder(resolve(request, [str(table)]), device="cpu").spec
    assert spec.mean == (0.485, 0.456, 0.406)  # the table's
    assert spec.config_differs == (
        "the config.json of lab/net says mean 0.5 0.5 0.5 (used: 0.485 0.456 0.406), "
        "crop_pct 0.9 (used: 1, the whole tile)"
    )
    facts = encoder_facts(
        load_encoder(resolve("mine", [str(table)]), device="cpu"),
        ExtractConfig(store="s", manifest="m.csv", encoder=("mine",)),
        "float16",
        allow_contract_break=False,
    )
    assert facts.config_differs == spec.config_differs
    again = EncoderFacts.model_validate_json(facts.model_dump_json())
    assert again == facts


def test_a_receipt_of_0_1_0_reads_and_a_plain_one_is_written_as_then(publish: Publish) -> None:
    request = publish(new_style(DINO, 56, SMALL), make(DINO, img_size=56, **SMALL))
    facts = encoder_facts(
        load_encoder(resolve(request), device="cpu"),
        ExtractConfig(store="s", manifest="m.csv", encoder=(request,)),
        "float16",
        allow_contract_break=False,
    )
    said = json.loads(facts.model_dump_json())
    assert not {"resize_px", "pos_embed_resampled", "config_differs"} & said.keys()
    assert EncoderFacts.model_validate(said) == facts


def test_tokens_are_no_vector_until_a_pool_is_chosen(publish: Publish) -> None:
    arguments = SMALL | {"global_pool": ""}
    request = publish(new_style(DINO, 56, arguments), make(DINO, img_size=56, **arguments))
    with pytest.raises(ConfigError, match=r"shape \(17, 48\) a tile.*pool=token"):
        load_encoder(resolve(request), device="cpu")
    assert load_encoder(resolve(f"{request}?pool=cls+mean"), device="cpu").dim == 96


def test_weights_that_are_missing_are_never_left_random(publish: Publish) -> None:
    source = make(DINO, img_size=56, **SMALL)
    request = publish(new_style(DINO, 56, SMALL | {"reg_tokens": 4}), source)
    with pytest.raises(ConfigError, match=r"1 missing \(reg_token\)"):
        build_network(resolve(request))
