"""Tables of classes: how well each is told from the others, and for which it is taken. Pure."""

from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa

from histo_ray.learn.statistics.class_scores import (
    choose_classes,
    count_confusion,
    score_recalls,
)
from histo_ray.learn.targets.class_folds import take_classes
from histo_ray.learn.targets.target_metrics import METRICS
from histo_ray.learn.targets.target_scores import score_encoder
from histo_ray.learn.targets.target_truth import Floats, Predictions, TargetTruth
from histo_ray.schema import arrow_schema
from histo_ray.types import TargetKind

ORDERED = frozenset({TargetKind.ORDINAL})
"""Kinds whose classes have an order."""
Row = dict[str, str | int | float]


def tabulate_classes(
    truth: TargetTruth, predicted: Mapping[str, Predictions], resamples: int, seed: int
) -> pa.Table:
    """Tabulate every class of every target as rows of `schemas/label_classes.json`.

    Args:
        truth: Labels and folds; without several classes there are no rows.
        predicted: (R, P, C) probabilities of all classes, by encoder.
        resamples: Draws of the bootstrap over patients.
        seed: Of the draws.
    """
    rows: list[Row] = []
    if truth.layout.coding is not None:
        for encoder, own in predicted.items():
            rows += _list_classes(truth, encoder, own, resamples, seed)
    return pa.Table.from_pylist(rows, arrow_schema("label_classes"))


def tabulate_confusion(truth: TargetTruth, predicted: Mapping[str, Predictions]) -> pa.Table:
    """Tabulate true by chosen classes as rows of `schemas/label_confusion.json`."""
    rows: list[Row] = []
    if truth.layout.coding is not None:
        for encoder, some in predicted.items():
            for target, (one, own) in enumerate(take_classes(truth, some)):
                mean = _mean_confusion(one, own)
                names = truth.classes[target]
                rows += [
                    {
                        "task": truth.task,
                        "target": truth.targets[target],
                        "encoder": encoder,
                        "class": names[a],
                        "chosen": names[b],
                        "n_patients": float(mean[a, b]),
                    }
                    for a, b in np.ndindex(mean.shape)
                ]
    return pa.Table.from_pylist(rows, arrow_schema("label_confusion"))


def _list_classes(
    truth: TargetTruth, encoder: str, predicted: Predictions, resamples: int, seed: int
) -> Iterator[Row]:
    metric = METRICS[TargetKind.BINARY]
    for target, (one, own) in enumerate(take_classes(truth, predicted)):
        confusion = _mean_confusion(one, own)
        recalls, precisions = score_recalls(confusion), score_recalls(confusion.T)
        labels = one.values[:, 0]
        for number, name in enumerate(truth.classes[target]):
            alone = TargetTruth(
                truth.task,
                (name,),
                np.where(np.isnan(labels), np.nan, labels == number)[:, None],
                one.fold_ids,
                truth.sites,
                truth.groups,
                kind=TargetKind.BINARY,
            )
            found = score_encoder(alone, own[..., [number]], resamples, seed)
            low, high = found.interval
            yield {
                "task": truth.task,
                "target": truth.targets[target],
                "encoder": encoder,
                "class": name,
                "number": number,
                "n_patients": int((labels == number).sum()),
                metric.name: float(found.resampled.score[0]),
                "low": float(low[0]),
                "high": float(high[0]),
                "recall": float(recalls[number]),
                "precision": float(precisions[number]),
            }


def _mean_confusion(one: TargetTruth, probabilities: Predictions) -> Floats:
    """(K, K) mean over the repeats that the target has."""
    count = probabilities.shape[-1]
    tables = [
        count_confusion(one.values[:, 0], chosen, count)
        for chosen in choose_classes(probabilities, ordered=one.kind in ORDERED)
    ]
    there = [table for table in tables if table.any()]
    return np.asarray(np.mean(there, axis=0)) if there else np.zeros((count, count))
