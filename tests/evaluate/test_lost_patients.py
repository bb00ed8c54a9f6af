from dataclasses import replace
from pathlib import Path

from histo_ray.evaluate.patients.lost_patients import read_manifested
from histo_ray.evaluate.patients.patient_cohort import find_slides, gather_patients
from histo_ray.evaluate.tasks.mutation import TASK, MutationConfig
from histo_ray.store.store import open_store
from histo_ray.types import Outcome, RunRow
from tests.cluster.patients import PATIENTS, write_labels, write_store


def test_run_tables_tell_who_was_lost_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    uri = write_store(tmp_path)
    store = open_store(uri)
    config = MutationConfig(store=uri, labels="none.csv", encoder=("dull", "sharp"))
    whole = f"{PATIENTS[0]}-01Z-00-DX1"
    rows = []
    for encoder in ("dull", "sharp"):
        rows.append(RunRow("LOST", encoder, Outcome.FAILED, "torn", 0, 0.0, "LOST-PATIENT"))
        rows.append(RunRow(whole, encoder, Outcome.DONE, "", 9, 0.0, PATIENTS[0], synthetic=True))
    store.write_run("run-1", rows)
    (tmp_path / "store" / "runs" / "run-2.parquet").write_bytes(b"torn")
    receipts = {found.encoder: found.receipts for found in find_slides(store, config)}
    found = read_manifested(uri, receipts, given=())
    assert dict(found.failed) == {"LOST": "LOST-PATIENT"}
    assert dict(found.lost) == {"LOST-PATIENT": "every slide failed in extraction"}
    assert found.synthetic == {whole}
    (unread,) = found.unread
    assert unread == "runs/run-2.parquet: cannot be read, so slides that it lost are not told"


def test_the_newest_manifest_decides_who_is_one_patient_and_where_from(tmp_path: Path) -> None:
    uri = write_store(tmp_path)
    write_labels(tmp_path)
    store = open_store(uri)
    labels = str(tmp_path / "mutations.csv")
    config = MutationConfig(store=uri, labels=labels, encoder=("sharp",))
    found = find_slides(store, config)
    before = gather_patients(found, TASK, config)
    assert found[0].corrected == {}
    assert not any("newest manifest" in note for note in before.cohort.notes)
    moved, stays = f"{PATIENTS[1]}-01Z-00-DX1", f"{PATIENTS[2]}-01Z-00-DX1"
    rows = [
        RunRow(moved, "sharp", Outcome.SKIPPED, "", 9, 0.0, PATIENTS[2], False, "99"),
        RunRow(stays, "sharp", Outcome.SKIPPED, "", 9, 0.0, PATIENTS[2], False, "02"),
    ]
    store.write_run("20260101T080000-a", rows)
    found = find_slides(store, config)
    after = gather_patients(found, TASK, config)
    assert found[0].corrected == {moved: [PATIENTS[2], "99", False]}
    assert set(before.cohort.patients) - set(after.cohort.patients) == {PATIENTS[1]}
    assert after.cohort.sites[after.cohort.patients.index(PATIENTS[2])] == ("02", "99")
    (note,) = [note for note in after.cohort.notes if "newest manifest" in note]
    assert note.startswith(f"patient, site or mark synthetic of 1 slide ({moved}) are those of")
    store.write_run("20260202T080000-b", [replace(row, synthetic=True) for row in rows])
    assert find_slides(store, config)[0].corrected[stays] == [PATIENTS[2], "02", True]
