"""Which partitions, and which of their tiles, a search for similar tiles is about."""

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from histo_ray.errors import ConfigError, StoreError
from histo_ray.store.catalog import list_folders, name_some
from histo_ray.store.find import choose_slides
from histo_ray.store.layout import is_given, split_folder
from histo_ray.store.location import Location
from histo_ray.store.neighbours.similar import Allowed, Named
from histo_ray.store.partition import first_line
from histo_ray.store.receipt_cache import read_receipts
from histo_ray.store.sql.quoting import quote_text

if TYPE_CHECKING:
    from histo_ray.store.store import Store


def name_partitions(root: Location, encoder: str | None, tiling: str | None) -> Named:
    """The encoder, tiling and length of vectors that are meant.

    Args:
        root: The store.
        encoder: None: the only one.
        tiling: None: the only one of the encoder.

    Raises:
        StoreError: Nothing of this encoder, several and none is named, or several tilings.
    """
    if encoder is None:
        folders = [split_folder(path) for path in list_folders(root, None, tiling)]
        encoders = sorted({name for name, own in folders if not is_given(own)})
        if len(encoders) != 1:
            there = name_some(encoders)
            raise StoreError(
                f"store {root.path}: it holds slides of {len(encoders)} encoders ({there}); name "
                "one with encoder="
            )
        (encoder,) = encoders
    partitions = choose_slides(root, encoder, tiling)
    first = min(partitions)
    receipt = read_receipts(root, {first: partitions[first]})[first]
    return Named(encoder, first.tiling, receipt.encoder.dim)


def choose_tiles(store: "Store", named: Named, where: str) -> Allowed:
    """The tiles for which a condition is true, by slide.

    Args:
        store: The store.
        named: Of which encoder and tiling.
        where: SQL over the columns of the view `embeddings`.

    Raises:
        ConfigError: It is no condition.
    """
    import duckdb

    query = (
        f"SELECT slide_id, tile_id FROM embeddings WHERE encoder = {quote_text(named.encoder)} "  # noqa: S608
        f"AND tiling = {quote_text(named.tiling)} AND ({where}\n) ORDER BY ALL"
    )
    try:
        table: pa.Table = store.sql(query).to_arrow_table()
    except duckdb.Error as error:
        raise ConfigError(
            f"similar: where={where!r} is no condition over tiles ({first_line(error)})"
        ) from None
    names = table["slide_id"].combine_chunks().dictionary_encode()
    tiles = table["tile_id"].to_numpy().astype(np.int64)
    codes = names.indices.to_numpy(zero_copy_only=False)
    ends = np.searchsorted(codes, np.arange(len(names.dictionary)), side="right")
    starts = np.concatenate([[0], ends])
    return {
        name: tiles[start:end]
        for name, start, end in zip(names.dictionary.to_pylist(), starts, ends, strict=False)
    }
