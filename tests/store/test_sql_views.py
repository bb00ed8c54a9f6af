"""The views of a store: all it holds, in this program's DuckDB and in any other."""

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from histo_ray.cli.main import main
from histo_ray.errors import StoreError
from histo_ray.pooling.feature_store import FeatureStore
from histo_ray.schema import arrow_schema
from histo_ray.store import tile_segments
from histo_ray.store.layout import Form
from histo_ray.store.location import location_of
from histo_ray.store.measures import MeasureReceipt, write_measures
from histo_ray.store.sql.listed_views import ABOUT, TABLES
from histo_ray.store.store import Store, open_store
from histo_ray.store.tables import TableFolder
from histo_ray.types import Outcome, RunRow, TileRows
from tests.made_up import facts_of, rows_of

RUNS: dict[str, str | tuple[str, ...]] = {"expression": ("outcome", "label"), "tissue": "tissue"}
AWKWARD = "it's [a] store; drop table x--"


def one_row(schema: pa.Schema) -> pa.Table:
    """A table of one row: names are the column's own, numbers 1."""
    cells = [
        [f.name if f.type == pa.string() else True if f.type == pa.bool_() else 1] for f in schema
    ]
    return pa.table(
        [pa.array(c, f.type) for c, f in zip(cells, schema, strict=True)], schema=schema
    )


def write_evaluations(root: Path) -> None:
    for task, family in RUNS.items():
        folder = TableFolder(location_of(str(root)), f"evaluations/{task}/{task}-1")
        for view in TABLES.values():
            if not view.files.startswith("evaluations/"):
                continue
            for name in view.schemas:
                if name in ("folds", "mil_members") or name.startswith(family):
                    schema = arrow_schema(name)
                    file = view.files.rpartition("/")[2].removesuffix(".parquet")
                    folder.write(file, [one_row(schema)], schema)
        folder.write_note("run", {"task": task, "folds": 5})
        folder.child("pieces").write(
            "scores", [one_row(arrow_schema("folds"))], arrow_schema("folds")
        )


def write_quality(store: Store, slide_id: str) -> None:
    """What `extract` writes of a slide; blur is not measured by it."""
    (key,) = (key for key in store.list_keys() if key.slide_id == slide_id)
    ink = np.array([0, 0.5, 0, np.nan], np.float32)
    facts = store.read_receipt(key).slide
    receipt = MeasureReceipt(
        slide_id=slide_id, fingerprint=facts.fingerprint, tiling=key.tiling, overview_mpp=(8, 8)
    )
    coords = np.zeros((4, 2), np.int32)
    write_measures(store.root, receipt, coords, {"ink": ink, "fold": np.ones(4, np.float32)})


def write_cards_and_predictions(root: Path) -> None:
    """What `finetune`, `fit` and `predict` write."""
    for path in ("predictors/luad/predictor.json", "models/own/model.json"):
        (root / path).parent.mkdir(parents=True)
        (root / path).write_text('{\n "task": "mutation", "targets": ["TP53"]\n}')
    folder = TableFolder(location_of(str(root)), "predictions/luad/b-1")
    table = pa.table({"patient_id": ["P'1"], "value": [0.25]})
    folder.write("patients", [table], table.schema)
    folder.write("odd name", [table], table.schema)
    for name in ("scores", "curves", "comparisons"):
        schema = arrow_schema(f"external_{name}")
        folder.child("validate-1").write(name, [one_row(schema)], schema)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("views") / AWKWARD
    store = open_store(str(path), create=True)
    forms: dict[str, Form] = {"it's": "parquet", "b[1]": "parquet", "c": "zarr"}
    for slide_id, form in forms.items():
        facts = facts_of(slide_id)
        store.commit(facts.key, facts, rows_of(4), format=form)
    rows = [RunRow("it's", "e", Outcome.DONE, "", 4, 1.0, "P9", False, "site'9")]
    store.write_run("20260101T000000-1", rows)
    FeatureStore(store.root).matrix("e", pool="slide:mean")  # writes slide vectors
    write_quality(store, "it's")
    write_evaluations(path)
    write_cards_and_predictions(path)
    return path


@pytest.mark.parametrize("name", ABOUT)
def test_a_view_of_an_empty_store_has_the_columns_of_a_full_one(
    name: str, root: Path, store: Store
) -> None:
    empty, full = (one.sql(f"from {name}") for one in (store, open_store(str(root))))
    assert empty.fetchall() == []
    assert len(full.fetchall()) >= 1
    assert set(empty.columns) == set(full.columns)
    kinds = dict(zip(full.columns, full.types, strict=True))
    assert {c: str(kinds[c]) for c in empty.columns} == {
        c: str(kind) for c, kind in zip(empty.columns, empty.types, strict=True)
    }


