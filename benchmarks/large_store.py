"""Makes a store of very many small partitions, each with a receipt of its own, and its manifest.

Files and receipts are what an extraction writes, by the same writer; only the flush to disk after
each is left out, and the slides are hard links to some sparse files.
"""

import csv
import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.bench_store import make_facts
from histo_ray.config import ExtractConfig
from histo_ray.extract.slide import stored_name
from histo_ray.slides.fingerprint import fingerprint_file
from histo_ray.store.layout import partition_path
from histo_ray.store.parquet import ParquetFormat
from histo_ray.store.partition import PartitionFacts, Shape, write_receipt
from histo_ray.store.store import open_store
from histo_ray.types import TileRows

DIM, TILES = 16, 4
"""Few tiles, so that the cost of a partition is measured and not that of its tiles."""
ENCODER = "random:resnet10t?seed=0&px=224&name=large"
LINKS = 500
"""Slides that share a file."""
SLIDE_BYTES = 1 << 20
A_FOLDER = 1000
"""Slides."""


class LargeStore(NamedTuple):
    """Where things are."""

    store: Path
    manifest: Path


def slide_name(number: int) -> str:
    """As TCGA names slides."""
    return f"TCGA-{number % 90 + 10}-{np.base_repr(number, 36):0>4}-01Z-00-DX1"


def make_large_store(folder: Path, count: int) -> LargeStore:
    """Make `count` partitions, slides and rows, or take those of an earlier call with as many."""
    made = LargeStore(folder / "store", folder / "slides.csv")
    if made.manifest.exists():
        with made.manifest.open("rb") as lines:
            if sum(1 for _ in lines) != count + 1:
                raise SystemExit(f"{folder}: made with another --partitions; name another folder")
        return made
    open_store(str(made.store), create=True)
    parts = [range(start, min(count, start + A_FOLDER)) for start in range(0, count, A_FOLDER)]
    with ProcessPoolExecutor(os.cpu_count(), get_context("spawn")) as pool:
        rows = pool.map(_make_part, [str(folder)] * len(parts), parts)
        slides = [row for part in rows for row in part]
    with made.manifest.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(("slide_id", "path"))
        writer.writerows(slides)
    return made


def _make_part(folder: str, numbers: range) -> list[tuple[str, str]]:
    """Slides and partitions of some numbers; their rows of the manifest."""
    slides = Path(folder) / "slides" / f"{numbers.start:06d}"
    slides.mkdir(parents=True)
    store = Path(folder) / "store"
    facts = _facts(str(store))
    random = np.random.default_rng(numbers.start)
    rows, original, fingerprint = [], slides, ""
    for number in numbers:
        name = slide_name(number)
        path = slides / f"{name}.svs"
        if (number - numbers.start) % LINKS:
            path.hardlink_to(original)
        else:
            original = path
            with path.open("wb") as file:
                file.write(number.to_bytes(8, "little"))
                file.truncate(SLIDE_BYTES)
            fingerprint = fingerprint_file(str(path))
        _write_partition(store, facts, (name, path, fingerprint), random)
        rows.append((name, f"slides/{slides.name}/{path.name}"))
    return rows


def _facts(store: str) -> PartitionFacts:
    config = ExtractConfig(manifest="-", store=store, encoder=(ENCODER,))
    facts = make_facts(stored_name("large", config.dtype))
    settings = config.tiling
    tiling = facts.tiling.model_copy(
        update={"fingerprint": settings.fingerprint(), "settings": settings.model_dump()}
    )
    encoder = facts.encoder.model_copy(update={"dim": DIM})
    return replace(facts, tiling=tiling, encoder=encoder, run_id="20261125T000000-000000")


def _write_partition(
    store: Path,
    facts: PartitionFacts,
    slide: tuple[str, Path, str],
    random: np.random.Generator,
) -> None:
    name, path, fingerprint = slide
    about = facts.slide.model_copy(
        update={
            "slide_id": name,
            "patient_id": name[:12],
            "site": name[5:7],
            "path": str(path),
            "fingerprint": fingerprint,
        }
    )
    facts = replace(facts, slide=about)
    final = store / partition_path(facts.key, "parquet")
    final.parent.mkdir(parents=True, exist_ok=True)
    ones = np.ones(TILES, np.float32)
    vectors = random.standard_normal((TILES, DIM)).astype(np.float16)
    rows = TileRows(random.integers(0, 60_000, (TILES, 2)).astype(np.int32), ones, ones, vectors)
    ParquetFormat().write(
        final, Shape(name, DIM, "float16"), [rows], lambda totals: write_receipt(facts, totals)
    )
