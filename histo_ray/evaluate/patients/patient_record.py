"""The record of an evaluation of patients."""

import platform
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version

import pyarrow as pa

from histo_ray._version import __version__
from histo_ray.cohort.patient_exclusions import PatientExclusion
from histo_ray.evaluate.caveats import Caveat
from histo_ray.evaluate.evaluation_record import (
    RECORD_VERSION,
    CohortRecord,
    DroppedTarget,
    LabelsRecord,
    PatientRecord,
)
from histo_ray.evaluate.patients.added_value import TABLE as ADDED
from histo_ray.evaluate.patients.added_value import summarise_added
from histo_ray.evaluate.patients.independent_groups import describe_tests
from histo_ray.evaluate.patients.left_out_sites import TABLE as SITES
from histo_ray.evaluate.patients.left_out_sites import summarise_sites
from histo_ray.evaluate.patients.patient_caveats import count_synthetic, find_range_caveats
from histo_ray.evaluate.patients.patient_plan import PatientPlan
from histo_ray.evaluate.patients.patient_summary import (
    list_best,
    summarise_encoders,
    summarise_pairs,
)
from histo_ray.evaluate.patients.review_summary import find_site_told, summarise_reviews
from histo_ray.store.tables import TableFolder
from histo_ray.text import count_of

SHOWN = 20
"""Targets whose scores `run.json` repeats."""
_PACKAGES = ("numpy", "scipy", "scikit-learn", "pyarrow", "ray", "torch")


def make_patient_record(
    folder: TableFolder,
    plan: PatientPlan,
    identity: Mapping[str, object],
    tables: Mapping[str, pa.Table],
    caveats: Sequence[Caveat],
    began: float,
) -> PatientRecord:
    """Record all that decided the tables, and what they come to.

    Args:
        folder: Of the run.
        plan: What was done.
        identity: By whose digest the run is called.
        tables: As they were written.
        caveats: Known before the work.
        began: When, by `time.monotonic`.
    """
    config = plan.config
    targets = tables["targets"].to_pylist()
    comparisons = tables["comparisons"].to_pylist()
    review = summarise_reviews(tables)
    told = find_site_told(review, config.keep_together)
    r2: dict[str, list[float]] = {}
    for row in targets:
        r2.setdefault(row["encoder"], []).append(row["r2"])
    return PatientRecord.model_validate(
        {
            **identity,
            "record_version": RECORD_VERSION,
            "run_id": folder.folder.rpartition("/")[2],
            "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "seconds": round(time.monotonic() - began, 1),
            "remark": config.remark,
            "synthetic": bool(count_synthetic(plan.patients)),
            "labels": _record_labels(plan, identity),
            "cohort": _record_cohort(plan),
            "settings": config.model_dump(mode="json"),
            "versions": {"histo_ray": __version__, "python": platform.python_version()}
            | {package: version(package) for package in _PACKAGES},
            "caveats": (*caveats, *find_range_caveats(r2), *told),
            "review": review,
            "tests": describe_tests(plan),
            "chance_test": name_chance_test(plan.permutations),
            "summary": summarise_encoders(targets),
            "pairs": summarise_pairs(comparisons, targets, tables["endpoints"].to_pylist()),
            "shown": list_best(targets, comparisons, SHOWN),
            "added_value": summarise_added(tables.get(ADDED)),
            "left_out_sites": summarise_sites(tables.get(SITES)),
        }
    )


def name_chance_test(permutations: int) -> str:
    """Name the test of whether a target is predicted better than chance.

    Args:
        permutations: Targets with permuted labels; 0: there are none.
    """
    if not permutations:
        return "corrected resampled t-test"
    return (
        f"permutation test, {count_of(permutations, 'permuted gene')} refitted and pooled, "
        "tail extrapolated"
    )


def _record_labels(plan: PatientPlan, identity: Mapping[str, object]) -> LabelsRecord:
    labels = plan.patients.labels
    digests = LabelsRecord.model_validate(identity["labels"])
    return digests.model_copy(
        update={
            "path": labels.origin,
            "patients": plan.patients.cohort.with_labels,
            "targets": len(labels.targets),
            "transform": plan.task.transform(plan.config),
            "variant_classes": tuple(labels.variant_classes),
            "dropped": tuple(DroppedTarget(target=d.target, reason=d.text) for d in labels.dropped),
            "notes": tuple(labels.notes),
        }
    )


def _record_cohort(plan: PatientPlan) -> CohortRecord:
    cohort, manifested = plan.patients.cohort, plan.patients.manifested
    slides = {name for found in plan.found for name in found.receipts}
    return CohortRecord(
        slides=len(slides),
        slides_failed=len(manifested.failed),
        slides_without_tiles=len(manifested.empty),
        slides_filtered=len(manifested.filtered),
        slides_used=len(plan.patients.slides),
        patients_lost=sum(
            reason is not PatientExclusion.SLIDES_GONE for reason in manifested.lost.values()
        ),
        patients_with_features=cohort.with_features,
        patients_with_labels=cohort.with_labels,
        patients_used=len(cohort.patients),
        features_only=cohort.features_only,
        labels_only=cohort.labels_only,
        lost=cohort.lost,
        notes=cohort.notes,
    )
