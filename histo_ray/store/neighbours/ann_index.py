"""An approximate index of vectors by faiss: cells around centres, halves, mapped into memory.

The only door to faiss, which need not be installed. Decision 27 has what else was measured.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from histo_ray.errors import ConfigError, StoreError
from histo_ray.store.half_floats import Float32s
from histo_ray.store.neighbours.nearest import NONE, Nearest, merge

if TYPE_CHECKING:
    import faiss

SUFFIX = ".faiss"
"""File of a shard: some of the vectors, around the centres of all."""
SHARD_BYTES = 2 << 30
"""Vectors, as halves, of a shard; one is held in memory while an index is built."""
SAMPLE_BYTES = 512 << 20
"""Vectors, as float32, that centres are learned from."""
A_CENTRE = 40
"""Vectors of the sample for each centre."""
ROUNDS = 10
"""Rounds of k-means."""
RECALL = 0.98
"""Share of the true ten nearest that the number of cells to look into is chosen for."""
QUERIES, ASKED = 32, 10


class IndexQuality(NamedTuple):
    """What was measured of an index when it was built."""

    cells: int
    looked_into: int
    """Cells of a query."""
    recall: float
    """Share of the ten nearest by a look into all cells that it finds."""


def has_faiss() -> bool:
    """Whether the package is installed."""
    try:
        _faiss()
    except ImportError:
        return False
    return True


def build_index(
    folder: Path, sample: Float32s, blocks: Iterable[Float32s], seed: int = 0
) -> IndexQuality:
    """Build an index of unit vectors; memory holds the sample and a shard.

    Args:
        folder: Where its files come; exists.
        sample: (S, D) of the vectors, drawn at random.
        blocks: All vectors in order, in blocks.
        seed: Of the centres.

    Raises:
        ConfigError: faiss is not installed.
    """
    try:
        faiss = _faiss()
    except ImportError:
        raise ConfigError(
            "the package faiss-cpu is not installed, which makes the index; "
            "pip install 'histo-ray[neighbours]', or search without an index"
        ) from None
    dim = sample.shape[1]
    cells = max(1, len(sample) // A_CENTRE)
    index = faiss.index_factory(dim, f"IVF{cells},SQfp16", faiss.METRIC_INNER_PRODUCT)
    index.cp.niter, index.cp.seed, index.cp.min_points_per_centroid = ROUNDS, seed, 1
    index.train(sample)
    shards, done = list[Path](), 0
    for block in blocks:
        index.add_with_ids(block, np.arange(done, done + len(block)))
        done += len(block)
        if index.ntotal * dim * 2 >= SHARD_BYTES:
            shards.append(_write_shard(index, folder, len(shards)))
    if index.ntotal or not shards:
        shards.append(_write_shard(index, folder, len(shards)))
    return _choose_cells(AnnIndex(folder), sample[:QUERIES])


def sample_size(count: int, dim: int) -> int:
    """Vectors that centres are learned from: for 4 times the root of all as many centres."""
    wanted = A_CENTRE * int(4 * count**0.5)
    return max(1, min(count, wanted, SAMPLE_BYTES // (4 * dim)))


class AnnIndex:
    """An index that is open: its lists are mapped, not read."""

    def __init__(self, folder: Path) -> None:
        """Open the files of `build_index`.

        Raises:
            StoreError: They are damaged.
        """
        faiss = _faiss()
        self._shards: list[Any] = []
        for path in sorted(folder.glob(f"*{SUFFIX}")):
            try:
                self._shards.append(faiss.read_index(str(path), faiss.IO_FLAG_MMAP))
            except RuntimeError as error:  # faiss knows no other
                raise StoreError(
                    f"{path}: not readable, so it is damaged; store index drop removes it"
                ) from error

    @property
    def cells(self) -> int:
        """Number of centres."""
        return int(self._shards[0].nlist)

    def search(
        self,
        query: Float32s,
        k: int,
        looked_into: int,
        allowed: npt.NDArray[np.bool_] | None = None,
    ) -> Nearest:
        """The `k` rows most similar to a vector, of the cells that are looked into.

        Args:
            query: (D,) of length 1.
            k: How many at most.
            looked_into: Number of cells; of few allowed rows more are looked into.
            allowed: (N,) which rows count; None: all.
        """
        faiss = _faiss()
        settings = faiss.SearchParametersIVF(nprobe=min(looked_into, self.cells))
        if allowed is not None:
            count = int(allowed.sum())
            if not count:
                return NONE
            settings.nprobe = min(self.cells, looked_into * len(allowed) // count + 1)
            bits = np.packbits(allowed, bitorder="little")
            selector = faiss.IDSelectorBitmap(bits)
            settings.sel = selector
        found = []
        for shard in self._shards:
            similarity, rows = shard.search(query[None], k, params=settings)
            there = rows[0] >= 0
            found.append(Nearest(rows[0][there], similarity[0][there]))
        return merge(found, k)


def _faiss() -> Any:
    import faiss

    return faiss


def _write_shard(index: "faiss.IndexIVF", folder: Path, number: int) -> Path:
    """Write what an index holds, and empty it."""
    path = folder / f"{number:04d}{SUFFIX}"
    _faiss().write_index(index, str(path))
    index.reset()
    return path


def _choose_cells(index: AnnIndex, queries: Float32s) -> IndexQuality:
    """Look into as few cells as find nearly all that a look into all cells finds."""
    truth = [set(index.search(query, ASKED, index.cells).rows.tolist()) for query in queries]
    looked = min(8, index.cells)
    while True:
        found = [set(index.search(query, ASKED, looked).rows.tolist()) for query in queries]
        hits = sum(len(mine & theirs) for mine, theirs in zip(found, truth, strict=True))
        recall = hits / max(1, sum(map(len, truth)))
        if recall >= RECALL or looked == index.cells:
            return IndexQuality(index.cells, looked, recall)
        looked = min(2 * looked, index.cells)
