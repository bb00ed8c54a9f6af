"""What is said of an evaluation: before it runs, and in its `run.json`."""

import platform
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import numpy as np
import pyarrow as pa

from histo_ray._version import __version__
from histo_ray.evaluate.independent_units import describe_tests, suggest_site_folds, tell_few_units
from histo_ray.evaluate.patient_data import Patients, task_of
from histo_ray.evaluate.patient_plan import OutcomePlan
from histo_ray.evaluate.patient_settings import ExpressionConfig
from histo_ray.learn.statistics import count_as_paper
from histo_ray.report.doubts import tell_synthetic
from histo_ray.report.outcome_words import (
    list_best,
    summarise_encoder,
    summarise_pair,
    tell_far_off,
    write_sentences,
)
from histo_ray.store.tables import TableFolder
from histo_ray.text import count_of, name_first

__all__ = ["OutcomePlan", "find_doubts", "summarise", "tell_cohort", "write_note"]

FEW_POSITIVES = 20
FEW_PATIENTS = 100
SHOWN = 20
"""Targets whose scores `run.json` repeats."""


def tell_cohort(patients: Patients) -> Iterator[str]:
    """Which patients are evaluated and which are not, before anything runs."""
    cohort, labels = patients.cohort, patients.labels
    judged = len(cohort.patients)
    yield (
        f"{count_of(judged, 'patient')} {'is' if judged == 1 else 'are'} judged: "
        f"{cohort.with_features} have slides, "
        f"{cohort.with_labels} a label, {cohort.features_only} slides but no label, "
        f"{cohort.labels_only} a label but no slides"
    )
    for encoder, count in cohort.lost.items():
        if count:
            yield f"{count_of(count, 'labelled patient')} without slides of {encoder}"
    yield f"{count_of(len(labels.targets), 'gene')}, {len(labels.dropped)} left out"
    yield from (*labels.notes, *cohort.notes)


def find_doubts(plan: OutcomePlan) -> Iterator[str]:
    """Caveats of the reported scores."""
    config, patients = plan.config, plan.patients
    marked = sum(name in patients.manifested.synthetic for name in patients.slides)
    if marked:
        yield tell_synthetic(marked, len(patients.slides), "slide", "manifest")
    yield from (*patients.manifested.unread, *patients.notes)
    yield from _doubt_sites(plan)
    yield from tell_few_units(plan)
    count = len(patients.cohort.patients)
    if count < FEW_PATIENTS:
        only = count_of(count, "patient")
        yield f"{only} only: intervals are wide, and choices inside folds unsteady"
    if task_of(config) == "mutation":
        positives = np.nansum(patients.labels.values, axis=0)
        few = [
            f"{gene} {int(number)}"
            for gene, number in zip(patients.labels.targets, positives, strict=True)
            if number < FEW_POSITIVES
        ]
        if few:
            yield f"few positives ({name_first(few)}): AUROC is uncertain there"
    elif not plan.permutations:
        yield "better than chance is judged by a corrected t-test, not by permuted labels"
    elif isinstance(config, ExpressionConfig) and config.transform != "rank":
        yield (
            "P against chance pools the permuted genes, as if chance gave every gene the same "
            f"distribution of scores; with --transform {config.transform} it may not: judge by "
            "--transform rank, or by --permutations 0"
        )


def _doubt_sites(plan: OutcomePlan) -> Iterator[str]:
    """Whether scores may rest on sites, and which setting would show it."""
    config, cohort = plan.config, plan.patients.cohort
    sites = {site for some in cohort.sites for site in some}
    if not sites:
        yield "no site of any patient is known, so what scores owe to sites cannot be told"
    elif len(sites) == 1:
        yield (
            "all patients whose site is known are of one, so what scores owe to it cannot be "
            "told, and --keep-together site is impossible: only patients of other sites can tell"
        )
    elif config.keep_together == "patient":
        told = (
            f"patients of one site ({len(sites)} sites) are in several folds: embeddings know the "
            "site, so scores may rest on it; "
        )
        yield told + suggest_site_folds(plan)


