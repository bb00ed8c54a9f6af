"""`hr.show_where`: what a condition on tiles keeps of each slide, as a table and pictures."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from histo_ray.report.slides.kept_picture import draw_kept
from histo_ray.report.slides.preview import write_png
from histo_ray.report.slides.slide_pixels import read_slide_pixels
from histo_ray.slides.manifest import read_manifest
from histo_ray.storage.check import check_folder
from histo_ray.store.catalog import FORMATS, Partitions
from histo_ray.store.chosen_tiles import choose_tiles
from histo_ray.store.find import choose_slides
from histo_ray.store.layout import partition_path
from histo_ray.store.location import Location
from histo_ray.store.partition_vectors import tile_ids_of
from histo_ray.store.receipt_cache import read_receipts
from histo_ray.store.stated import correct_receipts, read_stated
from histo_ray.store.store import open_store
from histo_ray.store.tile_filter import parse_where
from histo_ray.types import PartitionKey, Receipt, Slide

if TYPE_CHECKING:
    import pandas as pd


@dataclass
class WhereResult:
    """What a condition keeps."""

    where: str
    """In canonical spelling."""
    slides: "pd.DataFrame"
    """slide_id, patient_id, tiles, kept, dropped (share); the most dropped first."""
    written: list[str] = field(default_factory=list)
    """Pictures, a path a slide."""
    problems: list[str] = field(default_factory=list)
    """Slides that could not be read, so that their pictures show tiles alone."""


def show_where(
    store: str | Path,
    where: str,
    *,
    encoder: str,
    tiling: str | None = None,
    slide_ids: Iterable[str] | None = None,
    pictures: str | Path | None = None,
    manifest: str | Path | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> WhereResult:
    """Count the tiles of each slide that a condition keeps, and draw them; nothing is changed.

    Args:
        store: Folder or URI of the store.
        where: Condition on tiles, as in "focus > 20 and ink < 0.05".
        encoder: Whose slides.
        tiling: Where the encoder has several.
        slide_ids: Only these; None: all.
        pictures: Local folder for one PNG a slide; None: none are drawn.
        manifest: Says where slides lie now, if not where they were extracted.
        say: Called with lines on how far it is.

    Raises:
        ConfigError: No condition, or the manifest cannot be read.
        StoreError: Nothing of this encoder or of a slide, or slides that were not measured so.
    """
    import pandas as pd

    root = open_store(str(store)).root
    if pictures is not None:
        check_folder(pictures, "--pictures")
    text = parse_where(where).text
    partitions = choose_slides(root, encoder, tiling, slide_ids)
    whole = correct_receipts(read_receipts(root, partitions), read_stated(root))
    chosen = choose_tiles(root, partitions, whole, text)
    rows = [
        (key.slide_id, one.slide.patient_id, one.tile_count, chosen[key].tile_count)
        for key, one in whole.items()
    ]
    frame = pd.DataFrame(rows, columns=["slide_id", "patient_id", "tiles", "kept"])
    frame["dropped"] = 1 - frame["kept"] / frame["tiles"].where(frame["tiles"] > 0)
    frame = frame.sort_values(["dropped", "slide_id"], ascending=[False, True], ignore_index=True)
    result = WhereResult(text, frame)
    if pictures is not None:
        moved = {} if manifest is None else {s.slide_id: s for s in read_manifest(str(manifest))}
        for number, (key, receipt) in enumerate(whole.items(), 1):
            if receipt.tile_count:
                _draw(root, partitions, key, (receipt, chosen[key]), text, moved, pictures, result)
            say(f"{number}/{len(whole)} slides drawn")
    return result


def _draw(
    root: Location,
    partitions: Partitions,
    key: PartitionKey,
    receipts: tuple[Receipt, Receipt],
    where: str,
    moved: dict[str, Slide],
    folder: str | Path,
    result: WhereResult,
) -> None:
    whole, chosen = receipts
    form = partitions[key]
    coords = FORMATS[form].read_columns(root.child(partition_path(key, form))).coords
    kept = np.zeros(len(coords), bool)
    kept[tile_ids_of(chosen)] = True
    pixels = read_slide_pixels(whole, coords, [], moved.get(key.slide_id))
    if pixels.problem:
        result.problems.append(f"{key.slide_id}: {pixels.problem}")
    path = Path(folder) / f"{key.slide_id}.png"
    write_png(path, draw_kept(pixels, whole, coords, kept, where))
    result.written.append(str(path))
