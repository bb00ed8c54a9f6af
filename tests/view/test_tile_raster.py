"""Rasters show each tile's number at its place."""

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from histo_ray.config import TilingConfig
from histo_ray.view.outline import outline_slide, trace_mask
from histo_ray.view.tile_raster import MOST_CELLS, draw_grid, find_tile, lay_raster

SIDE = (112.0, 100.0)


def lattice(columns: int, rows: int, step: tuple[float, float]) -> np.ndarray:
    x, y = np.meshgrid(30 + step[0] * np.arange(columns), 70 + step[1] * np.arange(rows))
    return np.stack([x, y], axis=-1).reshape(-1, 2).round().astype(np.int32)


def at_centres(raster: object, coords: np.ndarray, side: tuple[float, float]) -> np.ndarray:
    """The tile that a raster shows at the centre of each tile."""
    centres = coords + np.asarray(side) / 2
    cells = ((centres - raster.corner) / raster.cell).astype(int)  # type: ignore[attr-defined]
    shown: np.ndarray = raster.tiles[cells[:, 1], cells[:, 0]]  # type: ignore[attr-defined]
    return shown


def test_a_lattice_has_one_cell_a_tile() -> None:
    coords = lattice(7, 4, (112.3, 99.6))
    coords = np.delete(coords, [3, 9, 27], axis=0)
    raster = lay_raster(coords, (112.3, 99.6))
    assert raster.tiles.shape == (4, 7)
    assert at_centres(raster, coords, SIDE).tolist() == list(range(len(coords)))
    filled = raster.fill(np.arange(len(coords)) * 2.0)
    assert np.isnan(filled).sum() == 3
    assert filled[0, 0] == 0
    assert filled[3, 5] == 2 * (len(coords) - 1)


@pytest.mark.parametrize("step", [(56.0, 50.0), (150.0, 300.0)])
def test_overlapping_and_spaced_tiles_are_shown_at_their_centres(
    step: tuple[float, float],
) -> None:
    coords = lattice(9, 5, step)
    raster = lay_raster(coords, SIDE)
    assert at_centres(raster, coords, SIDE).tolist() == list(range(len(coords)))
    if step[0] > SIDE[0]:
        assert (raster.tiles < 0).mean() > 0.4  # the gaps are clear


def test_tiles_anywhere_are_shown_too() -> None:
    coords = np.array([[0, 0], [500, 33], [261, 471], [1000, 777]], np.int32)
    raster = lay_raster(coords, SIDE)
    assert at_centres(raster, coords, SIDE).tolist() == [0, 1, 2, 3]
    assert lay_raster(coords[:0], SIDE).fill([]).shape == (1, 1)
    far = np.array([[0, 0], [3_000_000, 2_000_000], [17, 1_000_003]], np.int32)
    assert lay_raster(far, SIDE).tiles.size <= 1.1 * MOST_CELLS


def test_a_point_finds_its_tile() -> None:
    coords = lattice(5, 3, SIDE)
    assert find_tile(coords, SIDE, (30, 70)) == 0
    assert find_tile(coords, SIDE, (30 + 5 * 112 - 0.5, 70 + 3 * 100 - 0.5)) == 14
    assert find_tile(coords, SIDE, (29, 70)) is None
    overlapping = lattice(5, 3, (56, 50))
    assert find_tile(overlapping, SIDE, (30 + 56 + 56, 70 + 50 + 50)) == 6


def test_the_grid_is_drawn_around_tiles_and_not_where_they_are_too_small() -> None:
    coords = lattice(2, 1, (200, 100))
    grid = draw_grid(coords, SIDE, (0, 0), 1.0, 512)
    assert grid[70, 30:143, 3].all()
    assert grid[170, 30:143, 3].all()
    assert grid[70:171, 142, 3].all()
    assert not grid[70, 150, 3]
    assert not grid[100, 60, 3]
    assert not draw_grid(coords, SIDE, (0, 0), 20.0, 512).any()
    assert not draw_grid(coords, SIDE, (4096, 0), 1.0, 512).any()


def test_an_outline_runs_along_the_outer_edge_of_a_mask() -> None:
    mask = np.zeros((6, 9), bool)
    mask[1:4, 2:8] = True
    (xs,), (ys,) = trace_mask(mask, (10.0, 20.0), (100.0, 0.0))
    assert (min(xs), max(xs)) == pytest.approx((120, 180), abs=3)
    assert (min(ys), max(ys)) == pytest.approx((20, 80), abs=6)
    assert (xs[0], ys[0]) == (xs[-1], ys[-1])


def test_code_that_a_store_names_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "named_by_a_store.py").write_text("raise SystemExit('it ran')")
    monkeypatch.syspath_prepend(str(tmp_path))
    tiling = TilingConfig(tissue="named_by_a_store:make#0123456789ab").model_dump()
    facts = SimpleNamespace(tiling=SimpleNamespace(settings=tiling))
    slide: Any = SimpleNamespace(
        slide_id="S1", receipt=facts, side=(10.0, 10.0), coords=np.array([[0, 0], [10, 0]])
    )
    opened: Any = object()
    assert outline_slide(slide, opened).note == "the area that tiles cover"
    assert "named_by_a_store" not in sys.modules
