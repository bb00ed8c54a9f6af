"""Caveats of an evaluation of patients, and what is told before it runs."""

from collections.abc import Iterator, Mapping, Sequence

from histo_ray.config import digest
from histo_ray.evaluate.caveats import (
    FEW_PATIENTS,
    Caveat,
    CaveatCode,
    EncoderDigests,
    caveat,
    far_off_caveat,
    same_weights_caveats,
)
from histo_ray.evaluate.events import CohortJoined
from histo_ray.evaluate.patients.independent_groups import find_site_caveat, find_unit_caveats
from histo_ray.evaluate.patients.kept_tiles import find_kept_caveats
from histo_ray.evaluate.patients.patient_cohort import Patients, StoredSlides
from histo_ray.evaluate.patients.patient_plan import PatientPlan
from histo_ray.types import UNKNOWN_WEIGHTS


def describe_cohort(patients: Patients) -> CohortJoined:
    """Say which patients are evaluated and which are not."""
    cohort, labels = patients.cohort, patients.labels
    return CohortJoined(
        patients=len(cohort.patients),
        with_features=cohort.with_features,
        with_labels=cohort.with_labels,
        features_only=cohort.features_only,
        labels_only=cohort.labels_only,
        targets=len(labels.targets),
        dropped=len(labels.dropped),
        lost={encoder: count for encoder, count in cohort.lost.items() if count},
        notes=(*labels.notes, *cohort.notes),
        noun=labels.noun,
    )


def count_synthetic(patients: Patients) -> int:
    """Count the slides that are evaluated and that a manifest marks as synthetic."""
    return sum(name in patients.manifested.synthetic for name in patients.slides)


def find_patient_caveats(plan: PatientPlan) -> Iterator[Caveat]:
    """Find the caveats that are known before any head is trained."""
    patients, labels = plan.patients, plan.patients.labels
    marked = count_synthetic(patients)
    if marked:
        yield caveat(CaveatCode.SYNTHETIC, marked=marked, total=len(patients.slides))
    for text in patients.manifested.unread:
        yield caveat(CaveatCode.TEXT, text=text)
    yield from patients.caveats
    yield from find_kept_caveats(plan.found)
    yield from same_weights_caveats(
        {slides.encoder: _digest_encoder(slides, patients.slides) for slides in plan.found}
    )
    if plan.config.harmonise != "none":
        unseen = plan.config.keep_together == "site"
        yield caveat(CaveatCode.HARMONISED, method=plan.config.harmonise, unseen=unseen)
    of_sites = find_site_caveat(plan)
    if of_sites is not None:
        yield of_sites
    yield from find_unit_caveats(plan)
    count = len(patients.cohort.patients)
    if count < FEW_PATIENTS:
        yield caveat(CaveatCode.FEW_PATIENTS, patients=count)
    yield from plan.task.find_caveats(plan.config, labels.targets, labels.values)


def _digest_encoder(slides: StoredSlides, used: Sequence[str]) -> EncoderDigests:
    receipts = {name: slides.receipts[name] for name in used}
    weights = {receipt.encoder.weights_sha256 for receipt in receipts.values()}
    vectors = digest({name: receipt.vectors_sha256 for name, receipt in receipts.items()})
    known = len(weights) == 1 and UNKNOWN_WEIGHTS not in weights
    return EncoderDigests(weights.pop() if known else "", vectors)


def find_range_caveats(r2: Mapping[str, Sequence[float]]) -> Iterator[Caveat]:
    """Find encoders whose predictions lie far outside the labels' range.

    Args:
        r2: R2 of all targets, by encoder.
    """
    for encoder, values in r2.items():
        found = far_off_caveat(encoder, values)
        if found is not None:
            yield found
