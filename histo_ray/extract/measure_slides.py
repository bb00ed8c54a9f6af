"""Measure the tiles of slides that are in a store: overviews, and pixels where asked for.

Nothing is encoded, and no partition is touched. What was measured lies in `quality/`, a table a
slide and tiling, so a run that was stopped goes on with the slides that are missing.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from histo_ray.config import TilingConfig
from histo_ray.errors import SlideError, StoreError, UnreachableError
from histo_ray.slides.levels import choose_level
from histo_ray.slides.reader import OpenedSlide
from histo_ray.slides.stored_slide import open_stored_slide
from histo_ray.store.catalog import FORMATS, Partitions
from histo_ray.store.layout import is_given, partition_path
from histo_ray.store.location import Location
from histo_ray.store.measures import (
    MEASURES_VERSION,
    DamagedMeasuresError,
    MeasureReceipt,
    read_measure_receipt,
    write_measures,
)
from histo_ray.tiles.artefacts import measure_artefacts, overview_mpp
from histo_ray.tiles.blur import WORK_MPP, measure_blur
from histo_ray.tiles.pixels import locate_tissue, read_batch
from histo_ray.types import PartitionKey, Receipt, Slide, TileGrid

TILES_AT_ONCE = 64
Coords = npt.NDArray[np.int32]
Say = Callable[[str], None]


class MeasureTask(NamedTuple):
    """A slide in one tiling that is to be measured."""

    key: PartitionKey
    """Some partition of it: tiles are the same for every encoder."""
    receipt: Receipt
    moved: Slide | None
    """Where the slide lies now; None: where it was extracted from."""


@dataclass
class Measured:
    """What became of the slides of a store."""

    done: list[str] = field(default_factory=list)
    """`slide_id` or, where a store has several tilings, `slide_id (tiling)`."""
    there: int = 0
    """Slides and tilings that were measured before."""
    problems: list[str] = field(default_factory=list)
    """A line on each that could not be measured."""


def list_tasks(
    root: Location,
    receipts: Mapping[PartitionKey, Receipt],
    moved: Mapping[str, Slide],
    pixels: bool,
    again: bool,
) -> tuple[list[MeasureTask], int]:
    """List what is to be measured, one task a slide and tiling; and how many are done.

    Args:
        root: The store.
        receipts: Of all its partitions.
        moved: Slides of a manifest, by slide_id.
        pixels: Whether the tiles' own pixels are to be read.
        again: Measure those anew that are there.
    """
    first: dict[tuple[str, str], MeasureTask] = {}
    for key, receipt in sorted(receipts.items()):
        if receipt.tile_count and not is_given(key.tiling):
            task = MeasureTask(key, receipt, moved.get(key.slide_id))
            first.setdefault((key.tiling, key.slide_id), task)
    todo = [task for task in first.values() if again or not _is_done(root, task, pixels)]
    return todo, len(first) - len(todo)


def measure_all(
    root: Location,
    partitions: Partitions,
    tasks: Iterable[MeasureTask],
    pixels: bool,
    threads: int,
    say: Say = lambda text: None,
) -> Measured:
    """Measure slides, several at once; a slide that cannot be read is a line, the others go on."""
    found = Measured()
    tasks = list(tasks)
    with ThreadPoolExecutor(threads) as pool:
        running = {pool.submit(_measure_one, root, partitions, one, pixels): one for one in tasks}
        for number, future in enumerate(as_completed(running), 1):
            task = running[future]
            try:
                future.result()
                found.done.append(task.key.slide_id)
            except UnreachableError:
                raise
            except (SlideError, StoreError) as error:  # its file, or its partition
                found.problems.append(str(error))
            say(f"{number}/{len(tasks)} slides measured")
    found.done.sort()
    found.problems.sort()
    return found


def measure_slide(
    opened: OpenedSlide, receipt: Receipt, coords: Coords, pixels: bool
) -> tuple[MeasureReceipt, dict[str, npt.NDArray[np.float32]]]:
    """Measure the tiles of one slide.

    Args:
        opened: The slide.
        receipt: Of a partition of it.
        coords: (N, 2) of its tiles.
        pixels: Whether their own pixels are read, for `blur`.

    Raises:
        SlideError: It cannot be read, or is dark-field.
    """
    tiling = _tiling_of(receipt)
    mask, _, _ = locate_tissue(opened, tiling)
    if mask is None:
        raise ValueError("settings of an overview without one")
    nothing = np.zeros(len(coords), np.float32)
    grid = TileGrid(opened.slide_id, coords, nothing, receipt.tiling.side)
    measures = measure_artefacts(mask, opened.pyramid, grid)
    if pixels:
        measures["blur"] = np.concatenate(list(_measure_blur(opened, grid)))
    return (
        MeasureReceipt(
            slide_id=receipt.slide.slide_id,
            fingerprint=opened.fingerprint,
            tiling=receipt.tiling.fingerprint,
            overview_mpp=overview_mpp(mask, opened.pyramid),
            pixels=pixels,
        ),
        measures,
    )


def _measure_one(root: Location, partitions: Partitions, task: MeasureTask, pixels: bool) -> None:
    form = partitions[task.key]
    coords = FORMATS[form].read_columns(root.child(partition_path(task.key, form))).coords
    try:
        with open_stored_slide(task.receipt, task.moved) as opened:
            receipt, measures = measure_slide(opened, task.receipt, coords, pixels)
    except MemoryError as error:
        raise SlideError(task.key.slide_id, f"needs more memory than there is ({error})") from None
    write_measures(root, receipt, coords, measures)


def _measure_blur(opened: OpenedSlide, grid: TileGrid) -> Iterator[npt.NDArray[np.float32]]:
    """Read tiles at `WORK_MPP`, which is a coarser level than theirs on most slides."""
    mpp = max(WORK_MPP, *opened.mpp)
    tile_px = max(8, round(grid.side[0] * opened.mpp.x / mpp))
    level = choose_level(opened.pyramid, mpp, tile_px)
    for start in range(0, len(grid), TILES_AT_ONCE):
        batch = read_batch(opened, grid, level, tile_px, start, start + TILES_AT_ONCE)
        yield measure_blur(batch.pixels, mpp)


def _tiling_of(receipt: Receipt) -> TilingConfig:
    """Settings of the overview and of what counts as tissue; usual ones of imported tiles."""
    known = {
        name: value
        for name, value in receipt.tiling.settings.items()
        if name in ("mask_mpp", "min_area_um2", "max_hole_um2", "close_um") and value is not None
    }
    return TilingConfig.model_validate(known)


def _is_done(root: Location, task: MeasureTask, pixels: bool) -> bool:
    try:
        made: MeasureReceipt | None = read_measure_receipt(root, task.key.tiling, task.key.slide_id)
    except DamagedMeasuresError:
        return False
    if made is None or made.version < MEASURES_VERSION:
        return False
    return made.fingerprint == task.receipt.slide.fingerprint and (made.pixels or not pixels)
