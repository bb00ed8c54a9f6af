import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from histo_ray.encoders.registry import resolve
from histo_ray.encoders.torch_encoder import load_encoder
from histo_ray.encoders.weights import digest_weights, fit_weights, read_weights
from histo_ray.errors import ConfigError

Weights = dict[str, torch.Tensor]


def make(name: str = "resnet10t", **kwargs: object) -> nn.Module:
    network: nn.Module = timm.create_model(name, pretrained=False, **kwargs)  # type: ignore[arg-type]
    return network


def test_a_file_with_a_classifier_fits_a_network_without_one(tmp_path: Path) -> None:
    full = make(num_classes=7)
    path = tmp_path / "full.safetensors"
    save_file(full.state_dict(), path)
    encoder = load_encoder(resolve(f"{path}?arch=resnet10t&px=64"), device="cpu")
    bare = {k: v for k, v in full.state_dict().items() if not k.startswith("fc.")}
    assert encoder.weights_sha256 == digest_weights(bare)
    assert encoder.dim == 512


def test_one_changed_bit_changes_the_digest() -> None:
    weights = dict(make(num_classes=0).state_dict())
    before = digest_weights(weights)
    assert digest_weights(dict(reversed(weights.items()))) == before
    changed = weights["conv1.0.weight"].clone()
    changed.view(torch.int32).view(-1)[-1] ^= 1
    assert digest_weights(weights | {"conv1.0.weight": changed}) != before


def test_names_types_and_shapes_are_part_of_the_digest() -> None:
    zeros = torch.zeros(6)
    digests = {
        digest_weights({"a": zeros}),
        digest_weights({"b": zeros}),
        digest_weights({"a": zeros.reshape(2, 3)}),
        digest_weights({"a": zeros.reshape(3, 2)}),
        digest_weights({"a": zeros.int()}),
        digest_weights({"a": torch.zeros(3), "b": torch.zeros(3)}),
        digest_weights({"a": torch.tensor(0.0, dtype=torch.bfloat16)}),
    }
    assert len(digests) == 7


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda w: {k: v for k, v in w.items() if k != "bn1.weight"}, r"1 missing \(bn1\.weight\)"),
        (lambda w: w | {"extra.weight": torch.zeros(2)}, r"1 not in the network \(extra\.weight\)"),
        (lambda w: w | {"bn1.weight": torch.zeros(3)}, r"1 of another shape \(bn1\.weight\)"),
        (lambda w: {f"module.{k}": v for k, v in w.items()}, r"missing \(.*\d+ more\).*not in"),
        (lambda _: {}, r"missing"),
    ],
)  # fmt: skip
def test_weights_that_do_not_fit_are_refused_by_key(
    change: Callable[[Weights], Weights], says: str
) -> None:
    network = make(num_classes=0)
    before = digest_weights(network.state_dict())
    given = {k: v + 1 for k, v in network.state_dict().items()}
    with pytest.raises(ConfigError, match=says) as caught:
        fit_weights(network, change(given), "resnet10t")
    assert "\n" not in str(caught.value)
    assert digest_weights(network.state_dict()) == before


def test_a_position_embedding_is_resampled_but_a_kernel_is_not() -> None:
    name = "vit_tiny_patch16_224"
    small = make(name, num_classes=0, img_size=64)
    fit_weights(small, dict(make(name, num_classes=0).state_dict()), name)
    other = make(name, num_classes=0, img_size=56, patch_size=14)
    with pytest.raises(ConfigError, match=r"another shape \(patch_embed\.proj\.weight\)"):
        fit_weights(small, dict(other.state_dict()), name)


def test_a_missing_file_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"encoder 'x': there is no weights file /nowhere/x\.safetensors"
    ):
        read_weights(Path("/nowhere/x.safetensors"), "x")


