"""Stores with a few slides for tests of slide encoders."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from histo_ray.store.store import Store, open_store
from histo_ray.types import TileRows
from tests.made_up import facts_of

DIM = 6
COUNTS: Mapping[str, int] = {"S1": 90, "S2": 7, "S3": 0, "S4": 41}
PATIENTS: Mapping[str, str] = {"S1": "PA", "S2": "PB", "S3": "PC", "S4": "PA"}


def write_slide_store(folder: Path, **changes: Any) -> Store:
    """Four slides of three patients; S3 has no tile."""
    store = open_store(str(folder), create=True)
    for slide in COUNTS:
        write_slide(store, slide, **changes)
    return store


def write_slide(store: Store, slide: str, seed: int = 0, **changes: Any) -> None:
    """One slide, or write it anew."""
    count, dim = COUNTS[slide], int(str(changes.get("dim", DIM)))
    facts = facts_of(
        slide,
        str(changes.get("encoder", "e")),
        dim=dim,
        patient_id=PATIENTS[slide],
        weights=changes.get("weights", "a" * 64),
        empty_reason="" if count else "no tissue",
    )
    settings = {"mpp": changes.get("mpp", 0.5), "tile_px": changes.get("tile_px", 224)}
    facts = replace(facts, tiling=facts.tiling.model_copy(update={"settings": settings}))
    random = np.random.default_rng([seed, *slide.encode()])
    coords = random.integers(0, [1200, 700], (count, 2)).astype(np.int32)
    vectors = random.standard_normal((count, dim)).astype(np.float16)
    if changes.get("nan"):
        vectors[1, 0] = np.nan
    ones = np.ones(count, np.float32)
    rows = [TileRows(coords, ones, ones, vectors)] if count else []
    store.commit(facts.key, facts, rows, replace=True)
