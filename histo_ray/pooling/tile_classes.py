"""Find the class head that weighs tiles, and hold both encoders' tiles against each other."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from histo_ray.errors import ConfigError, StoreError
from histo_ray.pooling.class_weights import ClassHead, class_probabilities
from histo_ray.pooling.pooled_cache import digest_snapshot
from histo_ray.store.catalog import Partitions, list_partitions, name_some
from histo_ray.store.chosen_tiles import narrow_receipt
from histo_ray.store.half_floats import Float32s
from histo_ray.store.layout import is_given
from histo_ray.store.location import Location
from histo_ray.store.models import ModelCard, list_names, read_card
from histo_ray.store.partition_vectors import (
    CountedPartition,
    TilePiece,
    count_tiles,
    kept_of,
    read_pieces,
)
from histo_ray.store.receipt_cache import read_receipts
from histo_ray.store.tilings import describe_tilings, one_of_each_tiling
from histo_ray.types import PartitionKey, Receipt


@dataclass(frozen=True)
class ClassSource:
    """A class head, and the embeddings that it reads."""

    card: ModelCard
    partitions: dict[str, CountedPartition]
    """By slide."""
    encoder: str
    tiling: str
    snapshot_sha256: str
    """Digest of these embeddings' partitions; see `digest_snapshot`."""

    def is_of(self, key: PartitionKey) -> bool:
        """Whether the head reads the very embeddings of `key`."""
        return (key.encoder, key.tiling) == (self.encoder, self.tiling)


def find_class_source(
    root: Location, receipts: dict[PartitionKey, Receipt], class_encoder: str | None
) -> ClassSource:
    """Find the head that weighs the tiles of some partitions, and its encoder's embeddings.

    Args:
        root: The store.
        receipts: Of all partitions to be pooled, of one encoder and tiling.
        class_encoder: Whose head; None: that of the pooled encoder.

    Raises:
        ConfigError: It has no head.
        StoreError: No embeddings of it, or of other weights than the head's; or a slide with
            another number of tiles.
    """
    pooled = next(iter(receipts))
    name = class_encoder or pooled.encoder
    partitions = _choose_tiling(root, name, pooled.tiling)
    there = {key.slide_id for key in receipts}
    forms = {key: form for key, form in partitions.items() if key.slide_id in there}
    known = receipts if forms.keys() == receipts.keys() else read_receipts(root, forms)
    if not known:
        raise StoreError(
            f"encoder {name}: the store holds none of the slides that {pooled.encoder} has; "
            f"extract the same slides with {name}"
        )
    card = _find_card(root, name, known.values())
    known = _keep_alike(receipts, known)
    counted = {k.slide_id: count_tiles(k, forms[k], r) for k, r in known.items()}
    for key, receipt in receipts.items():
        match = counted.get(key.slide_id)
        if match is not None and match.tiles != receipt.tile_count:
            raise _unlike(key, match.key, f"{receipt.tile_count} and {match.tiles} tiles")
    first = next(iter(known))
    return ClassSource(card, counted, *first[:2], digest_snapshot(known.items()))


def _keep_alike(
    receipts: Mapping[PartitionKey, Receipt], known: Mapping[PartitionKey, Receipt]
) -> dict[PartitionKey, Receipt]:
    """Keep the same tiles of the head's embeddings as of the pooled ones.

    Raises:
        StoreError: A slide has another number of tiles.
    """
    kept = {key.slide_id: (key, kept_of(receipt)) for key, receipt in receipts.items()}
    alike = dict(known)
    for key, receipt in known.items():
        pooled, some = kept[key.slide_id]
        if some is None or kept_of(receipt) is some:
            continue
        if receipt.tile_count != some.whole:
            raise _unlike(pooled, key, f"{some.whole} and {receipt.tile_count} tiles")
        alike[key] = narrow_receipt(receipt, some, "kept")
    return alike


@dataclass(frozen=True)
class TileClasses:
    """P(class) of the tiles of one slide, by another encoder than the pooled one."""

    key: PartitionKey
    coords: npt.NDArray[np.int32]
    """(N, 2)."""
    probabilities: Float32s
    """(K, N)."""

    def take(self, piece: TilePiece, key: PartitionKey) -> Float32s:
        """Take the probabilities of one piece of the slide, (K, n).

        Args:
            piece: Tiles of the pooled encoder.
            key: Their partition, for the message.

        Raises:
            StoreError: Its tiles lie elsewhere.
        """
        cut = slice(piece.start, piece.start + len(piece.coords))
        if not np.array_equal(self.coords[cut], piece.coords):
            raise _unlike(key, self.key, "tiles at other places")
        return self.probabilities[:, cut]


def classify_tiles(root: Location, partition: CountedPartition, head: ClassHead) -> TileClasses:
    """Apply a class head to all tiles of one slide; memory holds K numbers a tile."""
    pieces = [
        (piece.coords, class_probabilities(head, piece.vectors))
        for piece in read_pieces(root, partition)
    ]
    coords, probabilities = zip(*pieces, strict=True)
    return TileClasses(partition.key, np.concatenate(coords), np.concatenate(probabilities, axis=1))


def _choose_tiling(root: Location, name: str, tiling: str) -> Partitions:
    """The encoder's partitions in that tiling; in its only one, where it has others.

    Normalising the stain makes another tiling of the same tiles; coordinates tell.
    """
    found = {k: form for k, form in list_partitions(root, name).items() if not is_given(k.tiling)}
    if not found:
        raise StoreError(
            f"encoder {name}: the store holds no slide of it; extract the slides whose tiles it "
            "shall weigh"
        )
    tilings = {key.tiling for key in found}
    if tiling not in tilings and len(tilings) > 1:
        firsts = {key: found[key] for key in one_of_each_tiling(found)}
        raise StoreError(
            f"encoder {name}, which is to weigh the tiles, has no slides in their tiling {tiling} "
            f"and several others: {describe_tilings(read_receipts(root, firsts))}; extract it in "
            "that tiling"
        )
    chosen = tiling if tiling in tilings else min(tilings)
    return {key: form for key, form in found.items() if key.tiling == chosen}


def _find_card(root: Location, name: str, receipts: Collection[Receipt]) -> ModelCard:
    """The card of an encoder, which may be stored under another name than it was published."""
    weights = {receipt.encoder.weights_sha256 for receipt in receipts}
    request = next(iter(receipts)).encoder.request
    card = read_card(root, name)
    if card is None and f"{request}-f32" == name:
        card = read_card(root, request)
    if card is None:
        raise ConfigError(
            f"encoder {name}: the store holds no class head of it; name an encoder that was "
            f"fine-tuned into this store with class_encoder= (there are: "
            f"{name_some(list_names(root))})"
        )
    if weights != {card.weights_sha256}:
        raise StoreError(
            f"encoder {name}: its embeddings are of weights {name_some(w[:12] for w in weights)}, "
            f"but its head was trained for {card.weights_sha256[:12]}; extract it again"
        )
    return card


def _unlike(one: PartitionKey, two: PartitionKey, found: str) -> StoreError:
    return StoreError(
        f"slide {one.slide_id!r} of {one.encoder} and {two.encoder}: {found}; their "
        "tiles must be the same in the same order: extract both with one tiling"
    )
