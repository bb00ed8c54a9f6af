"""Resume as a set difference: the manifest less what the store has."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain
from typing import NamedTuple

from histo_ray.config import ExtractConfig, RunSettings, TilingConfig, works_here
from histo_ray.errors import SlideError, StoreError
from histo_ray.extract.work import SubjectWork, row_of
from histo_ray.slides.fingerprint import fingerprint_file
from histo_ray.storage.check import check_folder
from histo_ray.store.stated import correct_receipt
from histo_ray.store.store import Store
from histo_ray.tiles.masks import digest_given_mask
from histo_ray.types import Outcome, PartitionKey, Receipt, RunRow, Slide

LOOKUPS = 16
"""Receipts and slide files looked at together; the time goes to waiting for storage."""
STORED_REASON = "already stored"
"""The run table's word for why a partition is left as it is."""
A_TASK = 16
"""Slide files that a thread looks at before it is asked again."""
Marks = dict[str, tuple[str, str]]
"""Fingerprints of the files of slides, and of their given masks, by slide."""


@dataclass(frozen=True)
class Agenda:
    """Work of a run, and the rows of its run table that are known already."""

    todo: list[SubjectWork]
    rows: list[RunRow]
    notes: tuple[str, ...] = ()
    """What of the manifest is new to the store and needs no extraction."""
    kept: Counter[str] = field(default_factory=Counter)
    """Partitions that are skipped, by the arithmetic of their vectors where the run states another
    one, under "" where it does not."""


class _Stored(NamedTuple):
    """A partition that the store has."""

    change: str
    """How its slide differs now; empty if it does not."""
    tiles: int
    empty_reason: str
    otherwise: str
    """The arithmetic of its vectors, where the run states another."""

    @property
    def is_outdated(self) -> bool:
        """Whether `replace_changed` extracts it again."""
        return bool(self.change or (self.otherwise and self.tiles))


def check_cache(config: ExtractConfig) -> None:
    """Check the folder for copies of slides, where it is on this machine.

    Raises:
        ConfigError: It cannot be used.
    """
    if config.cache_dir is not None and works_here(config.address):
        check_folder(config.cache_dir, "cache_dir")


def plan_agenda(
    slides: Sequence[Slide],
    names: Sequence[str],
    store: Store | None,
    config: ExtractConfig,
    *,
    open_files: bool = True,
    marks: Marks | None = None,
) -> Agenda:
    """Compare a manifest with a store.

    A partition counts if its receipt names the same file (size, first and last 64 KiB), the
    same given mask and the mpp that the manifest states. Another patient or site is no change of
    a partition: the run table keeps the manifest's word, which goes before the receipt's. A
    partition that does not count is never used in silence: its slide fails, or is extracted again
    with `replace_changed`. One whose vectors were computed in another arithmetic than the run
    states counts, which its row says, unless `replace_changed` asks for it anew.

    Args:
        slides: The manifest.
        names: Encoders, by their names in the store.
        store: Where partitions are; None if there is no store yet.
        config: The run.
        open_files: Whether slides and masks are looked into; without it they count as unchanged.
        marks: What was seen of them before, which is added to.
    """
    tiling = config.tiling
    stored: dict[PartitionKey, _Stored] = {}  # receipts are large, and there may be very many
    moved: dict[str, tuple[str, str]] = {}
    if store is not None:
        stored, moved = _compare(
            slides, names, store, config, open_files, {} if marks is None else marks
        )
    older = _note_older_tilings(slides, names, store, tiling)
    agenda = Agenda([], [], (*_note_patients(moved), *older))
    for slide in slides:
        missing = []
        for name in names:
            found = stored.get(PartitionKey(name, tiling.fingerprint(), slide.slide_id))
            if found is None or (found.is_outdated and config.replace_changed):
                missing.append(name)
                continue
            row = _known_row(slide, name, found)
            agenda.rows.append(row)
            if row.outcome == Outcome.SKIPPED:
                agenda.kept[found.otherwise] += 1
        if missing:
            agenda.todo.append(SubjectWork(slide, tuple(missing)))
    return agenda


