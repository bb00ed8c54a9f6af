"""Slides of a store that a predictor can be applied to: its encoder's weights, in its tiling."""

from collections.abc import Mapping
from dataclasses import dataclass

from histo_ray.errors import ConfigError, StoreError
from histo_ray.pooling.registry import parse_pooling
from histo_ray.predict.card import PredictorCard
from histo_ray.predict.extract_command import name_class_extraction, name_extraction
from histo_ray.store.catalog import Partitions, list_partitions
from histo_ray.store.chosen_tiles import choose_tiles
from histo_ray.store.layout import is_given, is_imported
from histo_ray.store.models import read_card
from histo_ray.store.partition_vectors import CountedPartition, count_tiles
from histo_ray.store.stated import correct_receipts
from histo_ray.store.store import Store
from histo_ray.store.tilings import describe_tilings, find_tiling
from histo_ray.text import count_of, name_some
from histo_ray.types import PartitionKey, Receipt

Receipts = Mapping[PartitionKey, Receipt]


@dataclass(frozen=True)
class TargetSlides:
    """Slides with tiles that a predictor can be applied to."""

    encoder: str
    """As this store calls it."""
    tiling: str
    partitions: Partitions
    receipts: Receipts
    """Receipts of the same, with patient and site as the newest manifest says."""
    empty: tuple[str, ...]
    """Slides without tiles, which are left out."""
    where: str | None = None
    """Condition on the tiles that are used; receipts are those of these tiles."""
    filtered: tuple[str, ...] = ()
    """Slides with tiles of which it keeps none, which are left out."""

    def by_patient(self) -> dict[str, list[CountedPartition]]:
        """Partitions of each patient, both in sorted order."""
        found: dict[str, list[CountedPartition]] = {}
        for key in sorted(self.receipts):
            receipt = self.receipts[key]
            one = count_tiles(key, self.partitions[key], receipt)
            found.setdefault(receipt.slide.patient_id, []).append(one)
        return dict(sorted(found.items()))

    def sites(self) -> dict[str, set[str]]:
        """Sites of each patient's slides, without unknown ones."""
        found: dict[str, set[str]] = {}
        for receipt in self.receipts.values():
            if receipt.slide.site:
                found.setdefault(receipt.slide.patient_id, set()).add(receipt.slide.site)
        return found


def find_target_slides(
    store: Store,
    card: PredictorCard,
    tiling: str | None = None,
    home: str = "",
    where: str | None = None,
) -> TargetSlides:
    """Find the slides that a predictor can be applied to.

    The encoder is recognised by its weights, under whatever name this store has it.

    Args:
        store: Where the predictor is to be applied.
        card: Of the predictor.
        tiling: Which, where several fit; see `find_tiling`.
        home: Path or URI of the store that the predictor lies in; empty: unknown. Its fine-tuned
            encoder is there.
        where: Condition on the tiles that are used, see `settle_where`; None: all.

    Raises:
        StoreError: Slides of other weights or another tiling alone; says what to extract.
        ConfigError: Several tilings fit and none is named, or the class head is missing.
    """
    firsts = _read_firsts(store)
    if not firsts:
        raise StoreError(
            f"store {store.root.path}: it holds no slides; {name_extraction(store, card, (), home)}"
        )
    if not _take_own(card, firsts):
        raise _other_weights(store, card, firsts, home)
    key = _choose(store, card, firsts, tiling, home)
    partitions = {
        one: form
        for one, form in list_partitions(store.root, key.encoder, key.tiling).items()
        if not is_given(one.tiling)
    }
    whole = correct_receipts(store.receipts(partitions), store.stated())
    empty = sorted(one.slide_id for one, receipt in whole.items() if not receipt.tile_count)
    receipts = choose_tiles(store.root, partitions, whole, where)
    full = {one: receipt for one, receipt in receipts.items() if receipt.tile_count}
    filtered = sorted({one.slide_id for one in receipts.keys() - full.keys()} - {*empty})
    if filtered and not full:
        raise StoreError(
            f"store {store.root.path}: {where} keeps no tile of any of "
            f"{count_of(len(filtered), 'slide')} of {key.encoder}; see what it drops with "
            f'`histo-ray store where {store.root.path} "{where}"`'
        )
    if not full:
        raise StoreError(
            f"store {store.root.path}: none of {count_of(len(empty), 'slide')} of {key.encoder} in "
            f"tiling {key.tiling} has a tile; see `histo-ray runs {store.root.path}` for the reason"
        )
    check_class_head(store, card, home)
    chosen = {one: partitions[one] for one in full}
    return TargetSlides(key.encoder, key.tiling, chosen, full, tuple(empty), where, tuple(filtered))


def settle_where(card: PredictorCard, asked: str | None) -> str | None:
    """Decide which tiles a predictor is applied to: those that it was fitted on.

    Args:
        card: Of the predictor.
        asked: Condition that the user gives; only a predictor of all tiles takes one.

    Raises:
        ConfigError: The predictor was fitted with another one.
    """
    own = card.where or None
    if own is not None and asked is not None and asked != own:
        raise ConfigError(
            f"--where {asked!r}: predictor {card.name} was fitted on tiles with {own}, and is "
            "applied to such tiles; leave --where out, or fit another predictor"
        )
    return own or asked


