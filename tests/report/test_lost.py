from pathlib import Path
from types import SimpleNamespace

import pandas as pd

from histo_ray.report.lost import COLUMNS, last_losses, read_extraction


def run(*rows: tuple[str, str, str, str, int]) -> pd.DataFrame:
    columns = ["slide_id", "encoder", "outcome", "reason", "n_tiles"]
    return pd.DataFrame(rows, columns=columns)


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


def test_nothing_lost_is_an_empty_table() -> None:
    assert list(last_losses([], ["a"])) == COLUMNS
    assert len(last_losses([run(("x", "a", "done", "", 1))], ["a"])) == 0


def test_a_damaged_run_table_is_named(tmp_path: Path, evaluations: SimpleNamespace) -> None:
    store = evaluations.new_store(tmp_path / "store")
    evaluations.add_extraction(store, ["e-1", "e-2"])
    (store / "runs" / "20261103T000000-cccccc.parquet").write_bytes(b"PAR1 no")
    (store / "runs" / "notes.txt").write_text("not ours")
    found = read_extraction(str(store), ["e-1", "e-2"])
    assert found.lost["slide_id"].tolist() == ["broken", "glass"]
    assert found.lost["encoders"].tolist() == ["e-1, e-2", "e-1"]
    assert len(found.problems) == 1
    assert found.problems[0].startswith("runs/20261103T000000-cccccc.parquet")
