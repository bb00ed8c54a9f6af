"""The newest manifest says who is one patient; receipts keep what was said at extraction."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from histo_ray.pooling.matrix import pool_matrix
from histo_ray.store.store import Store, open_store
from histo_ray.types import Outcome, PartitionKey, RunRow
from tests.made_up import facts_of, rows_of

FIRST, SECOND, THIRD = "20260101T080000-a", "20260202T080000-b", "20260303T080000-c"
SLIDES = {"S1": ("S1", ""), "S2": ("S2", ""), "S3": ("p3", "bern")}


def row(slide: str, patient: str, site: str = "", synthetic: bool = False) -> RunRow:
    return RunRow(slide, "e", Outcome.SKIPPED, "already stored", 2, 0.0, patient, synthetic, site)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Three slides; the first two were extracted under their slide_id as patient."""
    made = open_store(str(tmp_path / "store"), create=True)
    for name, (patient, site) in SLIDES.items():
        facts = facts_of(name, patient_id=patient, site=site)
        made.commit(facts.key, facts, rows_of(2))
    made.write_run(FIRST, [row(name, *said) for name, said in SLIDES.items()])
    return made


def patients_of(store: Store) -> dict[str, tuple[str, ...]]:
    frame = store.patients("e")
    return dict(zip(frame["patient_id"], frame["slide_ids"], strict=True))


def test_a_corrected_patient_is_pooled_and_read_as_one_without_extraction(store: Store) -> None:
    apart = pool_matrix(store, "e", by="patient")  # which is cached
    assert list(apart.index) == ["S1", "S2", "p3"]
    store.write_run(SECOND, [row("S1", "p1", "basel"), row("S2", "p1", "basel")])
    joined = pool_matrix(store, "e", by="patient")
    assert list(joined.index) == ["p1", "p3"]
    np.testing.assert_allclose(
        joined.loc["p1"], apart.loc[["S1", "S2"]].mean(), rtol=1e-3, atol=1e-3
    )
    assert patients_of(store) == {"p1": ("S1", "S2"), "p3": ("S3",)}
    assert len(store.patient_bag("p1", "e")) == 4
    assert list(pool_matrix(store, "e").index) == ["S1", "S2", "S3"]
    frame = store.slides(["patient_id", "site"])
    assert frame.to_numpy().tolist() == [["p1", "basel"], ["p1", "basel"], ["p3", "bern"]]
    told = store.sql("select patient_id from slides where slide_id = 'S2'").fetchall()
    assert told == [("p1",)]
    assert store.read_receipt(PartitionKey("e", "abc123", "S1")).slide.patient_id == "S1"


def test_the_newest_run_that_names_a_slide_decides_and_a_patient_can_be_taken_back(
    store: Store,
) -> None:
    store.write_run(SECOND, [row("S1", "p1"), row("S2", "p1")])
    store.write_run(THIRD, [row("S2", "S2", synthetic=True)])
    assert patients_of(store) == {"S2": ("S2",), "p1": ("S1",), "p3": ("S3",)}
    stated = store.stated()
    assert (stated["S2"].synthetic, stated["S2"].first_synthetic) == (True, False)
    assert stated["S3"].synthetic is False
    store.write_run(THIRD, [row("S2", "p3")])  # the same table, written anew
    assert patients_of(store) == {"p1": ("S1",), "p3": ("S2", "S3")}


def test_sites_can_be_taken_back_and_old_tables_without_sites_leave_the_receipts(
    store: Store, tmp_path: Path
) -> None:
    path = tmp_path / "store" / "runs" / f"{FIRST}.parquet"
    pq.write_table(pq.read_table(path).drop_columns(["site"]), path)
    assert store.slides(["site"])["site"].tolist() == ["", "", "bern"]
    assert store.patients("e")["sites"].tolist() == [(), (), ("bern",)]
    store.write_run(SECOND, [row("S3", "p3", "")])
    assert store.slides(["site"])["site"].tolist() == ["", "", ""]
    assert store.patients("e")["sites"].tolist() == [(), (), ()]


def test_without_run_tables_or_with_damaged_and_oldest_ones_receipts_hold(
    store: Store, tmp_path: Path
) -> None:
    path = tmp_path / "store" / "runs" / f"{SECOND}.parquet"
    path.write_bytes(b"torn")
    first = tmp_path / "store" / "runs" / f"{FIRST}.parquet"
    oldest = ["patient_id", "synthetic", "site"]
    pq.write_table(pq.read_table(first).drop_columns(oldest), first)
    assert store.stated() == {}
    assert sorted(patients_of(store)) == ["S1", "S2", "p3"]
    first.unlink()
    assert sorted(patients_of(store)) == ["S1", "S2", "p3"]
