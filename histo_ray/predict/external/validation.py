"""External validation: predictions held against labels of patients whom nobody was trained on."""

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from histo_ray.config import digest
from histo_ray.errors import ConfigError
from histo_ray.learn.external.external_metrics import Draws
from histo_ray.predict.external.applied import AppliedPredictor
from histo_ray.predict.external.external_cohort import ExternalCohort, JoinedLabels, join_labels
from histo_ray.predict.external.external_tables import (
    explain_slopes,
    list_one_class,
    metric_of,
    tabulate_comparisons,
    tabulate_curves,
    tabulate_scores,
)
from histo_ray.predict.external.predict_settings import PredictConfig
from histo_ray.predict.external.prediction_record import (
    ComparisonRecord,
    ValidationRecord,
    list_versions,
    now_text,
)
from histo_ray.predict.made_once import Say, make_once
from histo_ray.store.tables import TableFolder
from histo_ray.text import count_of, name_some

EXTERNAL_VERSION = 1
"""Raised whenever the code changes a score for the same predictions and labels."""
FEW = 10
"""Positives or negatives below which a note says that intervals are wide."""
SCORES, CURVES, COMPARISONS = "scores", "curves", "comparisons"


class OneClassError(ConfigError):
    """Labels are the same for all patients, in every target; what was predicted stays."""


@dataclass(frozen=True)
class Validation:
    """A predictor held against labels; its tables are in the store."""

    applied: AppliedPredictor
    joined: JoinedLabels
    folder: TableFolder
    record: ValidationRecord


@dataclass(frozen=True)
class Comparison:
    """Predictors compared on the same patients; the table is in the store."""

    folder: TableFolder
    record: ComparisonRecord


def validate_predictor(applied: AppliedPredictor, config: PredictConfig, say: Say) -> Validation:
    """Hold predictions against labels; what is done is found.

    Args:
        applied: Predictions that are in the store.
        config: Where the labels are, subgroups, and the bootstrap.
        say: Called with lines that are worth knowing.

    Raises:
        OneClassError: Labels tell no target apart.
        ConfigError: Labels that cannot be read or do not fit.
    """
    joined = join_labels(applied, config)
    _refuse_one_class(applied, joined)
    identity = digest(_identify(joined.cohort, joined.labels.digest, config))
    folder = applied.folder.child(f"validate-{identity[:12]}")
    for note in (*joined.notes, *joined.caveats):
        say(note)
    record = make_once(
        folder, ValidationRecord, say, lambda: _validate(applied, joined, config, folder)
    )
    return Validation(applied, joined, folder, record)


def compare_predictors(
    validations: Sequence[Validation], config: PredictConfig, say: Say
) -> Comparison:
    """Compare predictors on the same patients, pair by pair; what is done is found.

    Args:
        validations: At least two, by the same labels; the table goes beside those of the first.
        config: The bootstrap.
        say: Called with lines that are worth knowing.

    Raises:
        ConfigError: They predict other things, or have no target or patient in common.
    """
    cards = [one.applied.run.predictor.card for one in validations]
    cohorts = [one.joined.cohort for one in validations]
    identity = digest(
        [_identify(one, "", config) for one in cohorts]
        + [[card.fingerprint, card.file_sha256] for card in cards]
    )
    folder = validations[0].applied.folder.child(f"compare-{identity[:12]}")

    def work() -> ComparisonRecord:
        began = time.monotonic()
        draws = Draws(config.resamples, config.seed)
        table = tabulate_comparisons(cards, cohorts, draws)
        if not len(table):
            names = ", ".join(card.name for card in cards)
            raise ConfigError(
                f"predictors {names} have no target with both classes, or no patient, in common; "
                "compare predictors of the same targets"
            )
        folder.write(COMPARISONS, [table], table.schema)
        common = set.intersection(*(set(cohort.patients) for cohort in cohorts))
        return ComparisonRecord(
            run_id=folder.folder.rpartition("/")[2],
            created_at=now_text(),
            seconds=round(time.monotonic() - began, 1),
            synthetic=any(one.record.synthetic for one in validations),
            versions=list_versions(),
            predictors=tuple(card.name for card in cards),
            prediction_runs=tuple(one.applied.record.run_id for one in validations),
            labels_sha256=validations[0].joined.labels.digest,
            patients=len(common),
            targets=tuple(dict.fromkeys(table["target"].to_pylist())),
            resamples=config.resamples,
            seed=config.seed,
        )

    return Comparison(folder, make_once(folder, ComparisonRecord, say, work))


