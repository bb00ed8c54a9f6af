"""How long a bag takes to read: our two forms against HDF5 as TRIDENT writes it. Prints JSON.

`python benchmarks/bench_store.py [--quick]`: 15,000 x 1,536, warm page cache, medians of one run;
the ways take turns, so that a busy moment of the machine hits all of them.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow.parquet as pq

from histo_ray.store.partition import PartitionFacts
from histo_ray.store.store import open_store
from histo_ray.types import EncoderFacts, SlideFacts, TileRows, TilingFacts

DIM = 1536


def make_facts(encoder: str) -> PartitionFacts:
    """Facts of one made-up slide."""
    return PartitionFacts(
        SlideFacts(
            slide_id="S1",
            patient_id="P1",
            site="",
            path="S1.svs",
            fingerprint="0" * 64,
            size_px=(80_000, 60_000),
            mpp=(0.25, 0.25),
            mpp_source="file",
            reader="openslide",
            vendor="aperio",
        ),
        TilingFacts(
            fingerprint="bench",
            settings={},
            level=0,
            downsample=(1.0, 1.0),
            side=(448.0, 448.0),
            realised_mpp=(0.5, 0.5),
            tissue_method="otsu",
            tissue_digest="",
        ),
        EncoderFacts(
            name=encoder,
            request=encoder,
            architecture="none",
            weights_sha256="0" * 64,
            dim=DIM,
            input_px=224,
            mean=(0.5, 0.5, 0.5),
            std=(0.5, 0.5, 0.5),
            interpolation="bicubic",
            pool="avg",
            dtype="float16",
            precision="float32",
            device="cpu",
            batch_norm_folded=True,
            contract_broken="",
        ),
        run_id="bench",
    )


def make_rows(vectors: Any, coords: Any) -> Iterator[TileRows]:
    """The rows in blocks of 512, as an extraction hands them over."""
    for start in range(0, len(vectors), 512):
        cut = slice(start, start + 512)
        ones = np.ones(len(coords[cut]), np.float32)
        yield TileRows(coords[cut], ones, ones, vectors[cut])


def take_turns(ways: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Median seconds of each way, after one call each that is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds + 1):
        for name, read in ways.items():
            began = time.perf_counter()
            read()
            if turn:
                seconds[name].append(time.perf_counter() - began)
    return {name: statistics.median(values) for name, values in seconds.items()}


def run_benchmark(folder: Path, tiles: int, rounds: int) -> dict[str, Any]:
    """Write one bag in every layout, read each in turn."""
    random = np.random.default_rng(0)
    vectors = random.standard_normal((tiles, DIM), np.float32).astype(np.float16)
    coords = random.integers(0, 60_000, (tiles, 2)).astype(np.int32)
    store = open_store(str(folder / "store"), create=True)
    write_s = {}
    for form in ("parquet", "zarr"):
        facts = make_facts(form)
        began = time.perf_counter()
        store.commit(facts.key, facts, make_rows(vectors, coords), format=form)
        write_s[form] = time.perf_counter() - began
    for chunk in (1, 256):
        with h5py.File(folder / f"S{chunk}.h5", "w") as file:
            file.create_dataset("features", data=vectors.astype(np.float32), chunks=(chunk, DIM))
            file.create_dataset("coords", data=coords.astype(np.int64), chunks=True)

    def read_hdf5(chunk: int) -> Any:
        with h5py.File(folder / f"S{chunk}.h5") as file:
            return file["features"][:], file["coords"][:]

    (path,) = folder.glob("store/embeddings/encoder=parquet/*/*.parquet")
    read_s = take_turns(
        {
            "hdf5 float32, chunk (1, D)": lambda: read_hdf5(1),
            "hdf5 float32, chunk (256, D)": lambda: read_hdf5(256),
            "store, parquet": lambda: store.bag("S1", "parquet"),
            "store, zarr": lambda: store.bag("S1", "zarr"),
            "the same parquet by pyarrow": lambda: pq.read_table(
                path, columns=["x", "y", "embedding"]
            ),
        },
        rounds,
    )
    for form in ("parquet", "zarr"):
        if store.bag("S1", form).embeddings.tobytes() != vectors.tobytes():
            raise SystemExit(f"{form}: other vectors than were written")
    base = read_s["hdf5 float32, chunk (1, D)"]
    return {
        "tiles": tiles,
        "dim": DIM,
        "rounds": rounds,
        "read_s": {name: round(value, 5) for name, value in read_s.items()},
        "times_faster_than_hdf5": {name: round(base / v, 1) for name, v in read_s.items()},
        "write_s": {name: round(value, 3) for name, value in write_s.items()},
    }


def main() -> None:
    """Parse flags, run, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a fifth of the tiles, few rounds")
    quick = parser.parse_args().quick
    with tempfile.TemporaryDirectory() as folder:
        result = run_benchmark(Path(folder), 3000 if quick else 15_000, 5 if quick else 25)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