def test_show_tables_lists_every_view_of_the_store(root: Path, store: Store) -> None:
    assert {name for (name,) in store.sql("show tables").fetchall()} == set(ABOUT)
    there = {name for (name,) in open_store(str(root)).sql("show tables").fetchall()}
    assert there == {*ABOUT, "predicted_patients"}


def test_tables_of_all_tasks_are_one_view_that_says_task_and_run(root: Path) -> None:
    store = open_store(str(root))
    rows = store.sql("select task, run, target, auroc, accuracy from scores order by 1").fetchall()
    assert rows == [
        ("expression", "expression-1", "target", 1.0, None),
        ("tissue", "tissue-1", None, None, 1.0),
    ]
    assert store.sql("select task, run, reason from cohorts").fetchall() == [
        ("expression", "expression-1", "reason")
    ]
    found = store.sql("select task, (record->>'$.folds')::int from evaluations order by 1")
    assert found.fetchall() == [("expression", 5), ("tissue", 5)]


def test_scores_that_are_undefined_are_null(store: Store) -> None:
    schema = arrow_schema("outcome_scores")
    rows = pa.concat_tables([one_row(schema)] * 3)
    at = schema.get_field_index("auroc")
    rows = rows.set_column(at, schema.field(at), pa.array([0.75, np.nan, 0.5]))
    TableFolder(store.root, "evaluations/mutation/m-1").write("scores", [rows], schema)
    found = store.sql("select auroc from scores where auroc > 0.6 or auroc is null order by 1")
    assert found.fetchall() == [(0.75,), (None,)]
    assert store.sql("select avg(auroc), max(auroc) from scores").fetchall() == [(0.625, 0.75)]


def test_cards_and_predictions_are_views_as_soon_as_they_are_there(root: Path) -> None:
    store = open_store(str(root))
    assert store.sql("select name, card->>'$.targets[0]' from predictors").fetchall() == [
        ("luad", "TP53")
    ]
    assert store.sql("from predicted_patients").fetchall() == [("luad", "b-1", "P'1", 0.25)]


def test_tiles_are_joined_with_what_was_measured_of_them(root: Path) -> None:
    query = (
        "select tile_id, ink, fold, blur from embeddings join quality "
        "using (tiling, slide_id, tile_id) where ink < 0.1 or ink is null order by 1"
    )
    rows = open_store(str(root)).sql(query).fetchall()
    assert rows == [(0, 0.0, 1.0, None), (2, 0.0, 1.0, None), (3, None, 1.0, None)]


def test_a_damaged_table_stops_queries_of_its_view_alone(root: Path, tmp_path: Path) -> None:
    root = shutil.copytree(root, tmp_path / "copy")
    (root / "evaluations/tissue/tissue-1/scores.parquet").write_bytes(b"PAR1 no table PAR1")
    store = open_store(str(root))
    assert store.sql("select count(*) from predictions").fetchall() == [(1,)]
    with pytest.raises(StoreError, match=r"view scores cannot be made .*scores\.parquet") as told:
        store.sql("from scores")
    assert "\n" not in str(told.value)


def run_script(script: str, query: str, folder: Path) -> list[tuple[Any, ...]]:
    """Run a query after the script in a DuckDB of another process, which does not know of us."""
    (folder / "views.sql").write_text(script)
    (folder / "query.py").write_text(
        "import duckdb, sys\nwith duckdb.connect() as c:\n    c.execute(open('views.sql').read())\n"
        "    print(c.sql(sys.argv[1]).fetchall())\n"
    )
    done = subprocess.run(
        [sys.executable, "query.py", query], cwd=folder, capture_output=True, text=True, check=True
    )
    rows: list[tuple[Any, ...]] = eval(done.stdout)
    return rows


def test_the_script_makes_the_same_views_in_any_duckdb(root: Path, tmp_path: Path) -> None:
    store = open_store(str(root))
    columns = "slide_id, patient_id, site, encoder, tiling, format, n_tiles, dim, precision, device"
    places = "width, height, mpp_x, mpp_y, mpp_source, tile_px, tile_mpp, empty_reason, path"
    slides = f"select {columns}, {places} from slides order by all"
    with duckdb.connect() as connection:
        connection.execute(store.view_script())
        named = {name for (name,) in connection.sql("show tables").fetchall()}
        assert named == {*ABOUT, "predicted_patients"}
        for name in sorted(named - {"embeddings"}):
            ours, theirs = store.sql(f"from {name}"), connection.sql(f"from {name}")
            assert theirs.columns == ours.columns
            assert [str(kind) for kind in theirs.types] == [str(kind) for kind in ours.types]
            assert sorted(map(str, theirs.fetchall())) == sorted(map(str, ours.fetchall()))
    mine = store.sql(slides).fetchall()
    assert [row[:3] for row in mine][2] == ("it's", "P9", "site'9")
    assert run_script(store.view_script(), slides, tmp_path) == mine
    count = "select slide_id, count(*) from embeddings group by 1 order by 1"
    assert run_script(store.view_script(), count, tmp_path) == [("b[1]", 4), ("it's", 4)]
    assert "Zarr partitions: they are in slides, not in embeddings" in store.view_script()