def _validate(
    applied: AppliedPredictor, joined: JoinedLabels, config: PredictConfig, folder: TableFolder
) -> ValidationRecord:
    """Write the tables, and record what they come to."""
    began = time.monotonic()
    card, cohort = applied.run.predictor.card, joined.cohort
    tables = {
        SCORES: tabulate_scores(card, cohort, Draws(config.resamples, config.seed)),
        CURVES: tabulate_curves(card, cohort),
    }
    for name, table in tables.items():
        folder.write(name, [table], table.schema)
    metric = metric_of(card)
    main = _take_main(tables[SCORES], metric.main)
    return ValidationRecord(
        run_id=folder.folder.rpartition("/")[2],
        created_at=now_text(),
        seconds=round(time.monotonic() - began, 1),
        synthetic=applied.record.synthetic,
        label_notes=joined.notes,
        notes=(*joined.caveats, *_note_few(applied, cohort)),
        versions=list_versions(),
        predictor=card.name,
        prediction_run=applied.record.run_id,
        labels=joined.labels.origin,
        labels_sha256=joined.labels.digest,
        targets=cohort.targets,
        missing_targets=joined.missing,
        patients=len(cohort.patients),
        predictions_only=joined.joined.features_only,
        labels_only=joined.joined.labels_only,
        subgroups=config.subgroup,
        metric=metric.main,
        chance=metric.chance,
        median_score=_median(main["score"]),
        median_trained=_median(main["trained"]),
        one_class=tuple(list_one_class(cohort)),
        without_slope=explain_slopes(card, cohort, tables[SCORES]),
        resamples=config.resamples,
        seed=config.seed,
        settings_sha256=digest(config.model_dump(mode="json", exclude={"store"})),
    )


def _refuse_one_class(applied: AppliedPredictor, joined: JoinedLabels) -> None:
    """Refuse labels that tell nothing apart.

    Raises:
        OneClassError: They are the same for all patients, in every target.
    """
    alike = list_one_class(joined.cohort)
    if len(alike) < len(joined.cohort.targets):
        return
    raise OneClassError(
        f"labels {joined.labels.origin}: {name_some(alike)} {'is' if len(alike) == 1 else 'are'} "
        f"the same in all {count_of(len(joined.cohort.patients), 'patient')} that are predicted, "
        f"so predictor {applied.record.predictor} cannot be validated; give labels with both "
        f"classes (predictions are in {applied.folder.folder})"
    )


def _note_few(applied: AppliedPredictor, cohort: ExternalCohort) -> list[str]:
    """Note targets with few patients of a class, or one class alone."""
    metric = metric_of(applied.run.predictor.card)
    alike = list_one_class(cohort)
    few = []
    for at, name in enumerate(cohort.targets):
        sample = cohort.sample(at)
        positives = metric.count_positives(sample)
        rarest = min(positives, len(sample.truth) - positives)
        if positives and rarest < FEW and name not in alike:
            few.append(f"{name} {rarest}")
    notes = []
    if alike:
        notes.append(
            f"labels are the same in all patients, so there is no score: {', '.join(alike)}"
        )
    if few:
        notes.append(
            f"fewer than {FEW} patients of the rarer class, so intervals are wide and thresholds "
            f"say little: {', '.join(few)}"
        )
    return notes


def _identify(cohort: ExternalCohort, labels: str, config: PredictConfig) -> Mapping[str, object]:
    """All that decides scores beside the predictions."""
    return {
        "version": EXTERNAL_VERSION,
        "labels": labels,
        "truth": hashlib.sha256(np.ascontiguousarray(cohort.truth).tobytes()).hexdigest(),
        "names": digest([cohort.patients, cohort.targets]),
        "groups": digest(dict(cohort.groups)),
        "bootstrap": [config.resamples, config.seed],
    }


def _take_main(scores: pa.Table, metric: str) -> pa.Table:
    """The score that decides, of all patients."""
    frame = scores.to_pandas()
    return pa.Table.from_pandas(frame[(frame["metric"] == metric) & (frame["column"] == "")])


def _median(column: pa.ChunkedArray) -> float:
    values = column.to_numpy()
    there = values[~np.isnan(values)]
    return float(np.median(there)) if len(there) else float("nan")
