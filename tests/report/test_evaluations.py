"""Which evaluations a report is about."""

import json
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from histo_ray.errors import StoreError
from histo_ray.report.evaluations import choose_runs, read_batches, read_rows
from histo_ray.report.page import summarise, write_report
from histo_ray.storage.seal import seal_json, strip_marks
from histo_ray.store.tables import open_evaluation

ENCODERS = ["e-1", "e-2"]
GENES = ["TP53", "KRAS", "EGFR"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, evaluations: SimpleNamespace) -> Path:
    """Two mutation runs, the newer one first by name; one of tissue and one of expression."""
    folder: Path = evaluations.new_store(tmp_path_factory.mktemp("made") / "store")
    evaluations.add_tissue(folder, ENCODERS, tiles=60)
    evaluations.add_outcome(folder, "expression", ENCODERS, GENES)
    times = {"mutation-a": "2026-11-25T01:00:00+02:00", "mutation-b": "2026-11-24T22:30:00+00:00"}
    for run_id, created in times.items():
        evaluations.add_outcome(folder, "mutation", ENCODERS, GENES, run_id, created_at=created)
    return folder


@pytest.fixture
def store(made: Path, tmp_path: Path) -> Path:
    """A copy to be damaged."""
    return Path(shutil.copytree(made, tmp_path / "store"))


def change_note(store: Path, run: str, **changes: object) -> None:
    path = store / "evaluations" / run / "run.json"
    path.write_bytes(seal_json(strip_marks(json.loads(path.read_text())) | changes))


def test_the_newest_run_of_each_task_is_taken(store: Path) -> None:
    chosen = choose_runs(str(store))
    assert [run.run_id for run in chosen.runs] == [
        "tiles-1a2b3c",
        "expression-4d5e6f",
        "mutation-a",
    ]
    assert not chosen.problems
    change_note(store, "mutation/mutation-b", created_at="2026-11-24T23:30:00")  # UTC if unsaid
    assert choose_runs(str(store)).runs[-1].run_id == "mutation-b"
    change_note(store, "mutation/mutation-b", created_at="yesterday")
    assert choose_runs(str(store)).runs[-1].run_id == "mutation-a"


def test_runs_that_are_named_are_the_only_ones(store: Path) -> None:
    chosen = choose_runs(str(store), ["mutation-b", "mutation-a"])
    assert sorted(run.run_id for run in chosen.runs) == ["mutation-a", "mutation-b"]
    titles = sorted(run.words.title for run in chosen.runs)
    assert [title.split(" (")[1] for title in titles] == ["mutation-a)", "mutation-b)"]
    assert sorted(one.task for one in summarise(str(store), ["mutation-a", "mutation-b"])) == [
        "mutation-a",
        "mutation-b",
    ]


def test_an_unknown_run_is_refused_with_those_there(store: Path) -> None:
    with pytest.raises(
        StoreError,
        match=r"--run nope: store .* holds no such evaluation; it has .* mutation-a \(mutation\)",
    ) as error:
        choose_runs(str(store), ["nope", "mutation-a"])
    assert "\n" not in str(error.value)
    assert "tiles-1a2b3c (tissue)" in str(error.value)


