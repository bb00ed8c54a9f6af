"""What every layout of features keeps: each member of the registry is held against it."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from histo_ray.api.import_features import ImportResult, import_features
from histo_ray.errors import StoreError
from histo_ray.pooling.feature_store import FeatureStore, open_store
from histo_ray.store.exchange.source import ImportLayout
from testing.foreign_files import MPP, SIDE, WRITERS, Foreign, draw_slide
from tests.made_up import facts_of, rows_of

NAMES = {"TCGA-05-4244-01Z-00-DX1.9c b": 90, "S2": 1, "S3": 40}
"""Slides, one of them with dots and a space in its name, and their tiles."""


def damage(path: Path) -> None:
    """Cut a file, or the largest file of a folder, in the middle."""
    files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
    largest = max(files, key=lambda one: one.stat().st_size)
    largest.write_bytes(largest.read_bytes()[: largest.stat().st_size // 2])


def outcomes(result: ImportResult) -> dict[str, str]:
    """Outcome of each slide."""
    return {row.slide_id: row.outcome.value for row in result.summary.rows}


class ImportContract:
    """Held by every layout."""

    @pytest.fixture
    def layout(self) -> ImportLayout:
        raise NotImplementedError

    @pytest.fixture
    def slides(self, layout: ImportLayout) -> dict[str, Foreign]:
        dtype = "float16" if layout.name == "stamp" else "float32"
        return {name: draw_slide(name, count, dtype=dtype) for name, count in NAMES.items()}

    @pytest.fixture
    def folder(self, layout: ImportLayout, slides: dict[str, Foreign], tmp_path: Path) -> Path:
        for slide in slides.values():
            WRITERS[layout.name](tmp_path / "source", slide)
        return tmp_path / "source"

    @pytest.fixture
    def store(self, tmp_path: Path) -> FeatureStore:
        return open_store(str(tmp_path / "store"), create=True)

    def test_the_layout_is_told_by_the_files_alone(
        self, folder: Path, store: FeatureStore, layout: ImportLayout
    ) -> None:
        import_features(folder, store.root.path, encoder="e", slide_mpp=MPP)
        receipts = store.receipts()
        assert len(receipts) == len(NAMES)
        assert {r.encoder.imported_from for r in receipts.values()} == {layout.name}

    def test_vectors_are_the_same_bits_and_coords_level0_px(
        self, folder: Path, store: FeatureStore, slides: dict[str, Foreign]
    ) -> None:
        result = import_features(folder, store.root.path, encoder="e", slide_mpp=MPP)
        assert outcomes(result) == dict.fromkeys(NAMES, "done")
        for name, slide in slides.items():
            bag = store.bag(name, "e")
            assert bag.embeddings.dtype == slide.vectors.dtype
            assert bag.embeddings.tobytes() == slide.vectors.tobytes()
            np.testing.assert_array_equal(bag.coords, slide.coords)
            assert bag.coords.dtype == np.int32
        for receipt in store.receipts().values():
            assert set(receipt.tiling.side) == {SIDE}
            assert set(receipt.slide.mpp) == {MPP}
        assert store.verify() == (3, [])

    def test_the_receipt_says_where_from_and_that_weights_are_unknown(
        self, folder: Path, store: FeatureStore
    ) -> None:
        import_features(folder, store.root.path, encoder="e", slide_mpp=MPP)
        for key, receipt in store.receipts().items():
            source = receipt.imported
            assert source is not None
            assert receipt.format_version == 3
            assert receipt.encoder.weights_sha256 == "unknown"
            assert key.slide_id in source.files[0]
            assert len(source.sha256) == 64

    def test_a_second_run_imports_what_is_missing(
        self, folder: Path, store: FeatureStore, layout: ImportLayout, tmp_path: Path
    ) -> None:
        import_features(folder, store.root.path, encoder="e", slide_mpp=MPP)
        WRITERS[layout.name](folder, draw_slide("S4", 7, dtype=_kind(layout)))
        (gone,) = Path(store.root.path).glob("embeddings/*/*/S2.parquet")
        gone.unlink()
        again = import_features(folder, store.root.path, encoder="e", slide_mpp=MPP)
        expected = dict.fromkeys(NAMES, "skipped") | {"S2": "done", "S4": "done"}
        assert outcomes(again) == expected
        moved = tmp_path / "moved"
        shutil.copytree(folder, moved, copy_function=shutil.copyfile)  # the same bytes, later
        copied = import_features(moved, store.root.path, encoder="e", slide_mpp=MPP)
        assert set(outcomes(copied).values()) == {"skipped"}

    def test_a_damaged_file_costs_one_slide(
        self, folder: Path, store: FeatureStore, layout: ImportLayout
    ) -> None:
        damage(WRITERS[layout.name](folder, draw_slide("A0", 60, dtype=_kind(layout))))
        result = import_features(folder, store.root.path, encoder="e", slide_mpp=MPP)
        assert outcomes(result) == dict.fromkeys(NAMES, "done") | {"A0": "failed"}
        (reason,) = (row.reason for row in result.summary.rows if row.slide_id == "A0")
        assert "cannot be read (" in reason
        assert "\n" not in reason
        assert store.verify() == (3, [])

    def test_a_changed_file_is_not_taken_for_the_old_one(
        self, folder: Path, store: FeatureStore, layout: ImportLayout
    ) -> None:
        import_features(folder, store.root.path, encoder="e", slide_mpp=MPP)
        other = draw_slide("S3", 41, dtype=_kind(layout))
        path = WRITERS[layout.name](folder, other)
        assert path.exists()
        told = import_features(folder, store.root.path, encoder="e", slide_mpp=MPP)
        assert outcomes(told) == dict.fromkeys(NAMES, "skipped") | {"S3": "failed"}
        (reason,) = (row.reason for row in told.summary.rows if row.slide_id == "S3")
        assert "--replace-changed imports these in their place" in reason
        anew = import_features(
            folder, store.root.path, encoder="e", slide_mpp=MPP, replace_changed=True
        )
        assert outcomes(anew) == dict.fromkeys(NAMES, "skipped") | {"S3": "done"}
        assert store.bag("S3", "e").embeddings.tobytes() == other.vectors.tobytes()

    def test_imported_and_own_partitions_never_share_a_name(
        self, folder: Path, store: FeatureStore
    ) -> None:
        own = facts_of("S1", "mine", dim=16, dtype="float32")
        store.commit(own.key, own, rows_of(3, 16, "float32"))
        with pytest.raises(StoreError, match=r"origin encoded here, now .*--encoder of store impo"):
            import_features(folder, store.root.path, encoder="mine", slide_mpp=MPP)
        import_features(folder, store.root.path, encoder="e", slide_mpp=MPP)
        with pytest.raises(StoreError, match="now encoded here"):
            store.check_encoder(facts_of("S1", "e", dim=16, dtype="float32").encoder)
        assert len(store.list_keys()) == 4


def _kind(layout: ImportLayout) -> str:
    return "float16" if layout.name == "stamp" else "float32"