def _read_firsts(store: Store) -> Receipts:
    """One receipt of each encoder and tiling of slides."""
    first: dict[tuple[str, str], PartitionKey] = {}
    for key in sorted(store.list_keys()):
        if not is_given(key.tiling):
            first.setdefault((key.encoder, key.tiling), key)
    return store.receipts(first.values())


def _take_own(card: PredictorCard, firsts: Receipts) -> Receipts:
    """Those of the predictor's weights, and of as many orientations of each tile."""
    return {
        key: receipt
        for key, receipt in firsts.items()
        if receipt.encoder.weights_sha256 == card.encoder.weights_sha256
        and receipt.encoder.rotations == card.encoder.rotations
    }


def _choose(
    store: Store, card: PredictorCard, firsts: Receipts, asked: str | None, home: str
) -> PartitionKey:
    """Choose the tiling, among those of the encoder."""
    own = _take_own(card, firsts)
    exact = {key: r for key, r in own.items() if key.tiling == card.tiling.fingerprint}
    fitting = exact or {key: r for key, r in own.items() if _fits(card, key.tiling, r)}
    if not fitting:
        encoder = min(own).encoder
        raise StoreError(
            f"store {store.root.path}: slides of {encoder} are there in {describe_tilings(own)}, "
            f"but predictor {card.name} was fitted on {_describe_tiling(card)}; "
            f"{name_extraction(store, card, firsts.values(), home)}"
        )
    if asked is not None:
        tiling = find_tiling(asked, fitting)
        fitting = {key: r for key, r in fitting.items() if key.tiling == tiling}
        if not fitting:
            raise ConfigError(
                f"--tiling {asked}: no such tiling fits predictor {card.name}; those of its "
                f"encoder are {describe_tilings(own)}"
            )
    if len({key.tiling for key in fitting}) > 1:
        raise ConfigError(
            f"store {store.root.path}: several tilings fit predictor {card.name}; name one with "
            f"--tiling: {describe_tilings(fitting)}"
        )
    return next((key for key in fitting if key.encoder == card.encoder.name), min(fitting))


def _fits(card: PredictorCard, tiling: str, receipt: Receipt) -> bool:
    """Whether tiles of another tiling can stand for those that a predictor was fitted on.

    Of labelled tiles size and mpp are all that is known. Other tools do not say what else decides
    their tiles, so where one cut either of both, size and mpp have to be known and the same.
    """
    if is_given(card.tiling.fingerprint):
        return _is_alike(card, receipt)
    if not (is_imported(card.tiling.fingerprint) or is_imported(tiling)):
        return False
    settings = card.tiling.settings
    return bool(settings.get("tile_px") and settings.get("mpp")) and _is_alike(card, receipt)


def _is_alike(card: PredictorCard, receipt: Receipt) -> bool:
    """Whether tiles have the size and mpp of the labelled tiles, as far as these are known."""
    mine, theirs = card.tiling.settings, receipt.tiling.settings
    return all(mine.get(name) in (None, theirs.get(name)) for name in ("tile_px", "mpp"))


def _other_weights(store: Store, card: PredictorCard, firsts: Receipts, home: str) -> StoreError:
    encoder = card.encoder
    there = {f"{key.encoder} ({r.encoder.weights_sha256[:12]})" for key, r in firsts.items()}
    return StoreError(
        f"store {store.root.path}: it has no slides of the weights {encoder.weights_sha256[:12]} "
        f"of encoder {encoder.name}, which predictor {card.name} was fitted on; there are "
        f"{name_some(sorted(there), 8)}; {name_extraction(store, card, firsts.values(), home)}"
    )


def fits_slide(card: PredictorCard, key: PartitionKey, receipt: Receipt) -> bool:
    """Whether a predictor can be applied to a slide: its encoder's weights, in tiles like its own.

    Args:
        card: Of the predictor.
        key: Of the slide's partition.
        receipt: The same's.
    """
    own = bool(_take_own(card, {key: receipt})) and not is_given(key.tiling)
    return own and (key.tiling == card.tiling.fingerprint or _fits(card, key.tiling, receipt))


def check_class_head(store: Store, card: PredictorCard, home: str) -> None:
    """See that the head that weighs tiles is the one that the predictor was fitted with.

    Args:
        store: Where the predictor is to be applied.
        card: Of the predictor.
        home: As for `find_target_slides`.

    Raises:
        ConfigError: It is missing, or another one.
    """
    needed = card.class_encoder
    if needed is None or not any(parse_pooling(name).needs_head for name in card.poolings):
        return
    found = read_card(store.root, needed.name)
    if found is not None and found.file_sha256 == needed.file_sha256:
        return
    what = "it is not in" if found is None else "another one of that name is in"
    raise ConfigError(
        f"predictor {card.name}: tiles are weighed by the class head of encoder {needed.name}, but "
        f"{what} store {store.root.path}; {name_class_extraction(store, card, needed, home)}"
    )


def _describe_tiling(card: PredictorCard) -> str:
    settings = card.tiling.settings
    mpp = settings.get("mpp")
    size = f"{settings.get('tile_px', '?')} px at {mpp if mpp is not None else 'unknown'} mpp"
    if is_given(card.tiling.fingerprint):
        return f"labelled tiles of {size}"
    return f"{card.tiling.fingerprint} ({size})"
