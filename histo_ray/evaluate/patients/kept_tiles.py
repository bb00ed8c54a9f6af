"""What a condition on tiles leaves of the slides of each encoder."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from histo_ray.config import digest
from histo_ray.evaluate.caveats import Caveat, CaveatCode, caveat
from histo_ray.evaluate.patients.patient_cohort import NAMED, StoredSlides
from histo_ray.evaluate.where_record import KeptRecord, WhereRecord
from histo_ray.store.partition_vectors import kept_of
from histo_ray.types import KeptTiles


def record_where(found: Sequence[StoredSlides]) -> WhereRecord | None:
    """Record the condition and what it keeps of each encoder; None: there is none."""
    where = found[0].where
    if where is None:
        return None
    return WhereRecord(text=where, encoders={s.encoder: _count(list_kept(s)) for s in found})


def identify_where(found: Sequence[StoredSlides]) -> dict[str, object]:
    """List what decides the tables beside what runs of all tiles have."""
    record = record_where(found)
    return {} if record is None else {"where": record.model_dump()}


def find_kept_caveats(found: Sequence[StoredSlides]) -> Iterator[Caveat]:
    """Find what a condition drops of each encoder's tiles, and the slides that it empties."""
    record = record_where(found)
    if record is None:
        return
    for encoder, kept in record.encoders.items():
        yield caveat(
            CaveatCode.TILES_DROPPED,
            encoder=encoder,
            where=record.text,
            dropped=kept.tiles - kept.kept,
            tiles=kept.tiles,
            slides=kept.slides,
            median=kept.median_dropped,
            most=kept.most_dropped,
            emptied=len(kept.emptied),
            names=kept.emptied[:NAMED],
        )


def list_kept(slides: StoredSlides) -> dict[str, KeptTiles]:
    """List what is kept of each slide that has tiles, by slide_id."""
    kept = {name: kept_of(receipt) for name, receipt in slides.receipts.items()}
    return {name: some for name, some in kept.items() if some is not None}


def _count(kept: Mapping[str, KeptTiles]) -> KeptRecord:
    shares = [1 - len(one.rows) / one.whole for one in kept.values()]
    return KeptRecord(
        slides=len(kept),
        tiles=sum(one.whole for one in kept.values()),
        kept=sum(len(one.rows) for one in kept.values()),
        median_dropped=float(np.median(shares)) if shares else 0.0,
        most_dropped=max(shares, default=0.0),
        emptied=tuple(sorted(name for name, one in kept.items() if not len(one.rows))),
        sha256=digest({name: one.sha256 for name, one in sorted(kept.items())}),
    )