@pytest.mark.parametrize("keep", [0, 5, 100, -1])
def test_a_truncated_file_is_refused(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "w.safetensors"
    save_file({"a": torch.arange(1000.0)}, path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ConfigError, match=r"damaged.*fetch it again") as caught:
        load_encoder(resolve(f"{path}?arch=resnet10t"), device="cpu")
    assert "\n" not in str(caught.value)


def test_a_pickle_under_a_false_name_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    torch.save({"a": torch.zeros(3)}, path)
    with pytest.raises(ConfigError, match=r"no safetensors file"):
        read_weights(path, "x")


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".bin", ".PTH"])
@pytest.mark.parametrize("is_archive", [True, False])
def test_a_pickle_of_tensors_gives_the_digest_of_the_safetensors(
    tmp_path: Path, suffix: str, is_archive: bool
) -> None:
    weights = make(num_classes=7).state_dict()
    path = tmp_path / f"w{suffix}"
    torch.save(weights, path, _use_new_zipfile_serialization=is_archive)
    save_file(weights, tmp_path / "w.safetensors")
    read = read_weights(path, "x")
    assert digest_weights(read) == digest_weights(weights)
    pickled, safe = (
        load_encoder(resolve(f"{p}?arch=resnet10t&px=64"), device="cpu")
        for p in (path, tmp_path / "w.safetensors")
    )
    assert pickled.weights_sha256 == safe.weights_sha256
    assert pickled.spec.name == safe.spec.name == "w-px64"


@pytest.mark.parametrize("wrapper", ["state_dict", "model"])
def test_weights_are_found_beside_what_training_left(tmp_path: Path, wrapper: str) -> None:
    name = "vit_tiny_patch16_224"
    path = tmp_path / "w.pth"
    weights = make(name, num_classes=0).state_dict()
    torch.save({"epoch": 7, wrapper: weights, "optimizer": {"lr": [0.1]}}, path)
    assert digest_weights(read_weights(path, "x")) == digest_weights(weights)
    small = load_encoder(resolve(f"{path}?arch={name}&px=64&img_size=64"), device="cpu")
    assert small.dim == 192  # timm's filter has resampled the position embedding


def test_counters_that_old_files_lack_are_not_missed(tmp_path: Path) -> None:
    weights = make(num_classes=0).state_dict()
    path = tmp_path / "w.pth"
    torch.save({k: v for k, v in weights.items() if "num_batches_tracked" not in k}, path)
    encoder = load_encoder(resolve(f"{path}?arch=resnet10t&px=64"), device="cpu")
    assert encoder.weights_sha256 == digest_weights(weights)


class _Malice:
    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        return Path.touch, (self.victim,)


@pytest.mark.parametrize("write", ["archive", "legacy", "plain", "beside"])
def test_a_pickle_that_runs_code_is_refused_and_not_run(
    tmp_path: Path, write: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")  # not even where a user wants it
    path, victim = tmp_path / "w.pth", tmp_path / "victim"
    malice = _Malice(victim)
    if write == "plain":
        path.write_bytes(pickle.dumps(malice))
    else:
        content = (
            {"state_dict": {"a": torch.zeros(2)}, "x": malice} if write == "beside" else malice
        )
        torch.save(content, path, _use_new_zipfile_serialization=write != "legacy")
    with pytest.raises(ConfigError, match=r"'x': .*w\.pth is refused.*save_file") as caught:
        read_weights(path, "x")
    assert "\n" not in str(caught.value)
    assert not victim.exists()
    if write == "plain":
        pickle.loads(path.read_bytes())
        assert victim.exists()  # it would have run


@pytest.mark.parametrize(
    "content",
    [
        torch.zeros(3),
        [torch.zeros(3)],
        {"a": torch.zeros(3), "b": 1},
        {1: torch.zeros(3)},
        {"state_dict": {"a": [torch.zeros(3)]}},
        make(num_classes=0),
    ],
    ids=["tensor", "list", "number", "key", "nested", "network"],
)
def test_what_is_no_mapping_of_tensors_is_refused(tmp_path: Path, content: object) -> None:
    path = tmp_path / "w.bin"
    torch.save(content, path)
    with pytest.raises(
        ConfigError, match=r"w\.bin is refused, because a pickle.*write its state_dict with"
    ):
        read_weights(path, "x")


@pytest.mark.parametrize("is_archive", [True, False])
@pytest.mark.parametrize("keep", [0, 1, 5, 100, 700, -1])
def test_a_truncated_pickle_is_one_line(tmp_path: Path, keep: int, is_archive: bool) -> None:
    path = tmp_path / "w.pth"
    torch.save({"a": torch.arange(1000.0)}, path, _use_new_zipfile_serialization=is_archive)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ConfigError, match=r"damaged") as caught:
        read_weights(path, "x")
    assert "\n" not in str(caught.value)
