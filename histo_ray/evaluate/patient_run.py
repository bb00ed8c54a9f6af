"""A whole evaluation of expression or mutation: embeddings and labels in, tables and a note out."""

import hashlib
import itertools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from histo_ray.config import digest
from histo_ray.evaluate.mil_variants import parse_variants
from histo_ray.evaluate.patient_data import (
    BAGS,
    draw_outcome_folds,
    find_slides,
    gather_patients,
    load_bags,
    load_features,
    task_of,
)
from histo_ray.evaluate.patient_note import find_doubts, tell_cohort, write_note
from histo_ray.evaluate.patient_plan import OutcomePlan
from histo_ray.evaluate.patient_settings import ExpressionConfig, MutationConfig, OutcomeConfig
from histo_ray.evaluate.patient_tables import Cohort, write_tables
from histo_ray.evaluate.patient_unit import Answers
from histo_ray.evaluate.run_once import PIECES, Evaluation, find_done, run_once
from histo_ray.labels.mutation_labels import is_default
from histo_ray.learn.configurations import Configuration
from histo_ray.learn.mil.settings import MilSettings
from histo_ray.learn.patient_heads import PatientHeadSettings
from histo_ray.learn.target_tests import has_few_units
from histo_ray.learn.statistics import permute_targets
from histo_ray.storage.shipped import check_shipped
from histo_ray.store.store import Store, open_store
from histo_ray.store.tables import TableFolder, open_evaluation
from histo_ray.text import count_of
from histo_ray.types import PartitionKey

OUTCOME_VERSION = 2
"""Raised whenever the code changes a prediction for the same settings and data."""
STATISTICS_VERSION = 2
"""Raised whenever the code changes a P value or interval; stands in the digest of runs with few
independent units alone, as all others have the values of version 1."""
MIL = "mil"
DECIDING = ("transform", "clip_at", "keep_together", "inner_folds", "resamples", "seed")
"""Settings that bear on the tables beside data, folds and configurations, which are digested."""

Say = Callable[[str], None]
Progress = Callable[[int, int], None]


def run_outcome(
    config: ExpressionConfig | MutationConfig,
    say: Say = lambda text: None,
    report: Progress = lambda done, total: None,
) -> Evaluation:
    """Compare encoders by what they predict of patients; what is done already is not done again.

    Args:
        config: What to do.
        say: Called with lines worth knowing before the work: who is judged.
        report: Called with (repeats done, repeats in all); of attention heads: folds.

    Raises:
        HistoRayError: The run could not start, or processes kept dying.
    """
    check_shipped(config)
    store = open_store(config.store)
    found = find_slides(store, config)
    if config.check:
        keys = [PartitionKey(s.encoder, s.tiling, slide) for s in found for slide in s.receipts]
        say(f"reading {count_of(len(keys), 'partition')} to hold them against their digests")
        store.check(keys)
    patients = gather_patients(found, config)
    folds = draw_outcome_folds(patients, config)
    variants = parse_variants(config.mil) if isinstance(config, MutationConfig) else {}
    configurations = list(_list_configurations(config, [s.encoder for s in found], variants))
    plan = OutcomePlan(
        config, found, patients, folds, configurations, variants, _count_permutations(config)
    )
    features = load_features(store, found, patients, config) if _linear(plan) else {}
    about = _describe(plan, features)
    folder = open_evaluation(config.store, about["task"], f"{about['task']}-{digest(about)[:12]}")
    return run_once(
        folder, say, lambda: _compare(store, folder, plan, features, about, say, report)
    )


def _compare(
    store: Store,
    folder: TableFolder,
    plan: OutcomePlan,
    features: Mapping[tuple[str, str], Any],
    about: dict[str, Any],
    say: Say,
    report: Progress,
) -> dict[str, Any]:
    """Judge every configuration, write the tables and the note; the note."""
    config, patients, folds = plan.config, plan.patients, plan.folds
    for line in tell_cohort(patients):
        say(line)
    warnings = list(find_doubts(plan))
    began = time.monotonic()
    answers = _set_answers(plan)
    _search(store, folder.child(PIECES), plan, features, answers, report)
    made = find_done(folder)
    if made is not None:  # by a process that no lock held up; its pieces are gone
        return made
    say("scores and statistics")
    tables = write_tables(
        folder,
        folder.child(PIECES),
        plan.configurations,
        answers,
        Cohort(plan.truth, patients, folds),
        config,
    )
    return write_note(folder, plan, about, tables, warnings, began)


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


def _linear(plan: OutcomePlan) -> bool:
    return any(configuration.head != MIL for configuration in plan.configurations)


def _set_answers(plan: OutcomePlan) -> Answers:
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
    plan: OutcomePlan,
    features: Mapping[tuple[str, str], Any],
    answers: Answers,
    report: Progress,
) -> None:
    """Judge every configuration. Ray, whose import takes seconds, is imported only here."""
    from histo_ray.cluster.run_mil import MilPlan, search_heads
    from histo_ray.cluster.run_patients import Resources, search_configurations

    config = plan.config
    if features:
        search_configurations(
            pieces,
            features,
            answers,
            {at: c for at, c in enumerate(plan.configurations) if c.head != MIL},
            {
                head: PatientHeadSettings(head, (), config.inner_folds)
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


def _describe(plan: OutcomePlan, features: Mapping[tuple[str, str], Any]) -> dict[str, Any]:
    """All that decides the tables, and by whose digest the run is called."""
    config, labels = plan.config, plan.patients.labels
    bags = [config.bag_tiles] if isinstance(config, MutationConfig) and MIL in config.head else []
    used = set(plan.patients.slides)
    corrected = {n: c for s in plan.found for n, c in s.corrected.items() if n in used}
    differing: dict[str, Any] = {"manifest_sha256": digest(corrected)} if corrected else {}
    if not is_default(labels.variant_classes):
        differing["variant_classes"] = digest(sorted(labels.variant_classes))
    if has_few_units(plan.truth, bool(plan.permutations)):
        differing["statistics_version"] = STATISTICS_VERSION
    return differing | {
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
