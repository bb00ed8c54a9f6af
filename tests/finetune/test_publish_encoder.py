"""A fine-tuned encoder in a store: found by its name, checked by its digest, never overwritten."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
from PIL import Image

from histo_ray.cli.finetune import describe_steps
from histo_ray.config import ExtractConfig
from histo_ray.encoders.published import list_published, read_card
from histo_ray.encoders.registry import list_encoders, resolve
from histo_ray.encoders.requested import resolve_encoders
from histo_ray.encoders.torch_encoder import load_encoder
from histo_ray.errors import ConfigError
from histo_ray.finetune.curves import read_curves
from histo_ray.finetune.finetune_config import FinetuneConfig
from histo_ray.finetune.finetune_run import FinetuneResult, finetune
from histo_ray.pooling.class_heads import read_class_head
from histo_ray.store.claim import hold_claim
from histo_ray.store.location import location_of
from histo_ray.store.models import Metrics, encode_card
from histo_ray.store.store import open_store
from tests.finetune.short import short_config

MakeConfig = Callable[..., FinetuneConfig]


@pytest.fixture(scope="module")
def finished(
    tile_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[FinetuneConfig, FinetuneResult]:
    store = tmp_path_factory.mktemp("finished") / "store"
    config = short_config(tile_folder, store)
    return config, finetune(config)


@pytest.fixture
def published(
    finished: tuple[FinetuneConfig, FinetuneResult], make_config: MakeConfig
) -> tuple[FinetuneConfig, FinetuneResult]:
    """A copy of the finished store for one test."""
    config = make_config()
    shutil.copytree(finished[0].store, config.store)
    return config, finished[1]


def test_what_is_published_is_an_encoder_with_a_head_that_scores_as_its_card_says(
    published: tuple[FinetuneConfig, FinetuneResult], tile_folder: Path
) -> None:
    config, result = published
    encoder = load_encoder(resolve("tuned", store=config.store), device="cpu")
    assert encoder.weights_sha256 == result.card.weights_sha256
    assert (encoder.spec.name, encoder.dim, encoder.spec.input_px) == ("tuned", 512, 48)
    head = read_class_head(location_of(config.store), result.card)
    classes = head.classes
    assert classes == ("dots", "plain", "stripes")
    right = total = 0
    for label, name in enumerate(classes):
        files = sorted((tile_folder / name).iterdir())
        vectors = encoder.encode(np.stack([np.asarray(Image.open(f)) for f in files]))
        logits = vectors @ head.weight.T + head.bias
        right += int((logits.argmax(1) == label).sum())
        total += len(files)
    accuracy = result.card.metrics.accuracy
    assert accuracy is not None
    assert right / total >= 0.8
    assert accuracy >= 0.7


def test_the_card_tells_where_the_weights_come_from(
    published: tuple[FinetuneConfig, FinetuneResult],
) -> None:
    config, result = published
    folder = Path(config.store) / "models" / "tuned"
    assert sorted(path.name for path in folder.iterdir()) == [
        "curves.parquet", "model.json", "model.safetensors", "trained_on.parquet",
    ]  # fmt: skip
    card = json.loads((folder / "model.json").read_text())
    assert card["base"]["request"] == config.encoder
    assert card["base"]["weights_sha256"] == load_encoder(resolve(config.encoder)).weights_sha256
    assert card["classes"] == ["dots", "plain", "stripes"]
    assert sum(card["data"]["train"].values()) + sum(card["data"]["held_out"].values()) == 90
    assert "leakage cannot be excluded" in card["data"]["held_out_from"]
    assert card["recipe"]["network"]["epochs"] == 2
    assert {"torch", "timm", "histo_ray"} <= card["versions"].keys()
    assert read_card(config.store, "tuned") == result.card
    steps = [row.step for row in read_curves((folder / "curves.parquet").read_bytes())]
    assert steps == ["head", "network", "network"]
    assert not list((Path(config.store) / "cache").rglob("*.safetensors"))


def test_the_same_run_again_does_nothing_and_another_one_is_refused(
    published: tuple[FinetuneConfig, FinetuneResult], make_config: MakeConfig
) -> None:
    config, result = published
    again = finetune(config)
    assert again.was_there
    assert again.card == result.card
    with pytest.raises(ConfigError, match=r"name 'tuned' is in use .* choose another --name"):
        finetune(make_config(seed=5))


@pytest.mark.parametrize("name", ["imgnet2048", "resnet18"])
def test_names_of_known_encoders_are_refused(make_config: MakeConfig, name: str) -> None:
    with pytest.raises(ConfigError, match="known already"):
        finetune(make_config(name=name))


def test_an_extraction_finds_it_by_name_and_so_does_the_list(
    published: tuple[FinetuneConfig, FinetuneResult], tmp_path: Path
) -> None:
    store = published[0].store
    config = ExtractConfig(manifest="m.csv", store=store, encoder=("tuned",), tile_px=48)
    (spec,) = resolve_encoders(config)
    assert spec.published == store
    assert [entry.name for entry in list_encoders(store=store)][-1] == "tuned"
    assert list_published(str(tmp_path / "nothing")) == []
    with pytest.raises(ConfigError, match="neither in an encoder table nor in timm"):
        resolve("tuned", store=str(tmp_path / "nothing"))
    renamed = resolve("tuned?px=64", store=store)
    assert (renamed.name, renamed.input_px) == ("tuned-px64", 64)
    assert load_encoder(renamed, device="cpu").weights_sha256 == spec.weights_sha256


def test_finding_it_needs_no_torch(published: tuple[FinetuneConfig, FinetuneResult]) -> None:
    code = (
        "import sys; from histo_ray.encoders.registry import resolve\n"
        f"assert resolve('tuned', store={published[0].store!r}).source == 'store'\n"
        "print([m for m in ('torch', 'timm', 'ray') if m in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def test_weights_that_are_not_those_of_the_card_are_refused(
    published: tuple[FinetuneConfig, FinetuneResult],
) -> None:
    store = published[0].store
    path = Path(store) / "models" / "tuned" / "model.safetensors"
    weights = safetensors.torch.load_file(path)
    weights["conv1.0.weight"] += 1
    safetensors.torch.save_file(weights, path)
    with pytest.raises(ConfigError, match=r"'tuned': .*model\.safetensors is not the file"):
        load_encoder(resolve("tuned", store=store), device="cpu")
    path.unlink()
    with pytest.raises(
        ConfigError, match=r"'tuned': .*model\.safetensors is missing, though its card is there"
    ):
        load_encoder(resolve("tuned", store=store), device="cpu")


@pytest.mark.parametrize(
    "changed",
    [
        {"plugin": "os:getcwd", "source": "plugin"},
        {"remote_code": True, "code_revision": "0" * 40},
        {"library": "transformers"},
    ],
)
def test_a_card_that_names_code_is_refused(
    published: tuple[FinetuneConfig, FinetuneResult], changed: dict[str, Any]
) -> None:
    store = published[0].store
    card = read_card(store, "tuned")
    assert card is not None
    bad = card.model_copy(update={"encoder": card.encoder.model_copy(update=changed)})
    (Path(store) / "models" / "tuned" / "model.json").write_bytes(encode_card(bad))
    with pytest.raises(ConfigError, match=r"'tuned': its card in .* names code that would run"):
        resolve("tuned", store=store)


@pytest.mark.parametrize(
    ("text", "told"),
    [("{", "damaged"), ('{"format_version": 99}', "upgrade"), ('{"format_version": 1}', "missing")],
)
def test_a_card_that_cannot_be_read_is_told(tmp_path: Path, text: str, told: str) -> None:
    folder = tmp_path / "models" / "x"
    folder.mkdir(parents=True)
    (folder / "model.json").write_text(text)
    with pytest.raises(ConfigError, match=told):
        resolve("x", store=str(tmp_path))


def test_it_is_published_to_and_found_on_an_object_store(s3: str, make_config: MakeConfig) -> None:
    store = "s3://bucket/finetune/store"
    config = make_config(store=store)
    result = finetune(config)
    spec = resolve("tuned", store=store)
    assert spec.published == store
    assert load_encoder(spec, device="cpu").weights_sha256 == result.card.weights_sha256
    assert finetune(config).was_there
    with pytest.raises(ConfigError, match="in use"):
        finetune(make_config(store=store, seed=2))


def test_a_validation_set_of_its_own_is_evaluated(
    make_config: MakeConfig,
    write_tiles: Callable[[Path, int, int], Path],
    tile_folder: Path,
    tmp_path: Path,
) -> None:
    write_tiles(tmp_path / "other", 12, 9)
    card = finetune(make_config(validation=str(tmp_path / "other"))).card
    assert card.data.held_out_from == "another set, other"
    assert (sum(card.data.train.values()), sum(card.data.held_out.values())) == (90, 12)
    with pytest.raises(ConfigError, match="same pixels"):
        finetune(make_config(name="b", validation=str(tile_folder)))


def test_nothing_need_be_held_out(make_config: MakeConfig) -> None:
    changes: dict[str, Any] = {"set": ("network.epochs=1", "batch_size=16", "held_out=0.0")}
    card = finetune(make_config(**changes)).card
    assert sum(card.data.train.values()) == 90
    assert card.metrics.accuracy is None


def test_a_name_under_which_another_process_trains_is_refused_at_the_start(
    make_config: MakeConfig,
) -> None:
    config, read = make_config(), list[str]()
    open_store(config.store, create=True)
    root = location_of(config.store)
    with (
        hold_claim(root, "finetune-tuned", print, wait=False),
        pytest.raises(ConfigError, match=r"name 'tuned': process \d+ on .* is fine-tuning"),
    ):
        finetune(config, tell=read.append)
    assert read == []  # not a tile was read
    assert not (Path(config.store) / "models").exists()


@pytest.mark.parametrize(
    ("first", "second", "epoch", "told"),
    [
        (0.8, 0.9, 7, "held-out accuracy: 0.800 after step 1 .*, 0.900 after .*: step 2, epoch 7"),
        (
            0.9,
            0.8,
            0,
            "0.900 after step 1 .*, 0.800 after step 2 .*; kept: step 1, so the",
        ),
        (0.9, None, 0, "0.900 after step 1 .*; there was no step 2"),
    ],
)
def test_both_steps_and_the_one_kept_are_told(
    first: float, second: float | None, epoch: int, told: str
) -> None:
    (line,) = describe_steps(Metrics(first_accuracy=first, second_accuracy=second), epoch)
    assert re.search(told, line)
    assert describe_steps(Metrics(), 3) == []
