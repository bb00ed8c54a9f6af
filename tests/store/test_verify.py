"""Every flipped byte is found, and everything else that a store should not hold."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from histo_ray.store.layout import FORMS, Form, partition_path
from histo_ray.store.parquet import ParquetFormat
from histo_ray.store.partition import Shape, write_receipt
from histo_ray.store.store import Store
from histo_ray.store.verify import check_partition
from histo_ray.types import Outcome, PartitionKey, RunRow, TileRows

MakeFacts = Callable[..., Any]
MakeRows = Callable[..., Iterator[TileRows]]
KEY = PartitionKey("e", "abc123", "S1")


@pytest.fixture
def root(store: Store, tmp_path: Path, make_facts: MakeFacts, make_rows: MakeRows) -> Path:
    """A store of three slides in both forms of encoder: `e` Parquet, `z` Zarr."""
    for slide_id in ("S1", "S2", "S3"):
        for name, form in (("e", "parquet"), ("z", "zarr")):
            facts = make_facts(slide_id, name)
            store.commit(facts.key, facts, make_rows(70), format=form)  # type: ignore[arg-type]
    assert store.verify() == (6, [])
    return tmp_path / "store"


def problems_of(store: Store) -> str:
    return "\n".join(store.verify()[1])


@pytest.mark.parametrize("form", FORMS)
def test_every_flipped_bit_is_found(store: Store, root: Path, form: Form) -> None:
    key = PartitionKey("e" if form == "parquet" else "z", "abc123", "S1")
    path = root / partition_path(key, form)
    files = sorted(file for file in path.rglob("*") if file.is_file()) or [path]
    random = np.random.default_rng(5)
    for file in files:
        whole = file.read_bytes()
        places = set(random.integers(0, len(whole), 700 // len(files)).tolist())
        for at in sorted(places | {0, len(whole) - 1}):
            flipped = bytearray(whole)
            flipped[at] ^= 1 << int(random.integers(8))
            file.write_bytes(flipped)
            found, _ = check_partition(store._root, key, form)
            assert found, f"bit of byte {at} of {file.name}"
        file.write_bytes(whole)
    assert check_partition(store._root, key, form)[0] == []


@pytest.mark.parametrize("keep", [0, 3, 11, 400, -1])
def test_a_truncated_file_is_found(store: Store, root: Path, keep: int) -> None:
    path = root / partition_path(KEY, "parquet")
    path.write_bytes(path.read_bytes()[:keep])
    assert "encoder=e/tiling=abc123/S1.parquet: " in problems_of(store)


def test_missing_extra_renamed_and_retyped_columns_are_named(store: Store, root: Path) -> None:
    path = root / partition_path(KEY, "parquet")
    table = pq.read_table(path)
    flat = table["embedding"].combine_chunks().flatten().cast(pa.float64())
    wide = pa.FixedSizeListArray.from_arrays(flat, 5)
    changed = {
        "column focus: missing": table.drop_columns(["focus"]),
        "column extra: unknown": table.append_column("extra", table["x"]),
        "column left: unknown": table.rename_columns({"x": "left"}),
        "column x: int64 instead of int32": table.set_column(2, "x", table["x"].cast(pa.int64())),
        "column embedding: fixed_size_list<element: double>[5]": table.set_column(
            6, "embedding", wide
        ),
    }
    for message, other in changed.items():
        pq.write_table(other, path)
        assert message in problems_of(store)


def test_a_missing_and_a_stray_file_of_a_zarr_partition_are_named(store: Store, root: Path) -> None:
    folder = root / partition_path(PartitionKey("z", "abc123", "S1"), "zarr")
    (folder / "focus/c/0").unlink()
    (folder / "notes.txt").write_text("hello")
    found = problems_of(store)
    assert "focus/c/0: missing" in found
    assert "notes.txt: stray file" in found


def test_a_partition_of_other_weights_is_found_among_its_siblings(
    store: Store, root: Path, make_facts: MakeFacts, make_rows: MakeRows
) -> None:
    facts = make_facts("S2", weights="b" * 64, input_px=256)
    store.commit(facts.key, facts, make_rows(70), replace=True)
    (problem,) = store.verify()[1]
    assert problem.startswith("embeddings/encoder=e/tiling=abc123/S2.parquet: other than most of e")
    assert f"weights_sha256 {'b' * 64}, not {'a' * 64}; input_px 256, not 224" in problem


@pytest.mark.parametrize("form", FORMS)
def test_a_receipt_that_disagrees_with_its_path_is_found(
    store: Store, root: Path, form: Form
) -> None:
    name = "e" if form == "parquet" else "z"
    old = root / partition_path(PartitionKey(name, "abc123", "S1"), form)
    new = root / partition_path(PartitionKey("other", "fff", "S9"), form)
    new.parent.mkdir(parents=True)
    shutil.move(old, new)
    found = problems_of(store)
    assert "receipt says slide_id 'S1', its path 'S9'" in found
    assert f"receipt says encoder '{name}', its path 'other'" in found
    assert "receipt says tiling 'abc123', its path 'fff'" in found


def test_vectors_that_are_not_finite_are_counted(
    store: Store, make_facts: MakeFacts, make_rows: MakeRows
) -> None:
    block = next(make_rows(30))
    block.embeddings[3, 1] = np.inf
    block.embeddings[29, 4] = np.nan
    facts = make_facts()
    store.commit(facts.key, facts, [block])
    assert "S1.parquet: 2 vectors are not finite" in problems_of(store)


def test_a_receipt_that_counts_or_digests_wrongly_is_found(
    store: Store, root: Path, make_facts: MakeFacts, make_rows: MakeRows
) -> None:
    """A well-sealed file of a writer that lies."""
    facts = make_facts()
    lies = {"tile_count": 71, "vectors_sha256": "0" * 64, "columns_sha256": "1" * 64}
    ParquetFormat().write(
        root / partition_path(KEY, "parquet"),
        Shape("S1", 5, "float16"),
        make_rows(70),
        lambda totals: write_receipt(facts, totals).model_copy(update=lies),
    )
    found = problems_of(store)
    assert "70 rows, 71 by the receipt" in found
    assert "vectors differ from the receipt's digest" in found
    assert "tile_id, x, y, tissue or focus differ" in found


def test_strays_are_named_wherever_they_lie(store: Store, root: Path) -> None:
    strays = [
        "notes.txt",
        "runs/readme",
        "embeddings/x.parquet",
        "embeddings/encoder=UPPER/x",
        "embeddings/encoder=e/x.parquet",
        "embeddings/encoder=e/tiling=NO/y",
        "embeddings/encoder=e/tiling=abc123/S1.parquet.part",
    ]
    for stray in strays:
        (root / stray).parent.mkdir(exist_ok=True)
        (root / stray).write_text("x")
    found = store.verify()[1]
    assert len(found) == len(strays)
    for stray in strays:
        begin = tuple(stray.rsplit("/", cut)[0] for cut in (0, 1))
        assert any(problem.startswith(begin) for problem in found), stray


def test_a_slide_in_both_forms_is_found(store: Store, root: Path, tmp_path: Path) -> None:
    for path in sorted((root / "embeddings/encoder=z/tiling=abc123").iterdir()):
        shutil.copytree(path, root / "embeddings/encoder=e/tiling=abc123" / path.name)
    assert "is there as Parquet too" in problems_of(store)


def test_room_for_other_things_is_no_problem(store: Store, root: Path) -> None:
    for name in ("labels/a.csv", "cache/z"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("{}")
    assert store.verify() == (6, [])
    for name, told in {
        "models/ftx/model.json": "its digest was taken out",
        "evaluations/x/y/notes": "not a file of a store; move it out",
    }.items():
        (root / name).parent.mkdir(parents=True)
        (root / name).write_text("{}")
        assert f"{name}: {told}" in problems_of(store)


def test_a_partition_that_a_run_table_knows_and_that_is_gone_is_named(
    store: Store, root: Path
) -> None:
    rows = [RunRow(s, "e", Outcome.DONE, "", 70, 1.0) for s in ("S1", "S2", "S3")]
    store.write_run(
        "20260101T000000-a", [*rows, RunRow("S9", "e", Outcome.FAILED, "broken", 0, 0.0)]
    )
    assert store.verify()[1] == []
    (root / partition_path(PartitionKey("e", "abc123", "S2"), "parquet")).unlink()
    (problem,) = store.verify()[1]
    assert problem.startswith("runs/20260101T000000-a.parquet: says S2 of e is done")
    assert "extract" in problem
    (root / "runs/20260101T000000-a.parquet").write_bytes(b"cut")
    assert "not readable" in problems_of(store)
