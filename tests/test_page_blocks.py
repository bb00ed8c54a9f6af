"""Blocks of pages on the store run as they stand, on made vectors of a real slide.

What starts Ray or evaluates is left out here by a stand-in; tutorials and other tests run it.
"""

import ast
import dataclasses
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import histo_ray as hr
from histo_ray.api.feature_store import FeatureStore
from histo_ray.cli.main import main
from histo_ray.schema import arrow_schema
from histo_ray.store.neighbours import index_files
from histo_ray.store.store import Store, open_store
from histo_ray.types import TileRows
from testing.doc_commands import take_words
from tests.conftest import Cohort
from tests.made_up import facts_of

ROOT = Path(__file__).resolve().parents[1]
TILES = 20
ENCODERS = {"random-resnet18-seed0": 512, "imgnet2048": 16}
TABLES = {
    "STORE/evaluations/mutation/r/endpoints.parquet": "outcome_endpoints",
    "STORE/evaluations/mutation/r/comparisons.parquet": "outcome_comparisons",
    "STORE_B/predictions/p/r/validate-1/scores.parquet": "external_scores",
}


def blocks_of(page: str, language: str) -> list[str]:
    """Blocks of a page in a language, at least one."""
    text = (ROOT / page).read_text(encoding="utf-8")
    blocks = [part.partition("\n") for part in text.split("\n```")[1::2]]
    found = [code for named, _, code in blocks if named == language]
    assert found, page
    return found


def run_python(code: str, names: dict[str, Any]) -> None:
    """Run a block as the next cell of a notebook whose names are `names`."""
    exec(compile(code.replace("num_workers=2", "num_workers=0"), "page", "exec"), names)


def write_slide(store: Store, encoder: str, slide_id: str) -> None:
    dim = ENCODERS[encoder]
    facts = facts_of(slide_id, encoder, "t0", dim, patient_id=slide_id)
    facts = dataclasses.replace(
        facts, slide=facts.slide.model_copy(update={"path": "slides/S1.svs"})
    )
    rng = np.random.default_rng(dim)
    coords = np.arange(2 * TILES, dtype=np.int32).reshape(-1, 2)
    ones = np.ones(TILES, np.float32)
    vectors = rng.standard_normal((TILES, dim)).astype(np.float16)
    store.commit(facts.key, facts, [TileRows(coords, ones, ones, vectors)])


@pytest.fixture
def folder(tmp_path: Path, cohort: Cohort, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The current folder with all that pages name, and the names that blocks of Python share."""
    monkeypatch.chdir(tmp_path)
    store = open_store("STORE", create=True)
    for encoder in ENCODERS:
        for slide_id in ("S1", "S2"):
            write_slide(store, encoder, slide_id)
    Path("slides").mkdir()
    shutil.copy(cohort.folder / "good-a.svs", "slides/S1.svs")
    Path("mutations.csv").write_text("patient_id,TP53\nS1,1\nS2,0\n")
    for path, schema in TABLES.items():
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(arrow_schema(schema).empty_table(), path)
    run = SimpleNamespace(outcomes=pd.DataFrame({"slide_id": ["S1"]}))
    result = SimpleNamespace(targets=None, comparisons=None)
    batches = SimpleNamespace(iter_torch_batches=lambda batch_size: iter(()))
    monkeypatch.setattr(hr, "extract", lambda *args, **settings: run)
    monkeypatch.setattr("histo_ray.api.evaluate.mutation", lambda *args, **settings: result)
    monkeypatch.setattr(index_files, "SETTLED_NS", 0)  # no file changes any more
    monkeypatch.setattr(FeatureStore, "to_ray", lambda *args, **settings: batches)
    return {"__name__": "page"}


def test_the_first_lines_of_the_readme_run(folder: dict[str, Any]) -> None:
    for code in blocks_of("README.md", "python"):
        run_python(code, folder)
    assert folder["bag"].embeddings.shape == (TILES, 512)


@pytest.mark.filterwarnings("ignore:.*pin_memory")
def test_python_of_the_python_page_runs(folder: dict[str, Any]) -> None:
    for code in blocks_of("docs/python.md", "python"):
        run_python(code, folder)
    assert len(folder["found"]) == 10
    assert set(folder["found"].slide_id) == {"S2"}
    assert folder["batch"]["embeddings"].shape[1] == 16


def test_python_of_the_store_page_runs(
    folder: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    others, own = blocks_of("docs/guide/store.md", "python")
    *first, zarr = ast.parse(others).body
    for statement in first:
        run_python(ast.unparse(statement), folder)
    run_python(own, folder)
    assert folder["batch"].pixels.shape[1:] == (224, 224, 3)
    assert main(["store", "convert", "--to", "zarr", "STORE", "--quiet"]) == 0
    run_python(ast.unparse(zarr).replace("TILING", "t0"), folder)


def test_commands_of_the_store_page_run(
    folder: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    (commands,) = (code for code in blocks_of("docs/guide/store.md", "") if "store gc" in code)
    lines = commands.strip().splitlines()
    assert len(lines) > 5
    for line in lines:
        assert main(list(take_words(line.partition("histo-ray ")[2]))) == 0, line
    assert "random-resnet18-seed0" in capsys.readouterr().out


@pytest.mark.parametrize(
    "page", ["docs/guide/store.md", "docs/guide/evaluate.md", "docs/guide/predict.md"]
)
def test_sql_of_a_page_runs_in_duckdb(page: str, folder: dict[str, Any]) -> None:
    for code in blocks_of(page, "sql"):
        for statement in duckdb.extract_statements(code):
            duckdb.execute(statement).fetchall()
