"""Rows read straight from HDF5 files, and the files that are left to HDF5."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from histo_ray.store.exchange.straight_rows import find_straight

VALUES = np.random.default_rng(0).normal(size=(75, 24)).astype(np.float32)


def write(path: Path, appended: int = 0, **options: Any) -> None:
    """A dataset written in two parts, with another one growing between its chunks."""
    first = len(VALUES) - appended
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset(
            "x", (first, 24), options.pop("dtype", "f4"), maxshape=(None, 24), **options
        )
        dataset[:] = VALUES[:first]
        file["between"] = np.arange(999)
        if appended:
            dataset.resize(len(VALUES), axis=0)
            dataset[first:] = VALUES[first:]


@pytest.mark.parametrize("depth", [1, 32, 75, 500])
@pytest.mark.parametrize("appended", [0, 1, 40])
def test_chunks_of_rows_are_read_as_hdf5_reads_them(
    tmp_path: Path, depth: int, appended: int
) -> None:
    write(tmp_path / "a.h5", appended, chunks=(depth, 24))
    with h5py.File(tmp_path / "a.h5") as file:
        rows = find_straight(file["x"], tmp_path / "a.h5")
        assert rows is not None
        for start, stop in ((0, 75), (0, 1), (74, 75), (30, 36), (5, 5)):
            assert rows.read(start, stop).tobytes() == file["x"][start:stop].tobytes()


def test_a_contiguous_dataset_of_halves_is_read_too(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = VALUES.astype(np.float16)
    with h5py.File(tmp_path / "a.h5") as file:
        rows = find_straight(file["x"], tmp_path / "a.h5")
        assert rows is not None
        assert rows.read(3, 75).tobytes() == VALUES[3:].astype(np.float16).tobytes()


@pytest.mark.parametrize(
    "options",
    [
        {"chunks": (32, 24), "compression": "gzip"},
        {"chunks": (32, 24), "shuffle": True},
        {"chunks": (32, 24), "fletcher32": True},
        {"chunks": (32, 12)},
        {"chunks": (32, 24), "dtype": ">f4"},
    ],
)
def test_what_lies_otherwise_in_the_file_is_left_to_hdf5(
    tmp_path: Path, options: dict[str, Any]
) -> None:
    write(tmp_path / "a.h5", **options)
    with h5py.File(tmp_path / "a.h5") as file:
        assert find_straight(file["x"], tmp_path / "a.h5") is None


def test_rows_never_written_and_files_with_a_block_in_front_are_left_to_hdf5(
    tmp_path: Path,
) -> None:
    with h5py.File(tmp_path / "a.h5", "w", userblock_size=512) as file:
        file["x"] = VALUES
        file.create_dataset("gap", (75, 24), "f4", chunks=(1, 24))[3] = VALUES[3]
    with h5py.File(tmp_path / "a.h5") as file:
        assert find_straight(file["x"], tmp_path / "a.h5") is None
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file.create_dataset("gap", (75, 24), "f4", chunks=(1, 24))[3] = VALUES[3]
    with h5py.File(tmp_path / "b.h5") as file:
        assert find_straight(file["gap"], tmp_path / "b.h5") is None


def test_a_file_that_ends_early_is_an_error(tmp_path: Path) -> None:
    write(tmp_path / "a.h5", chunks=(1, 24))
    with h5py.File(tmp_path / "a.h5") as file:
        rows = find_straight(file["x"], tmp_path / "a.h5")
    assert rows is not None
    data = (tmp_path / "a.h5").read_bytes()
    (tmp_path / "a.h5").write_bytes(data[: int(rows.offsets[70]) + 5])
    with pytest.raises(OSError, match="ends before row"):
        rows.read(0, 75)
