"""A run of `encode-slides`: slides of one tile encoder by some slide encoders, and its table."""

import secrets
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from histo_ray._version import __version__
from histo_ray.config import digest
from histo_ray.deferred import deferred
from histo_ray.errors import ConfigError
from histo_ray.pooling.slide_encoders.encode import EncodeOptions, SlideFate, encode_slides
from histo_ray.pooling.slide_encoders.fit import find_named_tiling
from histo_ray.pooling.slide_encoders.resolve import NamedSlideEncoder, resolve_slide_encoder
from histo_ray.pooling.slide_encoders.slide_settings import EncodeSlidesConfig
from histo_ray.store.extraction_record import ExtractionState, RunRecord
from histo_ray.store.find import choose_slides
from histo_ray.store.location import Location
from histo_ray.store.receipt_cache import each_receipt
from histo_ray.store.run_tables import write_run_table
from histo_ray.store.stated import Stated, correct_receipts, read_stated
from histo_ray.types import Outcome, Receipt, RunRow

MARK = "slide:"
"""Begins the name of a slide encoder in run tables, where tile encoders stand too."""
_choose_device = deferred("histo_ray.encoders.slide_networks:choose_device")

Progress = Callable[[int, int, str], None]
"""(slides done, slides in all, slide encoder)."""


@dataclass(frozen=True)
class SlideRun:
    """What a run did."""

    run_id: str
    rows: tuple[RunRow, ...]
    """One a slide and slide encoder."""

    @property
    def failed(self) -> list[RunRow]:
        """Slides that could not be encoded."""
        return [row for row in self.rows if row.outcome is Outcome.FAILED]


def run_encode(
    root: Location,
    config: EncodeSlidesConfig,
    report: Progress = lambda done, total, name: None,
    tell: Callable[[str], None] = lambda text: None,
) -> SlideRun:
    """Encode what has no vector yet; the run's table is written however it ends.

    Args:
        root: The store.
        config: What to encode.
        report: Called after each slide.
        tell: Called with what is done next.

    Raises:
        ConfigError: An unknown slide encoder, one that was made for other tiles, or one that fails.
        StoreError: The store lacks the slides, or has a name for other weights.
    """
    began, stamp = time.monotonic(), datetime.now(UTC)
    encoders = _resolve(root, config)
    tiling = find_named_tiling(root, config.encoder, config.tiling)
    partitions = choose_slides(root, config.encoder, tiling, config.slide or None)
    stated = read_stated(root)
    damaged: dict[str, str] = {}
    whole = each_receipt(
        root,
        partitions,
        on_damaged=lambda key, error: damaged.update({key.slide_id: str(error)}),
    )
    receipts = correct_receipts(dict(whole), stated)
    slides = {key.slide_id: receipt for key, receipt in receipts.items()}
    run_id = f"{stamp:%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"
    rows: list[RunRow] = []
    state = ExtractionState.STOPPED
    try:
        for encoder in encoders:
            tell(f"{encoder.name} of {config.encoder}: {len(receipts)} slides")
            options = EncodeOptions(
                _device(config, encoder), config.threads, config.allow_contract_break, run_id
            )

            def count(done: int, total: int, name: str = encoder.name) -> None:
                report(done, total, name)

            fates = encode_slides(root, partitions, receipts, encoder, options, count)
            rows.extend(_row(fate, encoder.name, slides, stated) for fate in fates)
            rows.extend(_damaged_row(*one, encoder.name, stated) for one in damaged.items())
        state = ExtractionState.FINISHED
    except KeyboardInterrupt:
        state = ExtractionState.INTERRUPTED
        raise
    finally:
        if any(row.outcome not in (Outcome.SKIPPED, Outcome.EMPTY) for row in rows):
            record = _record(config, run_id, state, stamp, began, rows)
            write_run_table(root, run_id, rows, record)
    return SlideRun(run_id, tuple(rows))


def _resolve(root: Location, config: EncodeSlidesConfig) -> list[NamedSlideEncoder]:
    found = [
        resolve_slide_encoder(root, request, _trust(config, request))
        for request in config.slide_encoder
    ]
    twice = [name for name, times in Counter(one.name for one in found).items() if times > 1]
    if twice:
        raise ConfigError(f"--slide-encoder: {twice[0]} is asked for twice; leave one out")
    return found


def _trust(config: EncodeSlidesConfig, request: str) -> Sequence[str]:
    """What of `--trust-remote-code` is for one of several slide encoders."""
    if len(config.slide_encoder) == 1:
        return config.trust_remote_code
    own = f"{request.partition('?')[0]}="
    return [text for text in config.trust_remote_code if text.startswith(own)]


def _device(config: EncodeSlidesConfig, encoder: NamedSlideEncoder) -> Literal["cpu", "cuda"]:
    if encoder.is_quick:
        return "cpu"
    if config.device != "auto":
        return config.device
    found: Literal["cpu", "cuda"] = _choose_device()
    return found


def _row(
    fate: SlideFate,
    slide_encoder: str,
    slides: Mapping[str, Receipt],
    stated: Mapping[str, Stated],
) -> RunRow:
    """Row of a run's table; patient, site and mark are what the newest manifest said."""
    receipt = slides[fate.slide_id]
    word = stated.get(fate.slide_id)
    return RunRow(
        slide_id=fate.slide_id,
        encoder=f"{MARK}{slide_encoder}",
        outcome=fate.outcome,
        reason=fate.reason,
        n_tiles=fate.n_tiles,
        seconds=fate.seconds,
        patient_id=receipt.slide.patient_id,
        synthetic=word is not None and word.synthetic,
        site=receipt.slide.site,
    )


def _damaged_row(
    slide_id: str, reason: str, slide_encoder: str, stated: Mapping[str, Stated]
) -> RunRow:
    """Row of a slide whose tiles cannot be read."""
    word = stated.get(slide_id)
    return RunRow(
        slide_id=slide_id,
        encoder=f"{MARK}{slide_encoder}",
        outcome=Outcome.FAILED,
        reason=reason,
        n_tiles=0,
        seconds=0.0,
        patient_id="" if word is None else word.patient_id,
        synthetic=word is not None and word.synthetic,
        site="" if word is None else word.site or "",
    )


def _record(
    config: EncodeSlidesConfig,
    run_id: str,
    state: ExtractionState,
    stamp: datetime,
    began: float,
    rows: Sequence[RunRow],
) -> RunRecord:
    settings = config.model_dump(mode="json", exclude_defaults=True)
    return RunRecord(
        run_id=run_id,
        state=state,
        began_at=stamp.isoformat(),
        encoders=tuple(dict.fromkeys(row.encoder for row in rows)),
        outcomes={str(name): n for name, n in Counter(row.outcome for row in rows).items()},
        slides=len({row.slide_id for row in rows}),
        seconds=round(time.monotonic() - began, 1),
        work_s=round(sum(row.seconds for row in rows), 1),
        settings=settings,
        settings_sha256=digest(config.model_dump(mode="json")),
        versions={"histo_ray": __version__},
    )
