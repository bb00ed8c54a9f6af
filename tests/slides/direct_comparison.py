"""Regions of a slide by the direct reader and by OpenSlide, side by side."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from histo_ray.slides.reader import OpenedSlide, open_slide
from testing.jpeg_slides import tile_places

Region = tuple[tuple[int, int], int, tuple[int, int]]


def open_both(path: Path) -> tuple[OpenedSlide, OpenedSlide]:
    return tuple(open_slide(str(path), mpp=0.5, reader=name) for name in ("direct", "openslide"))  # type: ignore[return-value]


def regions(slide: OpenedSlide, tile: tuple[int, int], count: int = 15) -> Iterator[Region]:
    """All tiles of the file, tiles of another size from edge to edge, and regions anywhere."""
    rng = np.random.default_rng(5)
    for level, (width, height) in enumerate(slide.level_sizes):
        scale = slide.size[0] / width, slide.size[1] / height
        for x, y in tile_places((width, height), tile):
            yield (round(x * scale[0]), round(y * scale[1])), level, tile
        for x, y in tile_places((width, height), (177, 133)):
            yield (round(x * scale[0]), round(y * scale[1])), level, (177, 133)
        for _ in range(count):
            x, y = int(rng.integers(-300, width + 300)), int(rng.integers(-300, height + 300))
            size = (int(rng.integers(1, 600)), int(rng.integers(1, 600)))
            yield (int(x * scale[0]), int(y * scale[1])), level, size
        yield (0, 0), level, (width, height)
        yield (-7, -11), level, (width + 20, height + 20)


def differing_bytes(path: Path, tile: tuple[int, int] = (240, 240)) -> int:
    direct, plain = open_both(path)
    with direct, plain:
        assert (direct.reader, plain.reader) == ("direct", "openslide")
        return sum(
            int((direct.read(*region) != plain.read(*region)).sum())
            for region in regions(direct, tile)
        )


def differing_bytes_of_tiles(path: Path, tile: tuple[int, int]) -> int:
    """As `differing_bytes`, over all tiles of one size of all levels and nothing else."""
    direct, plain = open_both(path)
    found = 0
    with direct, plain:
        assert (direct.reader, plain.reader) == ("direct", "openslide")
        for level, (width, height) in enumerate(direct.level_sizes):
            for x, y in tile_places((width, height), tile):
                corner = x * direct.size[0] // width, y * direct.size[1] // height
                ours, theirs = (each.read(corner, level, tile) for each in (direct, plain))
                found += int((ours != theirs).sum())
    return found