def test_the_script_of_an_empty_store_runs(store: Store) -> None:
    with duckdb.connect() as connection:
        connection.execute(store.view_script())
        assert connection.sql("from embeddings join slides using (slide_id)").fetchall() == []


def test_the_program_of_duckdb_takes_the_script(root: Path, tmp_path: Path) -> None:
    program = shutil.which("duckdb")
    if program is None:
        pytest.skip("needs the program duckdb on the PATH")
    (tmp_path / "views.sql").write_text(open_store(str(root)).view_script())
    done = subprocess.run(
        [program, "-csv", "-init", "views.sql", "-c", "select count(*) as n from embeddings"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["n", "8"]


@pytest.mark.parametrize("form", ["parquet", "zarr"])
@pytest.mark.parametrize("derived", [False, True])
def test_what_nobody_measured_is_null_in_views(
    store: Store, form: Form, derived: bool, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    if derived:  # tiles come from segments
        monkeypatch.setattr(tile_segments, "LEAST", 2)
        monkeypatch.setattr(tile_segments, "SETTLED_NS", 0)
    for name, known in {"measured": True, "imported": False}.items():
        facts = facts_of(name)
        rows = list(rows_of(5))
        if not known:
            nothing = {"mpp": (0.0, 0.0), "mpp_source": "unknown", "size_px": (0, 0)}
            slide = facts.slide.model_copy(update=nothing)
            tiling = facts.tiling.model_copy(update={"settings": {"mpp": 0.0, "tile_px": 0}})
            facts = replace(facts, slide=slide, tiling=tiling)
            nan = np.full(5, np.nan, np.float32)
            rows = [TileRows(rows[0].coords, nan, nan, rows[0].embeddings)]
        store.commit(facts.key, facts, rows, format=form)
    for read in ("", "and embedding is not null"):  # by the derived table, and by vectors
        high = f"select distinct slide_id from embeddings where tissue > -1 {read}"
        assert store.sql(high).fetchall() == [("measured",)]
        null = f"select count(*) from embeddings where tissue is null and focus is null {read}"
        assert store.sql(null).fetchall() == [(5,)]
    assert derived == bool(list(Path(store.root.path).glob("cache/tiles/*/*/*.parquet")))
    numbers = "select width, height, mpp_x, mpp_y, tile_px, tile_mpp from slides order by slide_id"
    assert store.sql(numbers).fetchall()[0] == (None,) * 6
    with duckdb.connect() as connection:
        connection.execute(store.view_script())
        assert connection.sql(numbers).fetchall() == store.sql(numbers).fetchall()
        if form == "parquet":
            query = "select count(*) from embeddings where tissue > -1 or focus > -1"
            assert connection.sql(query).fetchall() == [(5,)]
    slides = store.slides().set_index("slide_id")
    assert slides.loc["imported", ["width", "mpp_x", "tile_px", "tile_mpp"]].isna().all()
    assert list(slides.loc["measured", ["width", "mpp_x", "tile_mpp"]]) == [1200, 0.25, 0.5]
    assert main(["store", "ls", store.root.path, "--slides"]) == 0
    head, first, _ = capsys.readouterr().out.splitlines()
    shown = dict(zip(head.split(), first.split(), strict=False))
    assert shown["slide_id"] == "imported"
    assert [one.split().count("-") for one in (head, first)] == [0, 6]
    assert main(["store", "ls", store.root.path]) == 0
    assert " 0.0 " not in capsys.readouterr().out


def test_what_was_not_measured_of_some_tiles_is_null_among_numbers(store: Store) -> None:
    (rows,) = rows_of(4)
    facts = facts_of("S1")
    focus = np.array([5, np.nan, 7, np.nan], np.float32)
    store.commit(facts.key, facts, [replace(rows, focus=focus)])
    for columns in ("tile_id, focus", "tile_id, focus, embedding"):  # without vectors: a cache
        found = store.sql(f"select {columns} from embeddings where focus is null order by 1")
        assert [row[:2] for row in found.fetchall()] == [(1, None), (3, None)]
        found = store.sql(f"select {columns} from embeddings where focus > 6")
        assert [row[:2] for row in found.fetchall()] == [(2, 7.0)]
