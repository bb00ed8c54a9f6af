"""What every exchange format keeps: each member of the registry is held against it."""

from pathlib import Path

import pytest

from histo_ray.store.exchange.base import ExchangeFormat
from histo_ray.store.exchange.export_slides import export_slides
from histo_ray.store.location import location_of
from histo_ray.store.store import Store
from tests.made_up import facts_of, rows_of

COUNTS = {"S1": 90, "S2": 1, "S3": 0}


@pytest.fixture
def filled(store: Store) -> Store:
    """Three slides, one of them in Zarr and one empty."""
    for slide_id, count in COUNTS.items():
        facts = facts_of(slide_id, empty_reason="" if count else "no tissue")
        form = "zarr" if slide_id == "S2" else "parquet"
        store.commit(facts.key, facts, rows_of(count), format=form)  # type: ignore[arg-type]
    return store


def read_all(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


class ExchangeContract:
    """Held by every exchange format."""

    @pytest.fixture
    def format(self) -> ExchangeFormat:
        raise NotImplementedError

    def test_each_slide_is_one_file_and_nothing_else_is_left(
        self, filled: Store, format: ExchangeFormat, tmp_path: Path
    ) -> None:
        before = read_all(tmp_path / "store")
        done = export_slides(filled.root, format, location_of(str(tmp_path / "out")))
        assert (len(done.written), done.there, done.problems) == (3, [], [])
        assert sorted(read_all(tmp_path / "out")) == sorted(done.written)
        receipts = filled.receipts().values()
        assert sorted(done.written) == sorted(format.relative_path(receipt) for receipt in receipts)
        assert read_all(tmp_path / "store") == before

    def test_the_same_slides_give_the_same_bytes_from_either_form(
        self, filled: Store, format: ExchangeFormat, tmp_path: Path
    ) -> None:
        export_slides(filled.root, format, location_of(str(tmp_path / "one")))
        filled.convert("zarr").check()
        export_slides(filled.root, format, location_of(str(tmp_path / "two")))
        assert read_all(tmp_path / "one") == read_all(tmp_path / "two")

    def test_a_file_that_is_there_stays_unless_asked(
        self, filled: Store, format: ExchangeFormat, tmp_path: Path
    ) -> None:
        out = tmp_path / "out"
        first = export_slides(filled.root, format, location_of(str(out)), slide_ids=["S1"])
        (name,) = first.written
        whole = (out / name).read_bytes()
        (out / name).write_bytes(b"mine")
        again = export_slides(filled.root, format, location_of(str(out)))
        assert (len(again.written), again.there) == (2, [name])
        assert (out / name).read_bytes() == b"mine"
        anew = export_slides(filled.root, format, location_of(str(out)), overwrite=True)
        assert (len(anew.written), anew.there) == (3, [])
        assert (out / name).read_bytes() == whole

    def test_a_damaged_slide_is_told_and_leaves_no_file(
        self, filled: Store, format: ExchangeFormat, tmp_path: Path
    ) -> None:
        (path,) = (tmp_path / "store").glob("embeddings/*/*/S1.parquet")
        data = bytearray(path.read_bytes())
        data[4 : len(data) // 2] = bytes(len(data) // 2 - 4)
        path.write_bytes(data)
        done = export_slides(filled.root, format, location_of(str(tmp_path / "out")))
        assert len(done.written) == 2
        (problem,) = done.problems
        assert "S1.parquet" in problem
        assert len(read_all(tmp_path / "out")) == 2
