"""A whole evaluation of expression or mutation: embeddings and labels in, tables and a note out."""

import hashlib
import itertools
import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import numpy as np
import pyarrow as pa

from histo_ray._version import __version__
from histo_ray.cluster.mil_search import MilPlan, parse_variants, search_heads
from histo_ray.cluster.outcome_data import (
    BAGS,
    Patients,
    StoredSlides,
    draw_outcome_folds,
    find_slides,
    gather_patients,
    load_bags,
    load_features,
    task_of,
)
from histo_ray.cluster.outcome_search import Answers, Resources, search_configurations
from histo_ray.cluster.outcome_tables import Cohort, write_tables
from histo_ray.cluster.tissue_run import Evaluation
from histo_ray.cohort.outcome_folds import OutcomeFolds
from histo_ray.config import digest
from histo_ray.learn.configurations import Configuration
from histo_ray.learn.mil.settings import MilSettings
from histo_ray.learn.outcome import OutcomeSettings
from histo_ray.learn.outcome_config import ExpressionConfig, MutationConfig, OutcomeConfig
from histo_ray.learn.outcome_truth import OutcomeTruth
from histo_ray.learn.statistics import permute_targets
from histo_ray.report.outcome_words import (
    list_best,
    summarise_encoder,
    summarise_pair,
    write_sentences,
)
from histo_ray.store.store import Store, open_store
from histo_ray.store.tables import TableFolder, open_evaluation

OUTCOME_VERSION = 1
"""Raised whenever the code changes a prediction for the same settings and data."""
PIECES = "pieces"
"""Folder of what is done of an unfinished run."""
MIL = "mil"
DECIDING = ("transform", "clip_at", "keep_together", "inner_folds", "resamples", "seed")
"""Settings that bear on the tables beside data, folds and configurations, which are digested."""
FEW_POSITIVES = 20
FEW_PATIENTS = 100
SHOWN = 20
"""Targets whose scores `run.json` repeats."""

Say = Callable[[str], None]
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class _Plan:
    """All that is known before the first head is trained."""

    config: ExpressionConfig | MutationConfig
    found: list[StoredSlides]
    patients: Patients
    folds: OutcomeFolds
    configurations: list[Configuration]
    variants: dict[str, MilSettings]
    """Settings of attention heads, by name."""
    permutations: int


def run_outcome(
    config: ExpressionConfig | MutationConfig,
    say: Say = lambda text: None,
    report: Progress = lambda done, total: None,
) -> Evaluation:
    """Compare encoders by what they predict of patients; what is done already is not done again.

    Args:
        config: What to do.
        say: Called with lines worth knowing before the work: who is judged, and what is doubtful.
        report: Called with (repeats done, repeats in all); of attention heads: folds.

    Raises:
        HistoRayError: The run could not start, or processes kept dying.
    """
    store = open_store(config.store)
    found = find_slides(store, config)
    patients = gather_patients(found, config)
    folds = draw_outcome_folds(patients, config)
    variants = parse_variants(config.mil) if isinstance(config, MutationConfig) else {}
    configurations = list(_list_configurations(config, [s.encoder for s in found], variants))
    plan = _Plan(
        config, found, patients, folds, configurations, variants, _count_permutations(config)
    )
    features = load_features(store, found, patients, config) if _linear(plan) else {}
    about = _describe(plan, features)
    folder = open_evaluation(config.store, about["task"], f"{about['task']}-{digest(about)[:12]}")
    done = folder.read_note("run")
    if done is not None:
        say(f"run {done['run_id']} is done already; nothing was computed")
        return Evaluation(folder, done)
    for line in _tell_cohort(patients):
        say(line)
    warnings = list(_find_doubts(plan))
    for warning in warnings:
        say(warning)
    began = time.monotonic()
    answers = _set_answers(plan)
    _search(store, folder.child(PIECES), plan, features, answers, report)
    say("scores and statistics")
    kept = patients.groups if config.keep_together == "site" else None
    labels = patients.labels
    truth = OutcomeTruth(task_of(config), labels.targets, labels.values, folds.parts, kept)
    tables = write_tables(
        folder,
        folder.child(PIECES),
        configurations,
        answers,
        Cohort(truth, patients, folds),
        config,
    )
    note = _write_note(folder, plan, about, tables, warnings, began)
    folder.delete(PIECES)
    return Evaluation(folder, note)


def _list_configurations(
    config: ExpressionConfig | MutationConfig,
    encoders: Sequence[str],
    variants: Mapping[str, MilSettings],
) -> Iterator[Configuration]:
    """In the order of the settings; of equals the earlier is selected."""
    for encoder, head in itertools.product(encoders, config.head):
        if head == MIL:
            for variant in variants:
                yield Configuration(encoder, BAGS, head, variant)
        else:
            for pooling in config.pooling:
                yield Configuration(encoder, pooling, head)


def _count_permutations(config: OutcomeConfig) -> int:
    """Refits with permuted labels are cheap for ridge alone."""
    if not isinstance(config, ExpressionConfig) or set(config.head) != {"ridge"}:
        return 0
    return config.permutations


def _linear(plan: _Plan) -> bool:
    return any(configuration.head != MIL for configuration in plan.configurations)


def _set_answers(plan: _Plan) -> Answers:
    """Labels, and behind them permuted ones, which go through everything that labels do."""
    labels, groups = plan.patients.labels, plan.patients.groups
    values, names = labels.values, labels.targets
    if plan.permutations:
        sites = groups if plan.config.keep_together == "site" else None
        permuted = permute_targets(values, plan.permutations, plan.config.seed, sites)
        values = np.concatenate([values, permuted], axis=1)
        names += tuple(f"permuted {number}" for number in range(permuted.shape[1]))
    alone = len(set(groups)) == len(groups)
    return Answers(values, names, plan.folds.parts, None if alone else groups)


