from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from histo_ray.store.lost_slides import (
    COLUMNS,
    find_synthetic,
    last_failures,
    last_losses,
    read_extraction,
)
from histo_ray.store.store import open_store
from histo_ray.types import Outcome, RunRow


def run(*rows: tuple[str, str, str, str, int]) -> pd.DataFrame:
    columns = ["slide_id", "encoder", "outcome", "reason", "n_tiles"]
    frame = pd.DataFrame(rows, columns=columns)
    return frame.assign(patient_id="P-" + frame["slide_id"], synthetic=frame["slide_id"] == "drawn")


def write_two_runs(folder: Path) -> Path:
    """A store of two extraction runs: what failed in the first may be done in the second."""
    opened = open_store(str(folder), create=True)

    def row(slide: str, encoder: str, outcome: Any, reason: str, tiles: int = 0) -> RunRow:
        return RunRow(slide, encoder, outcome, reason, tiles, 1.0)

    opened.write_run("20261101T000000-aaaaaa", [
        row("mended", "e-1", "failed", "disk full"),
        row("broken", "e-1", "failed", "cannot be opened"),
        row("broken", "e-2", "failed", "cannot be opened"),
        row("glass", "e-1", "empty", "no tissue"),
    ])  # fmt: skip
    opened.write_run("20261102T000000-bbbbbb", [
        row("mended", "e-1", "done", "", 40),
        row("glass", "e-1", "skipped", "already stored"),
    ])  # fmt: skip
    return folder


def test_a_slide_is_lost_by_what_its_last_run_says() -> None:
    first = run(
        ("mended", "a", "failed", "disk full", 0),
        ("spoilt", "a", "done", "", 9),
        ("glass", "a", "empty", "no tissue", 0),
        ("glass", "b", "empty", "no tissue", 0),
    )
    second = run(
        ("mended", "a", "done", "", 7),
        ("spoilt", "a", "failed", "cannot be opened", 0),
        ("glass", "a", "skipped", "already stored", 0),
        ("stored", "a", "skipped", "already stored", 5),
    )
    lost = last_losses([first, second], ["a", "b"])
    assert lost.to_numpy().tolist() == [
        ["glass", "empty", "no tissue", "a, b"],
        ["spoilt", "failed", "cannot be opened", "a"],
    ]
    assert list(lost) == COLUMNS
    assert last_losses([first, second], ["b"])["slide_id"].tolist() == ["glass"]
    assert last_losses([second, first], ["a"])["slide_id"].tolist() == ["glass", "mended"]


def test_a_slide_has_failed_if_every_encoder_that_tried_it_did() -> None:
    runs = [
        run(("half", "a", "failed", "nan", 0), ("half", "b", "done", "", 4)),
        run(("whole", "a", "failed", "cut", 0), ("whole", "b", "failed", "cut", 0)),
        run(("half", "b", "skipped", "already stored", 4), ("drawn", "a", "empty", "", 0)),
    ]
    failed = last_failures(runs, ["a", "b"])
    assert failed.to_numpy().tolist() == [["whole", "P-whole", "cut"]]
    assert last_failures(runs, ["a"])["slide_id"].tolist() == ["half", "whole"]
    assert find_synthetic(runs).to_numpy().tolist() == [["drawn", "P-drawn"]]
    assert len(last_failures([], ["a"])) == len(find_synthetic([])) == 0


def test_tables_of_before_patients_were_in_them_are_read(
    tmp_path: Path,
) -> None:
    store = write_two_runs(tmp_path / "store")
    for path in (store / "runs").iterdir():
        pq.write_table(pq.read_table(path).drop_columns(["patient_id", "synthetic"]), path)
    found = read_extraction(str(store), ["e-1", "e-2"])
    assert found.failed == {"broken"}
    assert not found.synthetic
    assert not found.problems
    row = RunRow("new", "e-1", Outcome.DONE, "", 9, 1.0, "P-new")
    open_store(str(store)).write_run("20261103T000000-cccccc", [row])
    query = "select distinct patient_id from runs order by all nulls last"
    assert open_store(str(store)).sql(query).fetchall() == [("P-new",), (None,)]


def test_nothing_lost_is_an_empty_table() -> None:
    assert list(last_losses([], ["a"])) == COLUMNS
    assert len(last_losses([run(("x", "a", "done", "", 1))], ["a"])) == 0


def test_a_damaged_run_table_is_named(tmp_path: Path) -> None:
    store = write_two_runs(tmp_path / "store")
    (store / "runs" / "20261103T000000-cccccc.parquet").write_bytes(b"PAR1 no")
    (store / "runs" / "notes.txt").write_text("not ours")
    found = read_extraction(str(store), ["e-1", "e-2"])
    assert found.lost["slide_id"].tolist() == ["broken", "glass"]
    assert found.lost["encoders"].tolist() == ["e-1, e-2", "e-1"]
    assert len(found.problems) == 1
    assert found.problems[0].startswith("runs/20261103T000000-cccccc.parquet")
