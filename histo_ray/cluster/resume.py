"""What a run still has to do: the manifest less what the store has. Resume is a set difference."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from histo_ray.cluster.work import SlideWork, row_of
from histo_ray.config import ExtractConfig, TilingConfig
from histo_ray.errors import SlideError
from histo_ray.slides.fingerprint import fingerprint_file
from histo_ray.store.store import Store
from histo_ray.tiles.masks import digest_given_mask
from histo_ray.types import PartitionKey, Receipt, RunRow, Slide

LOOKUPS = 16
"""Receipts and slide files looked at together; the time goes to waiting for storage."""


@dataclass(frozen=True)
class Agenda:
    """The slides to work on, and the rows of the run table that are known already."""

    todo: list[SlideWork]
    rows: list[RunRow]


def plan_agenda(
    slides: Sequence[Slide], names: Sequence[str], store: Store | None, config: ExtractConfig
) -> Agenda:
    """Compare a manifest with a store.

    A partition counts if its receipt tells of the same file (size, first and last 64 KiB), the
    same given mask and the mpp that the manifest states. One that does not is never used in
    silence: its slide fails, or is extracted again with `replace_changed`.

    Args:
        slides: The manifest.
        names: Encoders, by their names in the store.
        store: Where partitions are; None if there is no store yet.
        config: The run.
    """
    tiling = config.tiling
    fingerprint = tiling.fingerprint()
    there = {
        name: store.list_keys(encoder=name, tiling=fingerprint) if store else set()
        for name in names
    }
    keys = [
        PartitionKey(name, fingerprint, slide.slide_id)
        for slide in slides
        for name in names
        if PartitionKey(name, fingerprint, slide.slide_id) in there[name]
    ]
    receipts = store.receipts(keys) if store else {}
    known = {key.slide_id for key in keys}
    with ThreadPoolExecutor(LOOKUPS) as pool:
        stored = [slide for slide in slides if slide.slide_id in known]
        marks = dict(
            zip(
                (slide.slide_id for slide in stored),
                pool.map(lambda slide: _marks(slide, tiling), stored),
                strict=True,
            )
        )
    todo: list[SlideWork] = []
    rows: list[RunRow] = []
    for slide in slides:
        wanted = []
        for name in names:
            receipt = receipts.get(PartitionKey(name, fingerprint, slide.slide_id))
            if receipt is None:
                wanted.append(name)
                continue
            change = describe_change(receipt, slide, *marks[slide.slide_id])
            if change and config.replace_changed:
                wanted.append(name)
            elif change:
                reason = f"{change} since it was stored; --replace-changed extracts it again"
                rows.append(row_of(slide, name, "failed", reason))
            elif receipt.tile_count == 0:
                rows.append(row_of(slide, name, "empty", receipt.empty_reason))
            else:
                tiles = receipt.tile_count
                rows.append(row_of(slide, name, "skipped", "already stored", tiles))
        if wanted:
            todo.append(SlideWork(slide, tuple(wanted)))
    return Agenda(todo, rows)


def describe_change(receipt: Receipt, slide: Slide, fingerprint: str, mask_digest: str) -> str:
    """How a slide differs from what its receipt tells; empty if it does not. Pure."""
    if fingerprint != receipt.slide.fingerprint:
        return "the slide's file has changed"
    if mask_digest != receipt.tiling.tissue_digest:
        return "the slide's tissue mask has changed"
    if slide.mpp is not None and receipt.slide.mpp != (slide.mpp, slide.mpp):
        found = " x ".join(f"{value:g}" for value in receipt.slide.mpp)
        return f"the manifest's mpp has changed ({found} -> {slide.mpp:g})"
    if slide.patient_id != receipt.slide.patient_id:
        return f"the patient has changed ({receipt.slide.patient_id} -> {slide.patient_id})"
    return ""


def _marks(slide: Slide, tiling: TilingConfig) -> tuple[str, str]:
    """Fingerprints of the slide's file and of its given mask as they are now."""
    try:
        return fingerprint_file(slide.path), digest_given_mask(slide.slide_id, tiling)
    except (SlideError, OSError):
        return "unreadable", ""