def test_a_store_without_evaluations_is_refused_with_the_commands(
    tmp_path: Path, evaluations: SimpleNamespace
) -> None:
    empty = evaluations.new_store(tmp_path / "empty")
    with pytest.raises(StoreError, match="evaluate tissue, histo-ray evaluate expression"):
        choose_runs(str(empty))
    with pytest.raises(StoreError, match=r"no store\.json"):
        choose_runs(str(tmp_path))


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        ("truncate note", "run.json is damaged"),
        ("not utf-8", "run.json is damaged"),
        ("no folds", r"run.json is damaged \(folds: field required\)"),
        ("no note", "did not end"),
        ("a list", "run.json is damaged"),
        ("truncate table", "targets.parquet: the table cannot be read"),
        ("no table", "comparisons.parquet: the table cannot be read"),
        ("no column", "cohort.parquet has no column reason, site, slides, used"),
    ],
)
def test_a_damaged_run_is_named_and_an_older_one_takes_its_place(
    store: Path, damage: str, told: str
) -> None:
    run = store / "evaluations" / "mutation" / "mutation-a"
    note = run / "run.json"
    if damage == "truncate note":
        note.write_text(note.read_text()[:100])
    elif damage == "not utf-8":
        note.write_bytes(b'{"task": "\xff"}')
    elif damage == "no folds":
        change_note(store, "mutation/mutation-a", folds=None)
        said = strip_marks(json.loads(note.read_text()))
        note.write_bytes(seal_json({key: said[key] for key in said if key != "folds"}))
    elif damage == "no note":
        note.unlink()
    elif damage == "a list":
        note.write_text("[]")
    elif damage == "truncate table":
        table = run / "targets.parquet"
        table.write_bytes(table.read_bytes()[:-20])
    elif damage == "no table":
        (run / "comparisons.parquet").unlink()
    elif damage == "no column":
        pq.write_table(pa.table({"patient_id": ["P"]}), run / "cohort.parquet")
    chosen = choose_runs(str(store))
    assert [run.run_id for run in chosen.runs][-1] == "mutation-b"
    assert len(chosen.problems) == 1
    assert "mutation-a" in chosen.problems[0]
    with pytest.raises(StoreError, match=told) as error:
        choose_runs(str(store), ["mutation-a"])
    assert "\n" not in str(error.value)


def test_stray_files_and_folders_are_no_runs(store: Path) -> None:
    (store / "evaluations" / "mutation" / ".DS_Store").write_text("")
    (store / "evaluations" / "mutation" / "readme.txt").write_text("")
    (store / "evaluations" / "astrology" / "x").mkdir(parents=True)
    chosen = choose_runs(str(store))
    assert len(chosen.runs) == 3
    assert not chosen.problems


def test_large_tables_are_read_by_target_and_by_piece(store: Path) -> None:
    folder = open_evaluation(str(store), "mutation", "mutation-a")
    rows = read_rows(folder, "predictions", ["target", "predicted"], ["KRAS"])
    assert set(rows["target"]) == {"KRAS"}
    assert len(rows) == 2 * 3 * 60
    pieces = list(read_batches(folder, "predictions", ["encoder"]))
    assert sum(map(len, pieces)) == 3 * 2 * 3 * 60
    assert list(pieces[0]) == ["encoder"]
    with pytest.raises(
        StoreError, match=r"predictions.parquet has no column wrong, which another version"
    ):
        read_rows(folder, "predictions", ["wrong"], ["KRAS"])


@pytest.mark.parametrize("content", [b'{"task": ', b"", b"[" * 99_999, b"\xff\xfe{}", b"[1]"])
def test_the_rest_of_the_page_is_made_beside_a_damaged_note(
    store: Path, tmp_path: Path, content: bytes
) -> None:
    for path in store.glob("evaluations/mutation/*/run.json"):
        path.write_bytes(content)
    page = write_report(str(store), tmp_path / "r.html").read_text(encoding="utf-8")
    assert page.count("run.json is damaged (no JSON, or not as it was written)") == 2
    assert "crc-100k" in page


def test_half_a_page_of_a_killed_process_is_removed_and_nothing_else(
    store: Path, tmp_path: Path
) -> None:
    names = (".r.html.histo-ray-old", ".r.html.histo-ray-new", ".r.html.swp", ".s.html.histo-ray-x")
    for name in names:
        (tmp_path / name).write_text("half")
        if not name.endswith("new"):
            os.utime(tmp_path / name, (0, 0))
    write_report(str(store), tmp_path / "r.html")
    assert {path.name for path in tmp_path.iterdir() if path.is_file()} == {"r.html", *names[1:]}
