"""Choice of the reader of a run: slides, or labelled tile sets."""

from histo_ray.config import ExtractConfig, RunSettings
from histo_ray.extract.labelled_tiles import TileSetReader
from histo_ray.extract.tile_reader import SlideTileReader, TileReader


def open_reader(settings: RunSettings) -> TileReader:
    """Make what plans the subjects of a run and reads their tiles."""
    if isinstance(settings, ExtractConfig):
        return SlideTileReader(settings)
    return TileSetReader(settings)
