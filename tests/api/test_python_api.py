"""What `import histo_ray as hr` offers."""

import doctest
import importlib
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest

import histo_ray as hr
import histo_ray.api.encoder
import histo_ray.api.extract
import histo_ray.api.finetune
import histo_ray.api.import_features
import histo_ray.api.plan
from histo_ray.api.keywords import (
    ExtractSettings,
    FinetuneSettings,
    ImportSettings,
    make_settings,
)
from histo_ray.api.pipelines import choose_pipeline
from histo_ray.config import ExtractConfig, Settings, TileSetConfig
from histo_ray.errors import ConfigError
from histo_ray.extract import small_work
from histo_ray.extract.labelled_tiles import TileSetSubject
from histo_ray.extract.small_work import prefers_this_process, starts_ray
from histo_ray.extract.work import SubjectWork
from histo_ray.finetune.finetune_config import FinetuneConfig
from histo_ray.store.exchange.import_config import ImportConfig
from histo_ray.tilesets.tileset import TileSet
from histo_ray.types import Slide
from testing.foreign_files import draw_slide, write_trident
from testing.partitions import draw_tiles

MODULES = [
    histo_ray.api.encoder,
    histo_ray.api.extract,
    histo_ray.api.finetune,
    histo_ray.api.import_features,
    histo_ray.api.plan,
]
ORDERS = [
    "from histo_ray.extract.slide import plan_slide",
    "import histo_ray.extract.slide as module; module.plan_slide",
    "import histo_ray; assert callable(histo_ray.extract) and callable(histo_ray.finetune)",
    "import histo_ray.finetune.finetune_config; histo_ray.finetune.finetune_config.FinetuneConfig",
    "from histo_ray import extract, finetune; assert callable(extract) and callable(finetune)",
]


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_the_examples_of_docstrings_work(module: ModuleType, cohort: Any, tmp_path: Path) -> None:
    manifest = tmp_path / "slides.csv"
    manifest.write_text(f"slide_id,path\nS1,{cohort.folder / 'good-a.svs'}\n")
    tiles = draw_tiles(tmp_path / "tiles", count=4, seed=1)
    write_trident(tmp_path / "job", draw_slide("S1", 90))
    names = {"slides": manifest, "store": str(tmp_path / "store"), "tiles": tiles}
    names |= {"trident_job": tmp_path / "job"}
    found = doctest.testmod(module, extraglobs=names)
    assert found.attempted >= 3
    assert found.failed == 0


@pytest.mark.parametrize("first", range(len(ORDERS)))
def test_rooms_that_are_functions_stay_rooms_whatever_is_imported_first(first: int) -> None:
    code = "\n".join([*ORDERS[first:], *ORDERS[:first]])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("way", ["file", "module", "stdin"])
