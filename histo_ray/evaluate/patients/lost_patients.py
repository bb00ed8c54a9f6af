"""What only run tables know of slides: those that failed, and those marked as synthetic."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from histo_ray.cohort.join import Cohort, CohortRow
from histo_ray.cohort.patient_exclusions import Exclusion, PatientExclusion
from histo_ray.slides.barcodes import cut_barcode, parse_barcode
from histo_ray.store.catalog import list_partitions
from histo_ray.store.location import location_of
from histo_ray.store.lost_slides import find_synthetic, last_failures, last_stored
from histo_ray.store.partition_vectors import kept_of
from histo_ray.store.run_tables import read_runs
from histo_ray.types import Receipt


@dataclass(frozen=True)
class Manifested:
    """Slides of manifests, as the run tables of extraction know them."""

    failed: Mapping[str, str]
    """Patient (empty where the table is too old to say) of each slide that has no receipt."""
    empty: Mapping[str, str]
    """Patient of each slide whose receipts all have no tile."""
    filtered: Mapping[str, str]
    """Patient of each slide with tiles, none of which the run's condition keeps."""
    gone: Mapping[str, str]
    """Patient of each slide that a run left tiles of, of which there is no partition any more."""
    synthetic: frozenset[str]
    """Slides that the newest manifest marks as synthetic."""
    lost: Mapping[str, PatientExclusion]
    """Why, by patient without a single slide with tiles."""
    unread: tuple[str, ...]
    """Run tables that could not be read, in words."""


def read_manifested(
    store: str, receipts: Mapping[str, Mapping[str, Receipt]], given: Iterable[str]
) -> Manifested:
    """Read the run tables of a store for the slides of some encoders.

    Args:
        store: Local folder or URI.
        receipts: Receipts of the slides that did not fail, by encoder and slide_id, with the
            patients of the newest manifest.
        given: Names of tile sets, which are no slides.
    """
    tables, problems = read_runs(store)
    slides = {name: r for by_name in receipts.values() for name, r in by_name.items()}
    full = {n for by_name in receipts.values() for n, r in by_name.items() if r.tile_count}
    known = {*slides, *given}
    rows = last_failures(tables, [*receipts])
    failed = {
        slide: patient
        for slide, patient in zip(rows["slide_id"], rows["patient_id"], strict=True)
        if slide not in known
    }
    bare = {name: r for name, r in slides.items() if name not in full}
    filtered = {name: r.slide.patient_id for name, r in bare.items() if kept_of(r) is not None}
    empty = {name: r.slide.patient_id for name, r in bare.items() if name not in filtered}
    there = {name: list_partitions(location_of(store), name) for name in receipts}
    held = {(key.encoder, key.slide_id) for keys in there.values() for key in keys}
    rows = last_stored(tables, [*receipts])
    gone = {
        slide: patient
        for slide, patient, encoder in zip(
            rows["slide_id"], rows["patient_id"], rows["encoder"], strict=True
        )
        if slide not in known and (encoder, slide) not in held
    }
    synthetic = frozenset(find_synthetic(tables)["slide_id"])
    alive = {slides[name].slide.patient_id for name in full}
    reasons = _name_reasons(failed, empty, alive)
    reasons |= dict.fromkeys({*filtered.values()} - alive, PatientExclusion.TILES_FILTERED)
    for patient in {*gone.values()} - alive - {""}:
        reasons.setdefault(patient, PatientExclusion.SLIDES_GONE)
    return Manifested(failed, empty, filtered, gone, synthetic, reasons, tuple(problems))


def add_lost_patients(cohort: Cohort, lost: Mapping[str, PatientExclusion]) -> Cohort:
    """Add the patients that extraction lost to a cohort, each with the reason. Pure.

    Args:
        cohort: The joined cohort, which knows lost patients at most from the labels.
        lost: Reason by patient, with the manifest's patient_id.
    """
    by_person = {cut_barcode(patient): Exclusion(reason) for patient, reason in lost.items()}
    no_slides = (Exclusion(PatientExclusion.NO_SLIDES),)
    rows, seen = [], set()
    for row in cohort.rows:
        person = cut_barcode(row.patient_id)
        seen.add(person)
        found = by_person.get(person) if row.exclusions == no_slides else None
        rows.append(row if found is None else row._replace(exclusions=(found,)))
    rows += [
        CohortRow(
            patient,
            _site_of(patient),
            0,
            (Exclusion(reason), Exclusion(PatientExclusion.NO_LABEL)),
        )
        for patient, reason in lost.items()
        if cut_barcode(patient) not in seen
    ]
    return replace(cohort, rows=tuple(sorted(rows)))


def _name_reasons(
    failed: Mapping[str, str], empty: Mapping[str, str], alive: set[str]
) -> dict[str, PatientExclusion]:
    without, broken = (set(some.values()) - alive - {""} for some in (empty, failed))
    either = PatientExclusion.SLIDES_FAILED_OR_EMPTY
    reasons = dict.fromkeys(sorted(broken | without), either)
    reasons |= dict.fromkeys(broken - without, PatientExclusion.SLIDES_FAILED)
    return reasons | dict.fromkeys(without - broken, PatientExclusion.SLIDES_EMPTY)


def _site_of(patient: str) -> str:
    barcode = parse_barcode(patient)
    return "" if barcode is None else barcode.site
