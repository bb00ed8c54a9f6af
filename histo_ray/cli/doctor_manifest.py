"""Checks of `histo-ray doctor --manifest`: slides open, and the disk holds their features."""

from collections.abc import Sequence
from typing import Literal

from histo_ray.cli.doctor_check import Check
from histo_ray.cli.printable import one_line
from histo_ray.deferred import deferred
from histo_ray.errors import HistoRayError, SlideError
from histo_ray.slides.manifest import open_manifest
from histo_ray.text import count_of
from histo_ray.types import Slide

open_slide = deferred("histo_ray.slides.reader:open_slide")
MOST_OPENED = 5
"""Slides of a manifest that are opened, spread evenly over it."""
BYTES_A_ROW = 24
"""Bytes of a tile's row beside its vector: ids, coords, tissue, focus."""
BYTES_A_NUMBER = 2
"""float16"""


def check_manifest(uri: str, tile_px: int, mpp: float) -> list[Check]:
    """Read the manifest, and open a sample of its slides.

    Args:
        uri: Path or URI of the manifest.
        tile_px: Side of the tiles that are counted, px.
        mpp: Their microns per pixel.

    Returns:
        A check of the manifest and one of the slides, which has `tiles_most`: tiles of all slides
        if all of their area were tissue, from the mean area of those that were opened.
    """
    try:
        made = open_manifest(uri)
    except (HistoRayError, OSError) as error:
        return [Check("manifest", "bad", one_line(str(error)))]
    slides = made.slides
    told = Check(
        "manifest",
        "ok",
        one_line(f"{uri}: {made.notes[0]}"),
        measures={"slides": len(slides)},
    )
    return [told, _check_slides(slides, tile_px, mpp)] if slides else [told]


def choose_evenly(count: int, most: int) -> list[int]:
    """Choose at most `most` of `count` positions, first and last among them. Pure."""
    if count <= most:
        return list(range(count))
    return [round(at * (count - 1) / (most - 1)) for at in range(most)]


def _check_slides(slides: Sequence[Slide], tile_px: int, mpp: float) -> Check:
    chosen = [slides[at] for at in choose_evenly(len(slides), MOST_OPENED)]
    tiles, problems = [], []
    for slide in chosen:
        try:
            with open_slide(slide.path, slide_id=slide.slide_id, mpp=slide.mpp) as opened:
                width, height = opened.size
                x_mpp, y_mpp = opened.mpp
        except (SlideError, OSError) as error:
            problems.append(one_line(str(error)))
        else:
            tiles.append(width * x_mpp * height * y_mpp / (tile_px * mpp) ** 2)
    measures = {"slides_opened": float(len(tiles))}
    if tiles:
        measures["tiles_most"] = round(sum(tiles) / len(tiles) * len(slides))
    found = f"{len(tiles)} of {count_of(len(chosen), 'slide')} tried can be opened"
    if not problems:
        return Check("slides", "ok", found, measures=measures)
    remedy = "extract goes on without such slides; histo-ray plan looks at all of them"
    state: Literal["note", "bad"] = "note" if tiles else "bad"
    return Check("slides", state, f"{found}; {'; '.join(problems)}", remedy, measures)


def check_room(free_bytes: float, tiles: float, dims: Sequence[int]) -> Check:
    """Compare free disk with what the features of a manifest take at most. Pure.

    Args:
        free_bytes: Free on the store's disk.
        tiles: Of all slides, at most.
        dims: Length of the vectors of each encoder.
    """
    need = tiles * sum(dim * BYTES_A_NUMBER + BYTES_A_ROW for dim in dims)
    found = (
        f"features take at most {need / 1e9:.3g} GB ({tiles:,.0f} tiles if all were tissue, "
        f"{count_of(len(dims), 'encoder')}); {free_bytes / 1e9:.0f} GB are free"
    )
    measures = {"need_bytes": float(round(need)), "free_bytes": float(free_bytes)}
    if need <= free_bytes:
        return Check("room", "ok", found, measures=measures)
    remedy = "histo-ray plan counts the tiles with tissue, most often a third or fewer"
    return Check("room", "note", found, remedy, measures)