def test_a_plan_runs_a_script_without_a_guard_once(way: str, cohort: Any, tmp_path: Path) -> None:
    slide = cohort.folder / "good-a.svs"
    (tmp_path / "slides.csv").write_text(f"slide_id,path\nS1,{slide}\n")
    script = tmp_path / "unguarded.py"
    script.write_text(
        "from pathlib import Path\nimport histo_ray as hr\n"
        "with Path('runs').open('a') as file:\n    file.write('x')\n"
        "made = hr.plan('slides.csv', 'store', encoder='random:resnet10t?seed=0&px=64', tile_px=64,"
        " mpp=0.5, measure=True)\nprint(made.tiles > 0, made.seconds > 0)\n"
    )
    arguments = {
        "file": [script.name],
        "module": ["-m", "unguarded"],
        "stdin": ["-"],
    }
    done = subprocess.run(
        [sys.executable, *arguments[way]],
        input=script.read_text(),
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (0, "True True\n"), done.stderr
    assert (tmp_path / "runs").read_text() == "x"


def test_the_package_is_imported_without_anything_heavy() -> None:
    heavy = {"torch", "ray", "pandas", "numpy", "pyarrow", "pydantic"}
    code = f"import sys, histo_ray; print(sorted({heavy!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_name_of_the_api_is_there_and_tells_its_arguments() -> None:
    for name in hr.__all__:
        assert getattr(hr, name) is not None
    inspect = importlib.import_module("inspect")
    for verb in ("extract", "finetune", "plan", "load_encoder", "import_features"):
        assert len(inspect.signature(getattr(hr, verb)).parameters) > 2
    with pytest.raises(AttributeError, match="no attribute 'segment'"):
        hr.__getattr__("segment")


@pytest.mark.parametrize(
    ("keywords", "config", "arguments"),
    [
        (ExtractSettings, ExtractConfig, {"manifest", "store"}),
        (FinetuneSettings, FinetuneConfig, {"tiles", "store"}),
        (ImportSettings, ImportConfig, {"folder", "store", "encoder", "layout"}),
    ],
)
def test_every_setting_is_a_keyword(
    keywords: type, config: type[Settings], arguments: set[str]
) -> None:
    assert set(keywords.__annotations__) == set(config.model_fields) - arguments


def test_keywords_are_checked_as_flags_are() -> None:
    config = make_settings(
        ExtractConfig, {"manifest": Path("m.csv"), "store": "s", "encoder": "e"}, "hr.extract"
    )
    assert (config.manifest, config.encoder, config.address) == ("m.csv", ("e",), "none")
    with pytest.raises(ConfigError, match=r"hr\.extract: mpp = 0: must be 0\.05 or more"):
        hr.extract("m.csv", "s", encoder="e", mpp=0)
    with pytest.raises(ConfigError, match="encoder is missing"):
        hr.extract("m.csv", "s")
    with pytest.raises(ConfigError, match="a config object holds all settings"):
        hr.extract(config, mpp=1.0)
    with pytest.raises(ConfigError, match=r"hr\.extract: mmp: unknown key; did you mean mpp\?"):
        hr.extract("m.csv", "s", encoder="e", mmp=1.0)  # type: ignore[call-arg]
    with pytest.raises(ConfigError, match="several workers need Ray"):
        hr.finetune("tiles", "s", encoder="resnet18", name="x", workers=2)


def test_an_extraction_is_a_table_of_outcomes(cohort: Any, tmp_path: Path) -> None:
    run = hr.extract(
        cohort.manifest, tmp_path / "store", encoder=["random:resnet10t?seed=0&px=64"],
        tile_px=64, batch_size=16, device="cpu",
    )  # fmt: skip
    outcomes = run.outcomes.set_index("slide_id")["outcome"].to_dict()
    assert outcomes == {
        "good-a": "done", "good-b": "done", "good-c": "done", "empty": "empty",
        "truncated": "failed", "dark": "failed",
    }  # fmt: skip
    assert "ray" not in sys.modules or not sys.modules["ray"].is_initialized()
    store = hr.open_store(run.store)
    told = store.sql(f"select outcome from runs where run_id = '{run.run_id}'").df()
    assert sorted(told["outcome"]) == sorted(run.outcomes["outcome"])
    bag = store.bag("good-a", "random-resnet10t-px64-seed0")
    encoder = hr.load_encoder("random:resnet10t?seed=0&px=64", device="cpu")
    with hr.open_slide(str(cohort.folder / "good-a.svs")) as slide:
        batches = list(hr.read_tiles(slide, mpp=0.5, tile_px=64, tissue="otsu"))
    vectors = np.concatenate([encoder.encode(batch.pixels) for batch in batches])
    assert np.array_equal(vectors.astype(np.float16), bag.embeddings)


@pytest.mark.parametrize(("value", "what"), [(pd.DataFrame({"a": [1, 2]}), "a Da"), (None, "None")])
@pytest.mark.parametrize("verb", [hr.extract, hr.plan, hr.finetune, hr.evaluate.mutation])
def test_what_is_no_path_is_one_sentence_without_its_content(
    verb: Any, value: object, what: str
) -> None:
    further = {"labels": value} if verb is hr.evaluate.mutation else {}
    with pytest.raises(ConfigError, match=f" is {what}.* where text or a Path is needed") as told:
        verb("m.csv" if further else value, *([] if further else ["s"]), encoder="e", **further)
    assert "\n" not in str(told.value)
    with pytest.raises(ConfigError) as told:
        hr.extract("m.csv", "s", encoder=value)  # type: ignore[arg-type]
    assert "\n" not in str(told.value)


def works(*slides: Slide) -> list[SubjectWork]:
    return [SubjectWork(slide, ("e",)) for slide in slides]


def test_only_small_work_of_a_default_address_is_done_in_this_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr(small_work, "count_cores", lambda: 4)
    monkeypatch.setattr(small_work, "count_gpus", lambda: 0)
    monkeypatch.setitem(sys.modules, "ray", None)
    default = ExtractConfig(manifest="m.csv", store="s", encoder=("e",))
    (tmp_path / "small.svs").write_bytes(b"0" * 1000)
    with (tmp_path / "large.svs").open("wb") as stream:
        stream.truncate(10**9)
    small, large, remote, folder = (
        Slide(name, name if "://" in name else str(tmp_path / name), "P")
        for name in ("small.svs", "large.svs", "s3://b/small.svs", "small.mrxs")
    )
    assert prefers_this_process(default, works(small, small))
    assert not starts_ray(default, works(small, small))
    assert starts_ray(default, works(small, large))
    assert not starts_ray(default, [])
    assert not starts_ray(default.model_copy(update={"address": "none"}), works(small, large))
    assert prefers_this_process(default, works(*[small] * 20))
    for work in (works(small, large), works(remote), works(folder), works(*[small] * 90)):
        assert not prefers_this_process(default, work)
    for changes in ({"address": "local"}, {"address": "auto"}, {"readers": 3}):
        asked = ExtractConfig(manifest="m.csv", store="s", encoder=("e",), **changes)
        assert not prefers_this_process(asked, works(small))
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    assert not prefers_this_process(default, works(small))


def test_few_local_tiles_are_small_work_and_many_or_remote_ones_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(small_work, "count_cores", lambda: 4)
    monkeypatch.setattr(small_work, "count_gpus", lambda: 0)
    config = TileSetConfig(store="s", encoder=("e",))

    def tiles(count: int, folder: str) -> TileSetSubject:
        paths = tuple(f"{folder}/{n}.png" for n in range(count))
        labels = np.zeros(count, np.int32)
        return TileSetSubject(TileSet("t", ("A", "B"), paths, labels, None, paths, 48))

    assert small_work.is_small([tiles(500, "/tiles")], config)
    assert not small_work.is_small([tiles(50_000, "/tiles")], config)
    assert not small_work.is_small([tiles(5, "s3://bucket/tiles")], config)


def test_several_gpus_are_worth_a_ray(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = ExtractConfig(manifest="m.csv", store="s", encoder=("e",))
    monkeypatch.setattr(small_work, "count_gpus", lambda: 2)
    assert not small_work.is_small([], config)
    assert small_work.is_small([], config.model_copy(update={"device": "cpu"}))
    assert callable(choose_pipeline(config))


def test_results_show_themselves_in_a_line(cohort: Any, tmp_path: Path) -> None:
    manifest = tmp_path / "slides.csv"
    manifest.write_text(f"slide_id,path\nS1,{cohort.folder / 'good-a.svs'}\nS2,bad.svs\n")
    (tmp_path / "bad.svs").write_bytes(b"no slide")
    settings: dict[str, Any] = {
        "encoder": "random:resnet10t?seed=0&px=64", "tile_px": 64, "mpp": 0.5, "device": "cpu",
    }  # fmt: skip
    plan = hr.plan(manifest, tmp_path / "store", open_slides=False, **settings)
    assert repr(plan) == "<ExtractionPlan 2 todo>"
    run = hr.extract(manifest, tmp_path / "store", **settings)
    assert repr(run) == (
        f"<ExtractionResult {run.run_id}; finished; 1 done, 1 failed; store {tmp_path / 'store'}>"
    )
