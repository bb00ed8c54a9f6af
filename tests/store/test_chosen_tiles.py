"""Kept tiles of large partitions come in the blocks of a partition that holds no others."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from histo_ray.errors import StoreError
from histo_ray.pooling.pooled_cache import PoolFacts
from histo_ray.store.chosen_tiles import choose_tiles
from histo_ray.store.layout import Form
from histo_ray.store.partition_vectors import count_tiles, kept_of, read_pieces, read_vectors
from histo_ray.store.store import Store, open_store
from histo_ray.types import ChosenReceipt, PartitionKey, TileRows
from tests.made_up import facts_of

COUNT, DIM = 21_000, 3
"""Several blocks of rows, and pieces within them."""


def commit(store: Store, rows: TileRows, form: Form) -> PartitionKey:
    facts = facts_of("S1", dim=DIM)
    store.commit(facts.key, facts, [rows], format=form, replace=True)
    return facts.key


@pytest.mark.parametrize("form", ["parquet", "zarr"])
def test_pieces_are_those_of_a_partition_without_the_dropped_tiles(
    form: Form, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    focus = rng.random(COUNT, np.float32)
    focus[[0, -1]] = 0
    rows = TileRows(
        rng.integers(0, [1200, 700], (COUNT, 2)).astype(np.int32),
        rng.random(COUNT, np.float32),
        focus,
        rng.normal(size=(COUNT, DIM)).astype(np.float16),
    )
    keep = np.flatnonzero(focus > 0.25)
    some = TileRows(rows.coords[keep], rows.tissue[keep], focus[keep], rows.embeddings[keep])
    stores = [open_store(str(tmp_path / name), create=True) for name in ("whole", "clean")]
    key = commit(stores[0], rows, form)
    commit(stores[1], some, form)
    root, forms = stores[0].root, {key: form}
    chosen = choose_tiles(root, forms, stores[0].receipts([key]), "focus > 0.25")
    partition = count_tiles(key, form, chosen[key])
    other = count_tiles(key, form, stores[1].read_receipt(key))
    assert partition.tiles == other.tiles == len(keep)
    np.testing.assert_array_equal(partition.tile_ids, keep)
    pairs = zip(read_pieces(root, partition), read_pieces(stores[1].root, other), strict=True)
    for one, two in pairs:
        assert one.start == two.start
        for name in ("coords", "tissue", "vectors"):
            np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
    np.testing.assert_array_equal(read_vectors(root, partition), some.embeddings)
    with pytest.raises(StoreError, match="another run replaced it"):  # who forgets to drop fails
        list(read_pieces(root, partition._replace(kept=None)))


def test_a_receipt_of_kept_tiles_is_another_and_is_never_written(store: Store) -> None:
    focus = np.array([1, 2, 3], np.float32)
    rows = TileRows(np.zeros((3, 2), np.int32), focus, focus, np.ones((3, DIM), np.float16))
    key = commit(store, rows, "parquet")
    whole = store.receipts([key])
    found = [
        choose_tiles(store.root, {key: "parquet"}, whole, where)[key]
        for where in ("focus > 1", "focus > 2", "focus > 9")
    ]
    assert [receipt.tile_count for receipt in found] == [2, 1, 0]
    assert len({receipt.columns_sha256 for receipt in (*found, whole[key])}) == 4
    assert "focus > 9" in found[2].empty_reason
    assert all(isinstance(one, ChosenReceipt) for one in found)
    assert "kept" not in found[0].model_dump()
    assert kept_of(whole[key]) is None
    assert choose_tiles(store.root, {key: "parquet"}, whole, None) == whole


def test_a_pooled_table_of_all_tiles_has_the_name_that_it_had() -> None:
    facts: dict[str, Any] = {
        "encoder": "e", "weights_sha256": "a", "dim": 3, "tiling": "t", "pool": "mean",
        "by": "slide", "partitions": 1, "tiles": 3, "snapshot_sha256": "s", "groups_sha256": "g",
    }  # fmt: skip
    whole, some = PoolFacts(**facts), PoolFacts(**facts, where="focus > 1")
    assert "where" not in whole.model_dump()
    assert "where" not in whole.model_dump_json()
    assert some.model_dump()["where"] == "focus > 1"
    assert whole.path() != some.path()
