"""CSV: one file a slide, a line a tile, its vector as the last columns."""

from collections.abc import Iterable
from pathlib import Path

from histo_ray.deferred import deferred
from histo_ray.types import Receipt, TileRows

_write_csv = deferred("histo_ray.store.exchange.csv_table:write_csv")


class CsvFiles:
    """Numbers are written with as many digits as tell them apart, so none is rounded."""

    name = "csv"
    about = "a table a slide: tile_id, x, y, tissue, focus, and the vector in e0, e1, ..."

    def relative_path(self, receipt: Receipt) -> str:
        """`<encoder>/<slide_id>.csv`."""
        return f"{receipt.encoder.name}/{receipt.slide.slide_id}.csv"

    def export(self, rows: Iterable[TileRows], receipt: Receipt, path: Path) -> None:
        """Write a header and a line for each tile; memory holds a block of rows."""
        _write_csv(path, rows, receipt.encoder.dim)
