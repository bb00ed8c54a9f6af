import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from histo_ray.pooling.class_weights import ClassHead
from histo_ray.pooling.feature_store import open_store
from histo_ray.pooling.registry import parse_pooling
from histo_ray.pooling.stored_tiles import StoredTiles, TileClassifier
from histo_ray.pooling.tile_classes import ClassSource
from histo_ray.store.models import ModelCard
from histo_ray.store.partition_vectors import CountedPartition
from histo_ray.store.store import Store
from histo_ray.types import TileRows
from tests.made_up import card_of

MakeFacts = Callable[..., Any]
CLASSES = ("ADI", "STR", "TUM")


@pytest.mark.parametrize("pool", ["mean", "mean+std", "classes"])
def test_memory_does_not_grow_with_slides_or_tiles(
    tmp_path: Path, make_facts: MakeFacts, pool: str
) -> None:
    store = open_store(str(tmp_path / "big"), create=True)
    partitions = [write_slide(store, make_facts, f"S{n}", 2_000) for n in range(12)]
    large = write_slide(store, make_facts, "L", 60_000)
    peaks = {
        name: peak_bytes(store, chosen, pool)
        for name, chosen in {"2": partitions[:2], "12": partitions, "large": [large]}.items()
    }
    assert peaks["12"] < 1.1 * peaks["2"] + 100_000
    assert peaks["large"] < 8 << 20  # of 15 MB of vectors; a block is 2 MiB


def test_quantiles_hold_one_patient_at_a_time(tmp_path: Path, make_facts: MakeFacts) -> None:
    store = open_store(str(tmp_path / "big"), create=True)
    for n in range(16):
        write_slide(store, make_facts, f"S{n}", 4_000)
    tracemalloc.start()
    store.matrix("big", "quantiles", by="patient")  # 4 patients of 4 MB each
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < (4 << 20) + 4 * (5 << 20)  # and the columns that four threads sort


def write_slide(store: Store, make_facts: MakeFacts, slide_id: str, count: int) -> CountedPartition:
    """Vectors of 128, written without keeping them."""
    patient = f"P{int(slide_id[1:] or 0) // 4}"
    facts = make_facts(slide_id, "big", dim=128, patient_id=patient)
    block = np.random.default_rng(0).standard_normal((1000, 128)).astype(np.float16)
    ones = np.ones(1000, np.float32)
    places = np.zeros((1000, 2), np.int32)
    rows = (TileRows(places, ones, ones, block) for _ in range(0, count, 1000))
    store.commit(facts.key, facts, rows)
    return CountedPartition(facts.key, "parquet", count)


def peak_bytes(store: Store, partitions: list[CountedPartition], pool: str) -> int:
    head = ClassHead(CLASSES, np.ones((3, 128), np.float32), np.zeros(3, np.float32))
    card = ModelCard.model_validate(card_of("big", CLASSES))
    classifier = TileClassifier(ClassSource(card, {}, *partitions[0].key[:2], ""), head)
    method = parse_pooling(pool)
    method.pool(StoredTiles(store.root, partitions[:1], classifier))  # imports
    tracemalloc.start()
    method.pool(StoredTiles(store.root, partitions, classifier))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak
