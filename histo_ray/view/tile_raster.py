"""Tiles as a raster of cells, so that 100,000 of them are one picture. Pure."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Coords = npt.NDArray[np.int32]
PARTS = 4
"""Cells along a tile's edge where tiles do not lie on one lattice."""
MOST_CELLS = 4_000_000
"""Of a raster; cells are larger where there would be more."""
_OFF_LATTICE = 0.02
"""Part of a step by which a tile may miss its lattice: coords are rounded to whole px."""


@dataclass(frozen=True)
class TileRaster:
    """Which tile each cell shows."""

    tiles: npt.NDArray[np.int32]
    """(rows, columns) number of a tile, -1 where none is; row 0 is at the top."""
    corner: tuple[float, float]
    """(x, y) of its top-left corner, level-0 px."""
    cell: tuple[float, float]
    """(width, height) of a cell, level-0 px."""

    @property
    def size(self) -> tuple[float, float]:
        """(width, height), level-0 px."""
        rows, columns = self.tiles.shape
        return columns * self.cell[0], rows * self.cell[1]

    def fill(self, values: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """Spread (N,) values over the cells, (rows, columns) float32; NaN where no tile is."""
        numbers = np.append(np.asarray(values, np.float32), np.float32(np.nan))
        return numbers[self.tiles]


def lay_raster(coords: Coords, side: tuple[float, float]) -> TileRaster:
    """Lay tiles on a raster: a cell a tile where they lie on a lattice, else smaller cells.

    Args:
        coords: (N, 2) top-left (x, y), level-0 px.
        side: (width, height) of a tile, level-0 px.

    Returns:
        A raster in which the cell at each tile's centre is the tile's own or that of a later tile
        which covers it, too.
    """
    if not len(coords):
        return TileRaster(np.full((1, 1), -1, np.int32), (0.0, 0.0), side)
    low = coords.min(axis=0).astype(float)
    step = np.array([_find_step(coords[:, axis], side[axis]) for axis in (0, 1)])
    places = (coords - low) / step
    cells = np.rint(places).astype(np.int64)
    columns, rows = (int(n) + 1 for n in cells.max(axis=0))
    on_lattice = bool((np.abs(places - cells) * step <= 1 + _OFF_LATTICE * step).all())
    apart = len(np.unique(cells[:, 1] * columns + cells[:, 0])) == len(coords)
    if (
        on_lattice
        and apart
        and columns * rows <= MOST_CELLS
        and (step <= 1.2 * np.array(side)).all()
    ):
        tiles = np.full((rows, columns), -1, np.int32)
        tiles[cells[:, 1], cells[:, 0]] = np.arange(len(coords))
        corner = low + (np.array(side) - step) / 2  # cells around the centres of tiles
        return TileRaster(tiles, (float(corner[0]), float(corner[1])), (step[0], step[1]))
    return _paint(coords, side, low)


def _paint(coords: Coords, side: tuple[float, float], low: npt.NDArray[np.float64]) -> TileRaster:
    """Paint tiles one over another as blocks of small cells."""
    reach = coords.max(axis=0) - low + np.array(side)
    cell = np.array(side) / PARTS
    cell *= max(1.0, np.sqrt(np.prod(reach / cell) / MOST_CELLS))
    parts = np.maximum(1, np.rint(np.array(side) / cell)).astype(int)
    first = np.rint((coords - low) / cell).astype(np.int64)
    columns, rows = (int(n) for n in first.max(axis=0) + parts)
    tiles = np.full((rows, columns), -1, np.int32)
    numbers = np.arange(len(coords))
    for down in range(parts[1]):
        for across in range(parts[0]):
            tiles[first[:, 1] + down, first[:, 0] + across] = numbers
    return TileRaster(tiles, (float(low[0]), float(low[1])), (float(cell[0]), float(cell[1])))


def _find_step(places: npt.NDArray[np.int32], side: float) -> float:
    """Mean distance of neighbours on one axis, of those that are no more than a tile's gap."""
    steps = np.diff(np.unique(places)).astype(float)
    steps = steps[steps > 0]
    if not len(steps):
        return side
    least = float(np.median(steps))
    span = float(places.max() - places.min())
    return span / max(1, round(span / least))


def find_tile(coords: Coords, side: tuple[float, float], point: tuple[float, float]) -> int | None:
    """Number of the tile at a point; the one whose centre is nearest where several overlap.

    Args:
        coords: (N, 2) top-left (x, y), level-0 px.
        side: (width, height) of a tile, level-0 px.
        point: (x, y), level-0 px.
    """
    away = np.asarray(point) - coords
    inside = np.flatnonzero(((away >= 0) & (away < np.asarray(side))).all(axis=1))
    if not len(inside):
        return None
    off = np.abs(away[inside] - np.asarray(side) / 2).sum(axis=1)
    return int(inside[off.argmin()])


def draw_grid(
    coords: Coords,
    side: tuple[float, float],
    corner: tuple[int, int],
    downsample: float,
    edge: int,
) -> npt.NDArray[np.uint8]:
    """Draw the outlines of tiles on a clear square.

    Args:
        coords: (N, 2) top-left (x, y), level-0 px.
        side: (width, height) of a tile, level-0 px.
        corner: (x, y) of the square's top-left corner, level-0 px.
        downsample: Level-0 px per px of the square.
        edge: Of the square, px.

    Returns:
        (edge, edge, 4) uint8 RGBA; clear where tiles are smaller than 6 px.
    """
    picture = np.zeros((edge, edge, 4), np.uint8)
    if min(side) / downsample < 6:
        return picture
    start = (coords - np.asarray(corner)) / downsample
    stop = start + np.asarray(side) / downsample
    near = ((stop >= 0) & (start < edge)).all(axis=1)
    lefts, tops = np.rint(start[near]).astype(int).T
    rights, bottoms = np.rint(stop[near]).astype(int).T
    for left, top, right, bottom in zip(lefts, tops, rights, bottoms, strict=True):
        rows, columns = slice(max(top, 0), bottom + 1), slice(max(left, 0), right + 1)
        for row in (top, bottom):
            if 0 <= row < edge:
                picture[row, columns] = _LINE
        for column in (left, right):
            if 0 <= column < edge:
                picture[rows, column] = _LINE
    return picture


_LINE = np.array([20, 60, 160, 170], np.uint8)
