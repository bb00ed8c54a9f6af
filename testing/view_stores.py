"""Synthetic stores for the viewer: a slide of many tiles, and a cohort of many slides."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from histo_ray.slides.reader import open_slide
from histo_ray.store.partition import PartitionFacts
from histo_ray.store.store import open_store
from histo_ray.synth.scene import SlideDesign
from histo_ray.synth.slide_writer import write_slide
from histo_ray.synth.tissue_looks import GLANDULAR
from histo_ray.types import Outcome, PartitionKey, RunRow, SlideFacts, TileRows, TilingFacts
from testing.partitions import facts_of

SIDE = 16
"""Edge of a tile of the slide of many tiles, level-0 px."""


def write_large_slide(folder: Path, columns: int = 400, rows: int = 250) -> PartitionKey:
    """Write a store `store` with one slide of columns x rows tiles, which lie all over it."""
    folder.mkdir(parents=True, exist_ok=True)
    size = (columns * SIDE, rows * SIDE)
    path = folder / "large.svs"
    if not path.exists():
        write_slide(path, SlideDesign(size, 0.5, GLANDULAR, seed=1, tissue_share=0.6))
    made_up = facts_of("large", tiling="t0large", dim=32)
    with open_slide(str(path)) as slide:
        facts = made_up.slide.model_dump() | {
            "path": str(path), "size_px": slide.size, "fingerprint": slide.fingerprint,
            "mpp": tuple(slide.mpp),
        }  # fmt: skip
    tiling = made_up.tiling.model_dump() | {"side": (SIDE, SIDE), "settings": {"tissue": "none"}}
    store = open_store(str(folder / "store"), create=True)
    key = PartitionKey("e", "t0large", "large")
    about = PartitionFacts(SlideFacts(**facts), TilingFacts(**tiling), made_up.encoder, "run1")
    store.commit(key, about, _draw_rows(columns, rows))
    row = RunRow("large", "e", Outcome.DONE, "", columns * rows, 1.0, "P", True)
    store.write_run("2026-01-01", [row])
    return key


def _draw_rows(columns: int, rows: int) -> Iterator[TileRows]:
    """A row of tiles after another, with numbers that vary over the slide."""
    rng = np.random.default_rng(0)
    axis = rng.standard_normal(32)
    for row in range(rows):
        x = np.arange(columns)
        coords = np.stack([x * SIDE, np.full(columns, row * SIDE)], axis=-1).astype(np.int32)
        wave = np.sin(x / 30) + np.cos(row / 20)
        vectors = wave[:, None] * axis + 0.3 * rng.standard_normal((columns, 32))
        focus = (400 + 200 * wave).astype(np.float32)
        tissue = np.clip(0.5 + wave / 4, 0, 1).astype(np.float32)
        yield TileRows(coords, tissue, focus, vectors.astype(np.float16))


def write_large_cohort(folder: Path, slides: int = 10_000) -> None:
    """Write a store `cohort` of many slides with a tile each, whose files are gone."""
    store = open_store(str(folder / "cohort"), create=True)
    for number in range(slides):
        facts = facts_of(f"S{number:05d}", tiling="t0many", site=f"site {number % 7}")
        rng = np.random.default_rng(number)
        vectors = rng.standard_normal((1, 5)).astype(np.float16)
        one = TileRows(
            np.zeros((1, 2), np.int32), np.ones(1, np.float32), np.ones(1, np.float32), vectors
        )
        store.commit(facts.key, facts, [one])