def write_note(
    folder: TableFolder,
    plan: OutcomePlan,
    about: dict[str, Any],
    tables: Mapping[str, pa.Table],
    warnings: Sequence[str],
    began: float,
) -> dict[str, Any]:
    """Write `run.json`: all that decided the tables, and what they come to.

    Args:
        folder: Of the run.
        plan: What was done.
        about: By whose digest the run is called.
        tables: As they were written.
        warnings: From `find_doubts`.
        began: When, by `time.monotonic`.
    """
    config, cohort, labels = plan.config, plan.patients.cohort, plan.patients.labels
    packages = ("numpy", "scipy", "scikit-learn", "pyarrow", "ray", "torch")
    slides = {name for found in plan.found for name in found.receipts}
    targets = tables["targets"].to_pylist()
    note = about | {
        "run_id": folder.folder.rpartition("/")[2],
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(time.monotonic() - began, 1),
        "remark": config.remark,
        "labels": about["labels"]
        | {
            "path": labels.origin,
            "patients": cohort.with_labels,
            "targets": len(labels.targets),
            "transform": config.transform if about["task"] == "expression" else "",
            "variant_classes": list(labels.variant_classes),
            "dropped": [{"target": d.target, "reason": d.text} for d in labels.dropped],
            "notes": list(labels.notes),
        },
        "cohort": {
            "slides": len(slides),
            "slides_failed": len(plan.patients.manifested.failed),
            "slides_without_tiles": len(slides) - len({n for f in plan.found for n in f.full}),
            "slides_used": len(plan.patients.slides),
            "patients_lost": len(plan.patients.manifested.lost),
            "patients_with_features": cohort.with_features,
            "patients_with_labels": cohort.with_labels,
            "patients_used": len(cohort.patients),
            "features_only": cohort.features_only,
            "labels_only": cohort.labels_only,
            "lost": cohort.lost,
            "notes": list(cohort.notes),
        },
        "settings": config.model_dump(mode="json"),
        "versions": {"histo_ray": __version__, "python": platform.python_version()}
        | {package: version(package) for package in packages},
        "warnings": [*warnings, *_doubt_ranges(targets)],
        "tests": describe_tests(plan),
        **summarise(targets, tables["comparisons"].to_pylist(), plan.permutations),
    }
    note["sentences"] = write_sentences(note)
    folder.write_note("run", note)
    return note


def _doubt_ranges(targets: list[dict[str, Any]]) -> list[str]:
    """Of encoders whose predictions explode."""
    r2: dict[str, list[float]] = {}
    for row in targets:
        r2.setdefault(row["encoder"], []).append(row["r2"])
    return [told for name, values in r2.items() if (told := tell_far_off(name, values))]


def summarise(
    targets: list[dict[str, Any]], comparisons: list[dict[str, Any]], permutations: int
) -> dict[str, Any]:
    """What `run.json` repeats of the tables."""
    by_encoder: dict[str, list[dict[str, Any]]] = {}
    for row in targets:
        by_encoder.setdefault(row["encoder"], []).append(row)
    by_pair: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in comparisons:
        by_pair.setdefault((row["encoder_a"], row["encoder_b"]), []).append(row)
    test = "corrected resampled t-test"
    if permutations:
        test = (
            f"permutation test, {count_of(permutations, 'permuted gene')} refitted and pooled, "
            "tail extrapolated"
        )
    return {
        "chance_test": test,
        "summary": {name: summarise_encoder(rows) for name, rows in by_encoder.items()},
        "pairs": [_summarise_pair(rows, targets) for rows in by_pair.values()],
        "shown": list_best(targets, comparisons, SHOWN),
    }


def _summarise_pair(rows: list[dict[str, Any]], targets: list[dict[str, Any]]) -> dict[str, Any]:
    found = {(row["encoder"], row["target"]): row for row in targets}

    def column(name: str) -> list[Any]:
        """Of both encoders, in the order of the rows."""
        return [
            np.array([found[rows[0][side], row["target"]][name] for row in rows])
            for side in ("encoder_a", "encoder_b")
        ]

    p, score = column("p_paper"), column("score")
    paper = count_as_paper(p[0], p[1], score[0], score[1])
    return summarise_pair(rows, paper.found, paper.b_higher)
