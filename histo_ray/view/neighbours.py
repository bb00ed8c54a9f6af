"""The tiles of a cohort that are most like a tile."""

from dataclasses import dataclass

from histo_ray.errors import HistoRayError
from histo_ray.store.neighbours.ann_index import has_faiss
from histo_ray.store.neighbours.index_files import find_index
from histo_ray.store.neighbours.similar import Named, find_similar
from histo_ray.view.viewed_store import ViewedSlide, ViewedStore

SHOWN = 8
MOST_SCANNED = 300_000
"""Tiles that are searched without an index; more would take too long for a click."""


@dataclass(frozen=True)
class Neighbour:
    """A tile that is like another one."""

    slide_id: str
    tile_id: int
    similarity: float
    """Cosine, -1..1."""


@dataclass(frozen=True)
class Neighbours:
    """The most similar tiles, the most similar first."""

    tiles: tuple[Neighbour, ...] = ()
    searched: str = ""
    """How they were found."""
    problem: str = ""
    """Why there are none."""


def find_neighbours(store: ViewedStore, slide: ViewedSlide, tile_id: int) -> Neighbours:
    """Find the tiles most like one, by the index of the encoder, or all tiles of a small cohort.

    Args:
        store: Whose tiles are searched, those of the slide's encoder and tiling.
        slide: Of the tile.
        tile_id: Number of the tile.
    """
    encoder, tiling, _ = slide.key
    try:
        index = find_index(store.root, encoder, tiling)[0] if has_faiss() else None
        frame = store.slides
        own = (frame["encoder"] == encoder) & (frame["tiling"] == tiling)
        count = int(frame.loc[own, "n_tiles"].sum())
        if index is None and count > MOST_SCANNED:
            return Neighbours(
                problem=f"there is no index of these {count:,} tiles; histo-ray store index "
                f"build {store.root.path} --encoder {encoder} makes one"
            )
        named = Named(encoder, tiling, slide.receipt.encoder.dim)
        found = find_similar(store.root, named, (slide.slide_id, tile_id), SHOWN)
    except HistoRayError as error:
        return Neighbours(problem=str(error))
    cells = zip(found.slide_ids, found.tile_ids, found.similarity, strict=True)
    return Neighbours(tuple(Neighbour(*cell) for cell in cells), found.searched)
