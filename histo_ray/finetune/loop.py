"""The whole training: both steps, with checkpoints. Plain torch: no Ray, no store.

Every random number follows from the seed and the position (epoch, batch), so a run that was
killed and goes on from its checkpoint ends with the weights of one that was not: to the bit on CPU,
and on a GPU where `determinism` could force it and the rest of the run is in the same precision.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import torch

from histo_ray.encoders.network_ends import Normaliser
from histo_ray.encoders.weights import digest_weights
from histo_ray.finetune.agreement import check_same_start
from histo_ray.finetune.checkpoint import Checkpoint, Keeper, Position, Weights
from histo_ray.finetune.classifier import Classifier
from histo_ray.finetune.compute import Compute
from histo_ray.finetune.curves import CurveRow
from histo_ray.finetune.determinism import deterministic_algorithms, try_pass
from histo_ray.finetune.epochs import Epochs
from histo_ray.finetune.frozen_head import (
    Features,
    augmented_look,
    encode_subset,
    fit_head,
    plain_look,
)
from histo_ray.finetune.held_out import ClassifierScores, evaluate_classifier
from histo_ray.finetune.job import FinetuneJob, ReportProgress, TrainingProgress
from histo_ray.finetune.norms import measure_statistics, recalibrate
from histo_ray.finetune.recipe import NetworkConfig
from histo_ray.finetune.schedule import batch_rows
from histo_ray.finetune.stain_swap import measure_donors
from histo_ray.finetune.wise_ft import WiseChoice, choose_alpha
from histo_ray.finetune.worker_group import Solo, WorkerGroup

RECALIBRATION_TILES = 256


class TrainingResult(NamedTuple):
    """Result of a training."""

    weights: Weights
    """Weights of the classifier that was evaluated and is to be published."""
    scores: ClassifierScores
    """On the held-out tiles; nan without any."""
    curves: list[CurveRow]
    epoch: int
    """Epoch of step 2 from which the weights are; 0: they are those of step 1."""
    first_accuracy: float = np.nan
    """Held-out accuracy after step 1; nan without held-out tiles."""
    second_accuracy: float = np.nan
    """Held-out accuracy after step 2; nan without held-out tiles, or without a step 2."""
    wise_ft: float = 1.0
    """Share of the tuned weights in those after step 2."""
    wise_ft_accuracies: Mapping[float, float] = MappingProxyType({})
    """Held-out accuracy of each share that was tried; empty without WiSE-FT."""


def train(
    job: FinetuneJob,
    classifier: Classifier,
    compute: Compute,
    keeper: Keeper,
    report: ReportProgress = lambda progress: None,
    group: WorkerGroup | None = None,
) -> TrainingResult:
    """Run both steps, or what a checkpoint has left of them.

    Args:
        job: What to do.
        classifier: The base with an empty head; changed in place.
        compute: Where.
        keeper: Keeps the checkpoint.
        report: Called after each batch.
        group: The workers that share each batch; None: this one alone.

    Returns:
        The weights after step 2, or those after step 1 where these are better on held-out tiles;
        the same on all workers.

    Raises:
        ConfigError: The checkpoint is damaged or of another job.
        HistoRayError: The workers no longer agree.
    """
    group = group or Solo()
    classifier.to(compute.device).to(memory_format=torch.channels_last)
    normalise = Normaliser(job.spec, compute.device)
    checkpoint = keeper.load(job.fingerprint(group.size))
    check_same_start(checkpoint, group, compute.device)
    with deterministic_algorithms(compute, lambda: try_pass(classifier, compute, job.train_px)):
        if checkpoint is None:
            checkpoint = _first_step(job, classifier, normalise, compute, group, report)
            if group.rank == 0:
                keeper.save(checkpoint)
        epochs = Epochs(job, classifier, normalise, compute, keeper, group, checkpoint)
        epochs.run(report)
        final = epochs.checkpoint
        evaluate = partial(evaluate_classifier, job, classifier, normalise, compute, group)
        refresh = partial(_refresh_statistics, job, classifier, normalise, compute, group)
        wise = _choose_share(final, job.recipe.network, classifier, evaluate, refresh)
        return _choose_step(final, wise, classifier, evaluate)


def _choose_share(
    final: Checkpoint,
    config: NetworkConfig,
    classifier: Classifier,
    evaluate: Callable[[], ClassifierScores],
    refresh: Callable[[], None],
) -> WiseChoice | None:
    """The weights that WiSE-FT takes in place of those after step 2; None where it is not asked.

    Args:
        final: The checkpoint after step 2.
        config: Shares of the tuned weights that are tried.
        classifier: Changed.
        evaluate: Scores of the classifier as it is on the held-out tiles.
        refresh: Measures its running statistics anew.
    """
    if not config.wise_ft or not final.position.epoch:
        return None

    def make_ready(weights: Weights, alpha: float) -> tuple[Weights, ClassifierScores]:
        classifier.load_state_dict(weights)
        if alpha < 1 and config.batch_norm != "frozen":
            refresh()
        ready = {name: value.clone() for name, value in classifier.state_dict().items()}
        return ready, evaluate()

    return choose_alpha(final.start or final.first, final.outcome, config.wise_ft, make_ready)


def _choose_step(
    final: Checkpoint,
    wise: WiseChoice | None,
    classifier: Classifier,
    evaluate: Callable[[], ClassifierScores],
) -> TrainingResult:
    """The weights after step 2, or those after step 1 if they have the better held-out accuracy.

    Args:
        final: The checkpoint after step 2.
        wise: What WiSE-FT chose in place of its weights; None without it.
        classifier: Left with the weights that are chosen.
        evaluate: Scores of the classifier as it is on the held-out tiles.
    """

    def evaluate_weights(weights: Weights) -> ClassifierScores:
        classifier.load_state_dict(weights)
        return evaluate()

    epoch = final.position.best_epoch or final.position.epoch
    weights = final.outcome if epoch else final.first or final.outcome
    if wise is not None:
        weights = wise.weights
    scores = evaluate_weights(weights)
    first, second = final.curves[0].held_out_accuracy, scores.accuracy if epoch else np.nan
    if epoch and final.first and is_worse(scores.accuracy, first):
        before = evaluate_weights(final.first)
        if before.accuracy > scores.accuracy:
            weights, epoch, scores = final.first, 0, before
        else:  # the figures of step 1 were of a network that was not measured anew
            classifier.load_state_dict(weights)
    return TrainingResult(
        weights={name: value.cpu() for name, value in weights.items()},
        scores=scores,
        curves=final.curves,
        epoch=epoch,
        first_accuracy=first,
        second_accuracy=second,
        wise_ft=wise.alpha if wise is not None and epoch else 1.0,
        wise_ft_accuracies=MappingProxyType(wise.accuracies if wise is not None else {}),
    )


def is_worse(second: float, first: float) -> bool:
    """Whether step 2 lost held-out accuracy; not where nothing was held out. Pure."""
    return second < first


def _first_step(
    job: FinetuneJob,
    classifier: Classifier,
    normalise: Normaliser,
    compute: Compute,
    group: WorkerGroup,
    report: ReportProgress,
) -> Checkpoint:
    """Fit the head, and make the network ready for step 2."""
    began = time.monotonic()
    classifier.eval()
    settings = job.recipe.head
    views = _encode_views(job, classifier, normalise, compute, group, report)
    labels, head = job.train.labels, classifier.head
    weight, bias = fit_head(
        np.concatenate(views),
        np.tile(labels, settings.views),
        head.out_features,
        settings.inverse_penalty,
    )
    accuracy = float(((views[0] @ weight.T + bias).argmax(1) == labels).mean())
    with torch.no_grad():
        head.weight.copy_(torch.from_numpy(weight))
        head.bias.copy_(torch.from_numpy(bias))
    seconds = time.monotonic() - began
    scores = evaluate_classifier(job, classifier, normalise, compute, group)
    row = CurveRow(
        "head", 1, np.nan, np.nan, accuracy, scores.loss, scores.accuracy,
        len(job.train) * settings.views / seconds, seconds,
    )  # fmt: skip
    report(
        TrainingProgress(
            "head", 1, 1, settings.views, settings.views, np.nan, accuracy, scores.accuracy,
            row.images_per_s, 0.0,
        )
    )  # fmt: skip
    group.copy_first(list(classifier.state_dict().values()))
    first = {name: value.cpu().clone() for name, value in classifier.state_dict().items()}
    if job.recipe.network.batch_norm == "recalibrate":  # for step 2: step 1 has the base's weights
        compute.split(lambda _: _recalibrate(job, classifier, normalise, compute), 1, whole=True)
        group.copy_first(list(classifier.state_dict().values()))
    weights = {name: value.clone() for name, value in classifier.state_dict().items()}
    start: Weights = {}
    if job.recipe.network.wise_ft and job.recipe.network.batch_norm == "recalibrate":
        start = {name: value.cpu().clone() for name, value in weights.items()}
    fingerprint = job.fingerprint(group.size)
    return Checkpoint(fingerprint, Position(), weights, first=first, start=start, curves=[row])


def _encode_views(
    job: FinetuneJob,
    classifier: Classifier,
    normalise: Normaliser,
    compute: Compute,
    group: WorkerGroup,
    report: ReportProgress,
) -> list[Features]:
    """(N, dim) features of the training tiles for each view: plain first, then augmented."""
    began = time.monotonic()
    count, views = job.recipe.head.views, list[Features]()
    config = job.recipe.augment
    bank = measure_donors(job.train, job.seed) if config.stain_swap and count > 1 else None
    for view in range(count):
        look = _plain(job)
        if view:
            look = augmented_look(config, job.train_px, job.seed, view, bank)
        views.append(
            encode_subset(classifier, normalise, job.train, compute, group, look, job.loaders)
        )
        rate = len(job.train) * (view + 1) / (time.monotonic() - began)
        left = len(job.train) * (count - view - 1) / rate
        report(TrainingProgress("head", 1, 1, view + 1, count, np.nan, np.nan, np.nan, rate, left))
    return views


def _recalibrate(
    job: FinetuneJob, classifier: Classifier, normalise: Normaliser, compute: Compute
) -> None:
    recalibrate(classifier.network, _some_tiles(job, normalise, compute))


def _refresh_statistics(
    job: FinetuneJob,
    classifier: Classifier,
    normalise: Normaliser,
    compute: Compute,
    group: WorkerGroup,
) -> None:
    """Measure the running statistics of mixed weights on some training tiles."""
    tiles = _some_tiles(job, normalise, compute)
    compute.split(lambda _: measure_statistics(classifier.network, tiles), 1, whole=True)
    group.copy_first(list(classifier.state_dict().values()))


def _some_tiles(
    job: FinetuneJob, normalise: Normaliser, compute: Compute
) -> Iterator[torch.Tensor]:
    """Batches of some training tiles, as training sees them but for augmentation."""
    rows = batch_rows(len(job.train), RECALIBRATION_TILES, job.seed, 0, 0)
    look = plain_look(job.train_px, job.interpolation)
    for some in np.array_split(rows, max(1, len(rows) // 32)):
        yield normalise(look(torch.from_numpy(job.train.read(some)).to(compute.device), 0))


def _plain(job: FinetuneJob) -> Callable[[torch.Tensor, int], torch.Tensor]:
    return plain_look(job.input_px, job.interpolation)


def base_digest(classifier: Classifier) -> str:
    """SHA-256 of the encoder's weights, as receipts state it."""
    return digest_weights(classifier.network.state_dict())