def _compare(
    slides: Sequence[Slide],
    names: Sequence[str],
    store: Store,
    config: ExtractConfig,
    open_files: bool,
    marks: Marks,
) -> tuple[dict[PartitionKey, _Stored], dict[str, tuple[str, str]]]:
    """Compare the stored partitions of some slides with the slides as they are now.

    Returns:
        How each partition fits its slide; and (before, now) by slide_id.
    """
    tiling = config.tiling
    fingerprint = tiling.fingerprint()
    there = {name: store.list_keys(encoder=name, tiling=fingerprint) for name in names}
    keys = [
        PartitionKey(name, fingerprint, slide.slide_id)
        for slide in slides
        for name in names
        if PartitionKey(name, fingerprint, slide.slide_id) in there[name]
    ]
    by_id = {slide.slide_id: slide for slide in slides}
    known = {key.slide_id for key in keys} if open_files else set()
    unseen = [s for s in slides if s.slide_id in known and s.slide_id not in marks]
    marks.update(_read_marks(unseen, tiling))
    stated = store.stated()
    stored: dict[PartitionKey, _Stored] = {}
    moved: dict[str, tuple[str, str]] = {}
    damaged: dict[PartitionKey, StoreError] = {}
    for key, receipt in store.each_receipt(keys, damaged.__setitem__):
        slide = by_id[key.slide_id]
        as_stored = (receipt.slide.fingerprint, receipt.tiling.tissue_digest)
        change = describe_change(receipt, slide, *marks.get(key.slide_id, as_stored))
        otherwise = other_precision(receipt, config)
        before = correct_receipt(receipt, stated).slide.patient_id
        if before != slide.patient_id:
            moved[key.slide_id] = before, slide.patient_id
        stored[key] = _Stored(change, receipt.tile_count, receipt.empty_reason, otherwise)
    for key, error in damaged.items():  # one that cannot be read does not stop the others
        stored[key] = _Stored(f"damaged ({error})", 0, "", "")
    return stored, moved


def _note_patients(moved: Mapping[str, tuple[str, str]]) -> Iterator[str]:
    """Note on slides whose patient the manifest corrects."""
    if moved:
        slide, (before, now) = min(moved.items())
        number = "1 slide has" if len(moved) == 1 else f"{len(moved)} slides have"
        yield (
            f"{number} another patient than before (as {slide}: {before}, now {now}): with this "
            "manifest's extraction the new one holds for evaluate and pooling; nothing is "
            "extracted again for that"
        )


def _note_older_tilings(
    slides: Sequence[Slide], names: Sequence[str], store: Store | None, tiling: TilingConfig
) -> Iterator[str]:
    """Note on partitions of these slides in a tiling of an earlier version."""
    if store is None:
        return
    listed = {slide.slide_id for slide in slides}
    for older in tiling.older_fingerprints():
        keys = (store.list_keys(encoder=name, tiling=older) for name in names)
        count = sum(key.slide_id in listed for key in chain.from_iterable(keys))
        if count:
            yield (
                f"the store has {count} partition{'s' * (count != 1)} of these slides in tiling "
                f"{older}: the same settings with the tissue detection of an earlier version. They "
                f"stay valid and are left as they are; this run writes tiling "
                f"{tiling.fingerprint()} beside them, from the start, and does not add to the old "
                f"one (only the version that made it can). Name the one to evaluate with --tiling"
            )


def _known_row(slide: Slide, name: str, found: _Stored) -> RunRow:
    if found.change:
        reason = f"{found.change} since it was stored; --replace-changed extracts it again"
        return row_of(slide, name, Outcome.FAILED, reason)
    if not found.tiles:
        return row_of(slide, name, Outcome.EMPTY, found.empty_reason)
    return row_of(slide, name, Outcome.SKIPPED, kept_reason(found.otherwise), found.tiles)


def other_precision(receipt: Receipt, config: RunSettings) -> str:
    """Arithmetic of stored vectors where the run states another one; else empty. Pure."""
    precision = receipt.encoder.precision
    return "" if config.precision in ("auto", precision) else precision


def kept_reason(otherwise: str) -> str:
    """Reason of a skipped partition; `otherwise` is from `other_precision`. Pure."""
    return f"{STORED_REASON}, in {otherwise}" if otherwise else STORED_REASON


def describe_change(receipt: Receipt, slide: Slide, fingerprint: str, mask_digest: str) -> str:
    """Describe how a slide differs from its receipt; empty if it does not. Pure."""
    if fingerprint != receipt.slide.fingerprint:
        return "the slide's file has changed"
    if mask_digest != receipt.tiling.tissue_digest:
        return "the slide's tissue mask has changed"
    if slide.mpp is not None and receipt.slide.mpp != (slide.mpp, slide.mpp):
        found = " x ".join(f"{value:g}" for value in receipt.slide.mpp)
        return f"the manifest's mpp has changed ({found} -> {slide.mpp:g})"
    return ""


def _read_marks(slides: Sequence[Slide], tiling: TilingConfig) -> dict[str, tuple[str, str]]:
    """Fingerprints of files and given masks as they are now, by slide."""
    parts = [slides[start : start + A_TASK] for start in range(0, len(slides), A_TASK)]
    with ThreadPoolExecutor(LOOKUPS) as pool:
        answers = pool.map(lambda part: [_marks(slide, tiling) for slide in part], parts)
        names = (slide.slide_id for slide in slides)
        return dict(zip(names, chain.from_iterable(answers), strict=True))


def _marks(slide: Slide, tiling: TilingConfig) -> tuple[str, str]:
    """Fingerprints of the slide's file and of its given mask as they are now."""
    try:
        return fingerprint_file(slide.path), digest_given_mask(slide.slide_id, tiling)
    except (SlideError, OSError):
        return "unreadable", ""