def _search(
    store: Store,
    pieces: TableFolder,
    plan: _Plan,
    features: Mapping[tuple[str, str], Any],
    answers: Answers,
    report: Progress,
) -> None:
    """Judge every configuration."""
    config = plan.config
    if features:
        search_configurations(
            pieces,
            features,
            answers,
            {at: c for at, c in enumerate(plan.configurations) if c.head != MIL},
            {
                head: OutcomeSettings(head, (), config.inner_folds)
                for head in config.head
                if head != "mil"
            },
            config.seed,
            address=config.address,
            resources=Resources(config.cpus_per_repeat, config.memory_gb),
            report=report,
        )
    if plan.variants and isinstance(config, MutationConfig) and MIL in config.head:
        bags = load_bags(store, plan.found, plan.patients, config.bag_tiles, config.seed)
        own = {at: c for at, c in enumerate(plan.configurations) if c.head == MIL}
        mil = MilPlan(own, plan.variants, config.seed, config.cpus_per_repeat)
        search_heads(pieces, bags, answers, mil, config.address, report)


def _describe(plan: _Plan, features: Mapping[tuple[str, str], Any]) -> dict[str, Any]:
    """All that decides the tables, and by whose digest the run is called."""
    config, labels = plan.config, plan.patients.labels
    bags = [config.bag_tiles] if isinstance(config, MutationConfig) and MIL in config.head else []
    return {
        "outcome_version": OUTCOME_VERSION,
        "task": task_of(config),
        "labels": {
            "sha256": labels.digest,
            "values_sha256": _sha256(labels.values),
            "names_sha256": digest([labels.targets, plan.patients.cohort.patients]),
        },
        "folds": {
            "n_folds": plan.folds.n_folds,
            "repeats": plan.folds.repeats,
            "seeds": list(plan.folds.seeds),
            "sha256": _sha256(plan.folds.parts),
            "kept_together": config.keep_together,
        },
        "encoders": {slides.encoder: slides.describe() for slides in plan.found},
        "features": {" / ".join(key): _sha256(values) for key, values in features.items()},
        "slides_sha256": digest(plan.patients.slides),
        "configurations": [
            {"encoder": c.encoder, "pooling": c.pooling, "head": c.head, "variant": c.variant}
            for c in plan.configurations
        ],
        "mil": {name: settings.model_dump() for name, settings in plan.variants.items() if bags},
        "bag_tiles": bags,
        "permutations": plan.permutations,
        "settings": {key: getattr(config, key) for key in DECIDING},
    }


def _sha256(values: Any) -> str:
    return hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()


def _tell_cohort(patients: Patients) -> Iterator[str]:
    """Who is judged, and who is not, before anything runs."""
    cohort, labels = patients.cohort, patients.labels
    yield (
        f"{len(cohort.patients)} patients are judged: {cohort.with_features} have slides, "
        f"{cohort.with_labels} a label, {cohort.features_only} slides but no label, "
        f"{cohort.labels_only} a label but no slides"
    )
    for encoder, count in cohort.lost.items():
        if count:
            yield f"{count} labelled patients have no slides of {encoder}"
    yield f"{len(labels.targets)} genes, {len(labels.dropped)} left out"
    yield from (*labels.notes, *cohort.notes)


def _find_doubts(plan: _Plan) -> Iterator[str]:
    """What a reader must know before he believes a figure."""
    config, patients = plan.config, plan.patients
    yield from patients.notes
    sites = {site for some in patients.cohort.sites for site in some}
    if config.keep_together == "patient" and len(sites) > 1:
        yield (
            f"patients of one site ({len(sites)} sites) are in several folds: embeddings know the "
            "site, so scores may rest on it; --keep-together site shows what is left without"
        )
    elif not sites:
        yield "no site of any patient is known, so what scores owe to sites cannot be told"
    count = len(patients.cohort.patients)
    if count < FEW_PATIENTS:
        yield f"{count} patients only: intervals are wide, and choices inside folds unsteady"
    if task_of(config) == "mutation":
        positives = np.nansum(patients.labels.values, axis=0)
        few = [
            f"{gene} {int(number)}"
            for gene, number in zip(patients.labels.targets, positives, strict=True)
            if number < FEW_POSITIVES
        ]
        if few:
            yield f"few positives ({', '.join(few)}): AUROC is uncertain there"
    elif not plan.permutations:
        yield "better than chance is judged by a corrected t-test, not by permuted labels"


def _write_note(
    folder: TableFolder,
    plan: _Plan,
    about: dict[str, Any],
    tables: Mapping[str, pa.Table],
    warnings: Sequence[str],
    began: float,
) -> dict[str, Any]:
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
            "dropped": [{"target": d.target, "reason": d.reason} for d in labels.dropped],
            "notes": list(labels.notes),
        },
        "cohort": {
            "slides": len(slides),
            "slides_without_tiles": len(slides) - len({n for f in plan.found for n in f.full}),
            "slides_used": len(plan.patients.slides),
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
        "warnings": list(warnings),
        **summarise(targets, tables["comparisons"].to_pylist(), plan.permutations),
    }
    note["sentences"] = write_sentences(note)
    folder.write_note("run", note)
    return note


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
        test = f"permutation test with {permutations} refits"
    return {
        "chance_test": test,
        "summary": {name: summarise_encoder(rows) for name, rows in by_encoder.items()},
        "pairs": [summarise_pair(rows, targets) for rows in by_pair.values()],
        "shown": list_best(targets, comparisons, SHOWN),
    }
