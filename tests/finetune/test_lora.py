"""Adapters of low rank: trained beside a base, published alone, merged to the same bits."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import histo_ray as hr
from histo_ray.encoders.adapters import DOWN, UP, merge_adapters
from histo_ray.encoders.registry import resolve
from histo_ray.encoders.torch_encoder import load_encoder
from histo_ray.encoders.weights import digest_weights
from histo_ray.errors import ConfigError
from histo_ray.finetune import lora
from histo_ray.finetune.finetune_config import FinetuneConfig
from histo_ray.finetune.finetune_run import FinetuneResult, finetune
from histo_ray.finetune.recipe import read_recipe
from histo_ray.storage.seal import seal_json, strip_marks
from histo_ray.store.models import HEAD_PREFIX
from histo_ray.synth.cohort import write_demo_cohort
from tests.finetune.short import short_config

BASE = "random:vit_tiny_patch16_224?seed=0&img_size=48&depth=2&px=48"
LORA = ("network.lora_rank=2", "network.epochs=1", "network.rate=0.003", "held_out=0")


def lora_config(tiles: Path, store: Path, name: str = "adapted") -> FinetuneConfig:
    config = short_config(tiles, store)
    return config.model_copy(update={"encoder": BASE, "name": name, "set": LORA})


@pytest.fixture(scope="module")
def adapted(
    tile_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[FinetuneConfig, FinetuneResult]:
    config = lora_config(tile_folder, tmp_path_factory.mktemp("adapted") / "store")
    return config, finetune(config)


def tiles_of(count: int = 3) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    return np.random.default_rng(0).integers(0, 255, (count, 48, 48, 3), dtype=np.uint8)


def test_adapters_are_merged_as_scale_times_b_a_and_the_rest_is_the_base() -> None:
    base = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.ones(2)}
    down, up = torch.tensor([[1.0, 0, 2], [0, 1, 0]]), torch.tensor([[1.0, 0], [3, -1]])
    found = merge_adapters(base, {f"a{DOWN}": down, f"a{UP}": up}, 0.5)
    np.testing.assert_array_equal(found["a.weight"], base["a.weight"] + 0.5 * (up @ down))
    assert found["a.bias"] is base["a.bias"]
    assert set(found) == set(base)


@pytest.mark.parametrize(
    ("names", "match"),
    [
        ((f"a{DOWN}",), "not whole"),
        ((f"b{DOWN}", f"b{UP}"), "the base has no such"),
        ((f"c{DOWN}", f"c{UP}"), "shapes"),
    ],
)
def test_adapters_that_do_not_fit_are_refused(names: tuple[str, ...], match: str) -> None:
    base = {"a.weight": torch.zeros(2, 3), "c.weight": torch.zeros(5, 5)}
    halves = {DOWN: torch.zeros(2, 3), UP: torch.zeros(2, 2)}
    adapters = {name: halves[f".lora_{name.split('.lora_')[1]}"] for name in names}
    with pytest.raises(ConfigError, match=match):
        merge_adapters(base, adapters, 1.0)


def test_only_adapters_are_published_and_the_base_is_named(
    adapted: tuple[FinetuneConfig, FinetuneResult],
) -> None:
    config, result = adapted
    card = result.card
    assert card.format_version == 4
    assert card.adapter is not None
    assert card.adapter.share < 0.02
    held = load_file(Path(config.store) / "models/adapted/model.safetensors")
    own = {name: value for name, value in held.items() if not name.startswith(HEAD_PREFIX)}
    assert sorted(own) == [f"blocks.{n}.attn.qkv{end}" for n in range(2) for end in (DOWN, UP)]
    assert sum(value.numel() for value in own.values()) == card.adapter.parameters
    assert card.base.weights_sha256 == load_encoder(resolve(BASE), device="cpu").weights_sha256


def test_what_is_loaded_has_the_bits_of_the_card_and_is_another_encoder_than_its_base(
    adapted: tuple[FinetuneConfig, FinetuneResult],
) -> None:
    config, result = adapted
    encoder = load_encoder(resolve("adapted", store=config.store), device="cpu")
    assert encoder.weights_sha256 == result.card.weights_sha256
    base = load_encoder(resolve(BASE), device="cpu")
    assert encoder.spec.architecture == base.spec.architecture
    assert np.abs(encoder.encode(tiles_of()) - base.encode(tiles_of())).max() > 1e-3


def test_the_same_training_gives_the_same_bits(
    adapted: tuple[FinetuneConfig, FinetuneResult], tile_folder: Path, tmp_path: Path
) -> None:
    again = finetune(lora_config(tile_folder, tmp_path / "store")).card
    assert again.file_sha256 == adapted[1].card.file_sha256
    assert again.weights_sha256 == adapted[1].card.weights_sha256


def test_a_base_that_is_another_one_now_is_refused(
    adapted: tuple[FinetuneConfig, FinetuneResult], tmp_path: Path
) -> None:
    shutil.copytree(adapted[0].store, tmp_path / "store")
    path = tmp_path / "store/models/adapted/model.json"
    spec = resolve("adapted", store=str(tmp_path / "store"))
    text = path.read_text()
    assert json.loads(text)["adapter"]["base"]["seed"] == 0
    values = strip_marks(json.loads(text))
    values["adapter"]["base"]["seed"] = 1
    path.write_bytes(seal_json(values, indent=2))
    with pytest.raises(ConfigError, match="its adapters were trained beside weights"):
        load_encoder(spec, device="cpu")


def test_adapters_of_a_fine_tuned_encoder_find_it_in_their_own_store(
    adapted: tuple[FinetuneConfig, FinetuneResult], tile_folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(adapted[0].store, tmp_path / "store")
    config = lora_config(tile_folder, tmp_path / "store", "twice")
    card = finetune(config.model_copy(update={"encoder": "adapted"})).card
    shutil.move(tmp_path / "store", tmp_path / "moved")
    encoder = load_encoder(resolve("twice", store=str(tmp_path / "moved")), device="cpu")
    assert encoder.weights_sha256 == card.weights_sha256


def test_a_network_without_such_layers_is_refused(tile_folder: Path, tmp_path: Path) -> None:
    config = lora_config(tile_folder, tmp_path / "store")
    changed = config.model_copy(update={"encoder": "random:resnet10t?seed=0"})
    with pytest.raises(ConfigError, match=r"lora_layers = qkv: .*it has none"):
        finetune(changed)
    wrong = config.model_copy(update={"set": (*LORA, 'network.lora_layers=["q"]')})
    with pytest.raises(ConfigError, match=r"called fc1, fc2, proj, qkv"):
        finetune(wrong)
    small = config.model_copy(update={"encoder": "random:vit_tiny_patch16_224?px=64"})
    with pytest.raises(ConfigError, match=r"does not run on tiles of 64 px .*img_size=64"):
        finetune(small)


def test_a_missing_package_is_said(
    tile_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*_: object, **__: object) -> None:
        raise ModuleNotFoundError("No module named 'peft'")

    monkeypatch.setattr(lora, "_lora_config", missing)
    with pytest.raises(ConfigError, match=r"pip install 'histo-ray\[lora\]'"):
        finetune(lora_config(tile_folder, tmp_path / "store"))


@pytest.mark.parametrize("other", ["network.stages=1", "network.wise_ft=[0.5]"])
def test_settings_that_contradict_adapters_are_refused(other: str) -> None:
    with pytest.raises(ConfigError, match="do not go together"):
        read_recipe("lora", [other])


def test_the_recipe_of_adapters_is_refused_without_any() -> None:
    with pytest.raises(ConfigError, match=r"--recipe lora with network\.lora_rank=0.*1 or more"):
        read_recipe("lora", ["network.lora_rank=0"])
    assert read_recipe("default", ["network.lora_rank=0"]) == read_recipe("default")


def test_recipes_without_adapters_keep_their_digest() -> None:
    assert "lora_rank" not in read_recipe("default").model_dump()["network"]
    assert read_recipe("lora").model_dump()["network"]["lora_rank"] == 8


def test_weights_without_adapters_are_told_apart_by_name() -> None:
    weights = {
        "a.base_layer.weight": torch.zeros(1),
        "a.lora_A.default.weight": torch.ones(1),
        "a.lora_B.default.weight": torch.ones(1),
        "b.weight": torch.zeros(1),
    }
    assert sorted(lora.take_adapters(weights)) == [f"a{DOWN}", f"a{UP}"]
    assert sorted(lora.take_base(weights)) == ["a.weight", "b.weight"]
    assert digest_weights(lora.take_base(weights)) == digest_weights(
        {"a.weight": torch.zeros(1), "b.weight": torch.zeros(1)}
    )


@pytest.mark.slow
def test_a_small_transformer_gets_adapters_on_real_tiles_and_extracts(
    real_data: Path, tmp_path: Path
) -> None:
    for path in sorted((real_data / "tiles/colorectal5/test").glob("*/*.jpg"))[::5]:
        (tmp_path / "tiles" / path.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, tmp_path / "tiles" / path.parent.name)
    base = "random:deit_tiny_patch16_224?seed=0"
    found = []
    for name in ("one", "other"):
        store = tmp_path / name
        config = short_config(
            tmp_path / "tiles", store, encoder=base, name="adapted", recipe="lora"
        )
        config = config.model_copy(update={"set": ("network.epochs=1", "held_out=0")})
        found.append(finetune(config).card)
    assert found[0].weights_sha256 == found[1].weights_sha256
    assert found[0].adapter is not None
    assert found[0].adapter.share < 0.02
    slides = write_demo_cohort(tmp_path / "slides", size="small")
    run = hr.extract(slides, tmp_path / "one", encoder=["adapted"], mpp=0.5, tile_px=224)
    assert (run.outcomes["outcome"] == "done").sum() > 0
    bag = hr.open_store(str(tmp_path / "one")).bag("SYN-0001-A", encoder="adapted")
    assert bag.embeddings.shape[1] == 192
