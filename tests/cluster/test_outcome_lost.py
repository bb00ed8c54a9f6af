from pathlib import Path

from histo_ray.cluster.outcome_data import find_slides
from histo_ray.cluster.outcome_lost import read_manifested
from histo_ray.learn.outcome_config import MutationConfig
from histo_ray.store.store import open_store
from histo_ray.types import RunRow
from tests.cluster.patients import PATIENTS, write_store


def test_run_tables_tell_who_was_lost_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    uri = write_store(tmp_path)
    store = open_store(uri)
    config = MutationConfig(store=uri, labels="none.csv", encoder=("dull", "sharp"))
    whole = f"{PATIENTS[0]}-01Z-00-DX1"
    rows = []
    for encoder in ("dull", "sharp"):
        rows.append(RunRow("LOST", encoder, "failed", "torn", 0, 0.0, "LOST-PATIENT"))
        rows.append(RunRow(whole, encoder, "done", "", 9, 0.0, PATIENTS[0], synthetic=True))
    store.write_run("run-1", rows)
    (tmp_path / "store" / "runs" / "run-2.parquet").write_bytes(b"torn")
    receipts = {found.encoder: found.receipts for found in find_slides(store, config)}
    found = read_manifested(uri, receipts, given=())
    assert dict(found.failed) == {"LOST": "LOST-PATIENT"}
    assert dict(found.lost) == {"LOST-PATIENT": "every slide failed in extraction"}
    assert found.synthetic == {whole}
    (unread,) = found.unread
    assert unread == "runs/run-2.parquet: cannot be read, so slides that it lost are not told"
