"""`hr.open_store`: a feature store that is read by tables, Ray Data and torch."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Literal

from histo_ray.deferred import deferred
from histo_ray.errors import ConfigError
from histo_ray.pooling.feature_store import FeatureStore as PooledStore
from histo_ray.pooling.pooled_cache import By
from histo_ray.store.neighbours.choice import choose_tiles, name_partitions
from histo_ray.store.neighbours.index_files import BuiltIndex, build_neighbours, drop_neighbours
from histo_ray.store.neighbours.similar import Query, find_similar
from histo_ray.store.opening import open_root
from histo_ray.store.slide_tiles import choose_stored_slides

if TYPE_CHECKING:
    import pandas as pd
    import ray.data

    from histo_ray.api.torch_datasets import BagDataset, TileStream

_open_on_ray = deferred("histo_ray.cluster.tile_dataset:open_tile_dataset")
_open_bags = deferred("histo_ray.api.torch_datasets:BagDataset")
_open_tiles = deferred("histo_ray.api.torch_datasets:TileStream")


class FeatureStore(PooledStore):
    """A feature store as the Python API opens it."""

    def to_ray(
        self,
        encoder: str,
        tiling: str | None = None,
        slide_ids: Iterable[str] | None = None,
        vectors: bool = True,
        address: str = "local",
        where: str | None = None,
    ) -> "ray.data.Dataset":
        """All tiles of an encoder as a Ray Dataset, a block a slide; nothing is read yet.

        If this process is connected to Ray, that is used; else a Ray of this process's own is
        started on this machine, which ends with it. Another's Ray is joined only where `address` or
        the variable RAY_ADDRESS names it; every node must see the store under the same path or URI.

        Args:
            encoder: Whose embeddings.
            tiling: Where the encoder has several.
            slide_ids: Only these; None: all slides. Labelled tile sets are no slides.
            vectors: Whether rows have their embeddings.
            address: `local`, `auto` (a running one), or `ray://host:port`, as elsewhere.
            where: Only tiles that this condition keeps, as in "focus > 20 and ink < 0.05", and
                slides that have some.

        Returns:
            Rows with slide_id, patient_id, tile_id, x, y (level-0 px), tissue, focus, and
            embedding, an array (D,) as stored.

        Raises:
            StoreError: Nothing of this encoder, a slide that is not there, or several tilings and
                none is named; or slides that were not measured so. Of a damaged partition, when it
                is read.
            ConfigError: No Ray at `address`, this machine cannot start one, or no condition.
        """
        found = choose_stored_slides(self.root, encoder, tiling, slide_ids, self.stated(), where)
        dataset: ray.data.Dataset = _open_on_ray(self.root, found, vectors, address)
        return dataset

    def to_torch(
        self,
        encoder: str,
        of: Literal["bags", "tiles"] = "bags",
        by: By = "slide",
        tiling: str | None = None,
        slide_ids: Iterable[str] | None = None,
        batch_size: int | None = None,
        seed: int | None = None,
        where: str | None = None,
    ) -> "BagDataset | TileStream":
        """A torch dataset over the slides of an encoder, for a `DataLoader` with any workers.

        Args:
            encoder: Whose embeddings.
            of: `bags`: map-style, item i has all tiles of a slide or patient. `tiles`: an iterable
                of tiles, shared among the workers of a loader by slide.
            by: Of `bags`: `slide` or `patient`.
            tiling: Where the encoder has several.
            slide_ids: Only these, in this order; None: all, sorted. None is without tiles.
            batch_size: Of `tiles`: rows of a batch that the stream gives whole, for
                `DataLoader(stream, batch_size=None)`; None: it gives single tiles.
            seed: Of `tiles`: shuffle slides, and tiles within each; None: as they are stored.
            where: As `to_ray`.

        Returns:
            Items are dicts: slide_id and patient_id (text; a list for each tile in batches of
            tiles), tile_id (N,) int32, coords (N, 2) int32 level-0 px, tissue (N,) float32,
            embeddings (N, D) float16 or float32 as stored; of single tiles without the N. Tensors
            share the memory that the file was read into. A bag of a patient has slide_ids, and
            slide (N,) int32, which of them each tile is of.

        Raises:
            ConfigError: Another `of`, settings of the other, or no condition.
            StoreError: As `to_ray`.
        """
        if of not in ("bags", "tiles"):
            raise ConfigError(f"to_torch: of={of!r} must be 'bags' or 'tiles'")
        if by not in ("slide", "patient") or (of == "tiles" and by != "slide"):
            raise ConfigError(f"to_torch: by={by!r} must be 'slide' or, for bags, 'patient'")
        if of == "bags" and not (batch_size is None and seed is None):
            raise ConfigError(
                "to_torch: batch_size and seed are of tiles; for bags the DataLoader has its own"
            )
        if batch_size is not None and batch_size < 1:
            raise ConfigError(f"to_torch: batch_size={batch_size} must be 1 or more")
        found = choose_stored_slides(self.root, encoder, tiling, slide_ids, self.stated(), where)
        if of == "bags":
            bags: BagDataset = _open_bags(self.root, found, by)
            return bags
        tiles: TileStream = _open_tiles(self.root, found, batch_size, seed)
        return tiles

    def similar(
        self,
        query: Query,
        k: int = 10,
        encoder: str | None = None,
        tiling: str | None = None,
        where: str | None = None,
        exact: bool = False,
    ) -> "pd.DataFrame":
        """The tiles most similar to a tile or vector, by cosine; see `build_index`.

        Args:
            query: A tile as (slide_id, tile_id), which is no result of its own, or a vector (D,).
            k: How many at most.
            encoder: Whose embeddings; None: the only one.
            tiling: Where the encoder has several.
            where: Only tiles for which this SQL over the columns of the view `embeddings` is true,
                as in "tissue > 0.8 and slide_id in (select slide_id from slides where site = 'A')".
            exact: Read all vectors even where there is an index.

        Returns:
            slide_id, tile_id, x, y (level-0 px), similarity (-1..1), the most similar first.
            `attrs["searched"]` says how: `index`, `exact scan`, or an index and a scan of slides
            that were added or replaced since.

        Raises:
            ConfigError: No such tile, a vector of another length or without a direction, or `where`
                is no condition.
            StoreError: Nothing of this encoder, several and none is named, or several tilings; or a
                partition is damaged.
        """
        import pandas as pd

        if k < 1:
            raise ConfigError(f"similar: k={k} must be 1 or more")
        named = name_partitions(self.root, encoder, tiling)
        allowed = None if where is None else choose_tiles(self, named, where)
        found = find_similar(self.root, named, query, k, allowed, exact)
        x, y = zip(*found.coords, strict=True) if found.coords else ((), ())
        columns = {"slide_id": found.slide_ids, "tile_id": found.tile_ids, "x": x, "y": y}
        frame = pd.DataFrame({**columns, "similarity": found.similarity})
        frame.attrs["searched"] = found.searched
        return frame

    def build_index(
        self,
        encoder: str | None = None,
        tiling: str | None = None,
        notify: Callable[[str], None] = lambda text: None,
    ) -> BuiltIndex:
        """Build the index of an encoder's tiles that `similar` searches; older ones are removed.

        It is derived, and may be deleted at any time (`drop_index`). Slides that are added or
        replaced later are scanned beside it until it is built again. Needs the package faiss-cpu.

        Args:
            encoder: Whose embeddings; None: the only one.
            tiling: Where the encoder has several.
            notify: Called with a line while it waits for files to settle.

        Raises:
            ConfigError: faiss-cpu is not installed, or the store is in an object store.
            StoreError: As `similar`.
        """
        return build_neighbours(self.root, *name_partitions(self.root, encoder, tiling), notify)

    def drop_index(self, encoder: str | None = None) -> list[str]:
        """Remove the indexes of an encoder, or all; their folders, relative to the store."""
        return drop_neighbours(self.root, encoder)


def open_store(uri: str, create: bool = False) -> FeatureStore:
    """Open a feature store.

    Args:
        uri: Local folder, `s3://bucket/...` or `gs://bucket/...`.
        create: Make an empty one if nothing is there.

    Raises:
        StoreError: Nothing there, something else there, or a newer store.
        ConfigError: Not a path or URI, or a store that cannot be reached.
    """
    return FeatureStore(open_root(uri, create))
