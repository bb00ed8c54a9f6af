"""Which reader serves a run: that of slides, or that of labelled tile sets."""

from histo_ray.config import ExtractConfig, RunSettings
from histo_ray.extract.tile_reader import SlideTileReader, TileReader
from histo_ray.extract.tileset import TileSetReader


def open_reader(settings: RunSettings) -> TileReader:
    """Make what plans the subjects of a run and reads their tiles."""
    if isinstance(settings, ExtractConfig):
        return SlideTileReader(settings)
    return TileSetReader(settings)
