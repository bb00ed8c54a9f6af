"""Overlays from the store itself: columns, principal components, classes by a tissue head."""

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from histo_ray.errors import StoreError
from histo_ray.pooling.class_heads import read_class_head
from histo_ray.pooling.class_weights import class_probabilities
from histo_ray.store.half_floats import widen
from histo_ray.store.location import Location
from histo_ray.store.models import list_names, read_card
from histo_ray.types import PartitionKey
from histo_ray.view.components import project_tiles
from histo_ray.view.tile_numbers import TileNumbers, as_classes
from histo_ray.view.viewed_store import ViewedSlide

COMPONENTS = 3
_NOTES = {
    "focus": "variance of the Laplacian of luminance: low is blurred or empty",
    "tissue": "share of the tile that is tissue",
}


class ColumnSource:
    """Columns of a partition: tissue, focus, and texts as label."""

    def names(self, slide: ViewedSlide) -> list[str]:
        """Columns that the slide has."""
        return [*_NOTES, *slide.receipt.text_columns]

    def read(self, slide: ViewedSlide, name: str) -> TileNumbers:
        """Read a column."""
        if name not in _NOTES:
            return as_classes(slide.read_texts()[name])
        column = slide.rows.focus if name == "focus" else slide.rows.tissue
        return TileNumbers(column.astype(np.float64), _NOTES[name])


class ComponentSource:
    """Principal components of the slide's own embeddings."""

    def __init__(self) -> None:
        self._slide: tuple[PartitionKey, npt.NDArray[np.float64]] | None = None

    def names(self, slide: ViewedSlide) -> list[str]:
        """The first components."""
        most = min(COMPONENTS, slide.receipt.encoder.dim) if len(slide.rows) > 1 else 0
        return [f"principal component {number + 1}" for number in range(most)]

    def read(self, slide: ViewedSlide, name: str) -> TileNumbers:
        """Fit the components of a slide; those of the last slide are kept."""
        if self._slide is None or self._slide[0] != slide.key:
            count = len(self.names(slide))
            self._slide = slide.key, project_tiles(slide.read_vectors(), count)
        values = self._slide[1][:, self.names(slide).index(name)]
        return TileNumbers(
            values,
            f"of this slide's embeddings by {slide.key.encoder}, in standard deviations",
            0.0,
        )


class ClassHeadSource:
    """Classes of tissue by the head of a fine-tuned encoder, on its own embeddings."""

    def __init__(self, root: Location) -> None:
        self._root = root
        self._published = frozenset(list_names(root))
        self._classes = lru_cache(64)(self._read_classes)

    def _read_classes(self, encoder: str) -> tuple[str, ...]:
        try:
            card = read_card(self._root, encoder) if encoder in self._published else None
        except StoreError:
            return ()
        return () if card is None else card.classes

    def names(self, slide: ViewedSlide) -> list[str]:
        """The map of all classes, and the probability of each."""
        classes = self._classes(slide.key.encoder)
        if not classes:
            return []
        return ["class map", *(f"probability of {name}" for name in classes)]

    def read(self, slide: ViewedSlide, name: str) -> TileNumbers:
        """Apply the head to the slide's embeddings."""
        card = read_card(self._root, slide.key.encoder)
        if card is None:
            raise StoreError(f"encoder {slide.key.encoder}: its card is gone")
        head = read_class_head(self._root, card)
        shares = class_probabilities(head, widen(slide.read_vectors()))
        note = f"by the tissue head of {card.name}"
        if name != "class map":
            at = [f"probability of {one}" for one in card.classes].index(name)
            return TileNumbers(shares[at].astype(np.float64), note)
        numbers = shares.argmax(axis=0).astype(np.float64)
        numbers[~np.isfinite(shares).all(axis=0)] = np.nan
        return TileNumbers(numbers, note, classes=card.classes)
