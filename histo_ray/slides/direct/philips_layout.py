"""Tiles of a Philips TIFF. Coarse levels are padded to whole tiles, and tiles may be missing.

The rules are those of OpenSlide's driver `philips-tiff`: its sizes and downsamples come from the
pixel spacings in the XML, and what a level has beyond them is not shown.
"""

from dataclasses import replace

from histo_ray.slides.direct.layout import Layout, Level, UnrecognisedError
from histo_ray.slides.direct.tiff_layout import read_tile_array
from histo_ray.slides.direct.vendor_tiff import KnownSlide, check_levels, full_pages, parse_tiff


def read_philips(path: str, known: KnownSlide) -> Layout:
    """Find the tiles of each level.

    Args:
        path: Local file.
        known: The slide by OpenSlide.

    Raises:
        UnrecognisedError: Anything is not as this reader knows it.
    """
    with parse_tiff(path, is_philips=False) as tiff:  # which would crop the pages by itself
        pages = [page for page in full_pages(tiff) if page.is_tiled]
        arrays = [read_tile_array(page, tiff.filehandle.size) for page in pages]
    if len(arrays) != len(known.level_sizes):
        raise UnrecognisedError(f"{len(arrays)} levels, not {len(known.level_sizes)}")
    levels = []
    for array, downsample in zip(arrays, known.downsamples, strict=True):
        width, height = (int(whole / downsample) for whole in arrays[0].size)
        if not downsample.is_integer() or width > array.size[0] or height > array.size[1]:
            raise UnrecognisedError(f"a level of {array.size} px, {downsample:g} times smaller")
        levels.append(Level((width, height), (replace(array, size=(width, height)),)))
    return Layout(check_levels(tuple(levels), known))
