"""Groups of tiles from another column of their table than `group`."""

from histo_ray.errors import ConfigError
from histo_ray.slides.table import read_table
from histo_ray.text import did_you_mean
from histo_ray.tilesets.listing import TABLE_SUFFIXES, resolve_path
from histo_ray.tilesets.tileset import TileSet


def read_group_column(source: str, column: str, tiles: TileSet) -> tuple[str, ...]:
    """Read what keeps the tiles of a set together from a column of its table.

    Args:
        source: The table that the set was read from.
        column: Of the table, as in `slide` or `hospital`.
        tiles: The set.

    Returns:
        (N,) its text for each tile.

    Raises:
        ConfigError: A folder instead of a table, no such column, or an empty cell.
    """
    if not source.lower().endswith(TABLE_SUFFIXES):
        raise ConfigError(
            f"--groups {column}: tiles {source} are a folder, which has no columns; give a table "
            "with path, label and that column, or --groups inferred or none"
        )
    unit, columns, rows = read_table(source, "tiles")
    if column not in columns:
        raise ConfigError(
            f"--groups {column}: tiles {source} has no such column (its columns: "
            f"{', '.join(columns)}){did_you_mean(column, list(columns))}; name one of them, or "
            "inferred or none"
        )
    of_path: dict[str, str] = {}
    empty: list[int] = []
    for row in rows:
        path, value = row.values.get("path"), row.values.get(column)
        text = "" if value is None else str(value).strip()
        if not text:
            empty.append(row.number)
        of_path[resolve_path(str(path).strip(), source)] = text
    if empty:
        raise ConfigError(
            f"--groups {column}: tiles {source}: {unit} {empty[0]} has none"
            f"{f' and {len(empty) - 1} more' if len(empty) > 1 else ''}; every tile needs one"
        )
    return tuple(of_path[path] for path in tiles.paths)
