"""Encoders of Python plugins: held to what they state, blamed by name, recorded, kept apart."""

import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from histo_ray.config import ExtractConfig
from histo_ray.encoders.load import load_encoder
from histo_ray.encoders.plugin_encoder import PluginEncoder
from histo_ray.encoders.registry import resolve
from histo_ray.encoders.timm_network import build_network
from histo_ray.errors import ConfigError, StoreError
from histo_ray.extract.in_process import open_in_process
from histo_ray.extract.run import run_extract
from histo_ray.store.store import open_store
from testing.plugin_package import SOURCE, write_module, write_package

MakeConfig = Callable[..., ExtractConfig]
MODULE = "held_plugin"
REQUEST = f"{MODULE}:make_encoder"
TILES = np.random.default_rng(0).integers(0, 255, (3, 96, 96, 3)).astype(np.uint8)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working folder; what is imported from it is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*(entry for entry in sys.path if entry), str(tmp_path)])
    yield tmp_path
    for name in (MODULE, "installed_quarters"):
        sys.modules.pop(name, None)


def change(folder: Path, old: str, new: str) -> None:
    """The module with one thing changed."""
    source = SOURCE.replace("SEED", "0")
    assert old in source
    (folder / f"{MODULE}.py").write_text(source.replace(old, new), encoding="utf-8")


def load(request: str = REQUEST, **settings: Any) -> Any:
    return load_encoder(resolve(request), device="cpu", threads=1, **settings)


def test_a_plugin_encodes_and_its_spec_says_what_it_states(folder: Path) -> None:
    write_module(folder, MODULE)
    encoder = load()
    vectors = encoder.encode(TILES)
    assert isinstance(encoder, PluginEncoder)
    assert (vectors.shape, vectors.dtype) == ((3, 20), np.float32)
    assert np.array_equal(encoder.encode(TILES[1:2])[0], vectors[1])
    assert not np.allclose(vectors[0], vectors[1])
    spec = encoder.spec
    assert (spec.name, spec.request) == ("held_plugin-make_encoder", REQUEST)
    assert (spec.tile_px, spec.mpp, spec.licence, spec.dim) == (96, 0.5, "mit", 20)


def test_a_plugin_may_be_given_another_name_and_nothing_else(folder: Path) -> None:
    write_module(folder, MODULE)
    assert resolve(f"{REQUEST}?name=Mine").name == "mine"
    with pytest.raises(ConfigError, match=r"pool= has no meaning"):
        resolve(f"{REQUEST}?pool=avg")


def test_an_installed_plugin_goes_by_its_own_name(folder: Path) -> None:
    write_package(folder / "site", "Quarters.96", module="installed_quarters")
    sys.path.append(str(folder / "site"))
    spec = resolve("Quarters.96")
    assert (spec.name, spec.plugin_package) == ("quarters.96", "installed_quarters 3.1")
    assert load("Quarters.96").encode(TILES).shape == (3, 20)
    with pytest.raises(ConfigError, match="neither in an encoder table nor in timm"):
        resolve("quarters97")


def test_names_of_the_table_and_of_timm_stay_theirs(folder: Path) -> None:
    for name in ("uni", "resnet10t"):
        write_package(folder / name, name, module=f"taker_{name}")
        sys.path.append(str(folder / name))
        assert resolve(name).plugin is None


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("@ self.weights", "@ self.weights[:, :7]", r"shape \(2, 7\) for 2 tiles.*states dim 20"),
        ("return seen.", "return 1 / 0 or seen.", r"encode\(\) failed with ZeroDivisionError"),
        ("return seen.reshape", "return list(seen) or seen.reshape", "returns list; return a nump"),
        ("return seen.reshape", "return 0 < seen.reshape", "returns bool"),
        ("weights_sha256=found", "weights_sha256=None", "states no weights_sha256"),
        ("dim=20", "dim=0", "in its PluginSpec dim must be 1 or more"),
        ("dim=20, ", "", "in its PluginSpec dim is missing"),
        ("dim=20", "dim='x'", "in its PluginSpec dim must be a whole number, not 'x'"),
        ("tile_px=96", "tile_px='96 px'", r"tile_px must be a whole number of 8 to 4096, several"),
        ("mpp=0.5", "mpp=(0.5, None)", r"PluginSpec mpp must be a number above 0, [^;]*None$"),
        ("mpp=0.5", "mppx=0.5", "there is no field mppx; did you mean mpp"),
        ("weights_sha256=found", "weights_sha256='abc'", "must be a SHA-256: 64 digits of 0-9 and"),
        (
            '        """Draw',
            '        import not_there\n        """Draw',
            "needs the module 'not_there'",
        ),
        ('licence="mit"', 'licence=""', "in its PluginSpec licence"),
        ('preprocessing="opt', 'mean=(0.5, 0.5, 0.5), preprocessing="opt', "state both"),
        ('"optical density of each channel, clipped at 2"', '""', "no mean and std and no prep"),
        ("def load(", "def fetch(", r"a Quarters without the method load\(\)"),
        ("return Quarters()", "return 3", r"makes an int without the method spec\(\)"),
        ("default_rng(0)", "default_rng(0)[1]", r"load\('cpu'\) failed with TypeError"),
        ("count, height", "pixels[:] = 0; count, height", "ValueError.*read-only"),
    ],
)
def test_a_plugin_is_held_to_what_it_states_and_named(
    folder: Path, old: str, new: str, told: str
) -> None:
    change(folder, old, new)
    with pytest.raises(ConfigError, match=rf"encoder plugin '{REQUEST}'.*{told}"):
        load()


def test_vectors_of_another_precision_become_float32(folder: Path) -> None:
    change(folder, "astype(np.float32) @", "astype(np.float64) @")
    assert load().encode(TILES).dtype == np.float32


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"precision": "bfloat16"}, "computes in float32, and --precision bfloat16 cannot change"),
        ({"engine": "openvino"}, "--engine openvino cannot change that"),
    ],
)
def test_settings_that_a_plugin_cannot_follow_are_refused(
    folder: Path, settings: dict[str, Any], told: str
) -> None:
    write_module(folder, MODULE)
    with pytest.raises(ConfigError, match=told):
        load(**settings)


def test_fine_tuning_needs_a_network_that_timm_builds(folder: Path) -> None:
    write_module(folder, MODULE)
    with pytest.raises(ConfigError, match="choose an encoder that timm can build"):
        build_network(resolve(REQUEST))


def test_a_run_records_the_plugin_and_refuses_other_weights_under_its_name(
    folder: Path, make_config: MakeConfig, cohort: Any
) -> None:
    write_module(folder, MODULE)
    good = {"encoder": (REQUEST,), "tile_px": 96, "manifest": str(cohort.good), "address": "none"}
    config = make_config(folder / "store", **good)
    run_extract(config, open_in_process)
    store = open_store(str(folder / "store"))
    facts = next(iter(store.receipts().values())).encoder
    assert facts.plugin == REQUEST
    assert facts.preprocessing == "optical density of each channel, clipped at 2"
    assert (facts.licence, facts.mean, facts.std) == ("mit", (0, 0, 0), (1, 1, 1))
    assert {receipt.format_version for receipt in store.receipts().values()} == {4}
    assert store.verify() == (3, [])
    change(folder, "default_rng(0)", "default_rng( 1)")
    del sys.modules[MODULE]
    more = config.model_copy(update={"manifest": str(cohort.manifest)})
    with pytest.raises(StoreError, match=re.escape(facts.weights_sha256[:12])):
        run_extract(more, open_in_process)
