"""Evaluates a classifier on held-out tiles."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.metrics import balanced_accuracy_score, log_loss, recall_score

from histo_ray.encoders.network_ends import Normaliser
from histo_ray.finetune.agreement import take_first
from histo_ray.finetune.classifier import Classifier
from histo_ray.finetune.compute import Compute
from histo_ray.finetune.frozen_head import Features, encode_subset, plain_look
from histo_ray.finetune.job import FinetuneJob
from histo_ray.finetune.worker_group import WorkerGroup


class ClassifierScores(NamedTuple):
    """Scores of a classifier on N tiles."""

    loss: float
    """Mean cross-entropy, in nat."""
    accuracy: float
    balanced_accuracy: float
    """Mean over the classes that occur."""
    recall: tuple[float, ...]
    """Recall of each class, in (0..1); nan for a class that does not occur."""


NO_SCORES = ClassifierScores(np.nan, np.nan, np.nan, ())


def score_logits(logits: Features, labels: npt.NDArray[np.int32], classes: int) -> ClassifierScores:
    """Score logits against labels.

    Args:
        logits: (N, classes).
        labels: (N,) below `classes`.
        classes: Number of classes.
    """
    wide = logits.astype(np.float64)
    wide -= wide.max(1, keepdims=True)
    probabilities = np.exp(wide)
    probabilities /= probabilities.sum(1, keepdims=True)
    every = np.arange(classes)
    predicted = probabilities.argmax(1)
    recall = recall_score(labels, predicted, labels=every, average=None, zero_division=np.nan)
    return ClassifierScores(
        loss=float(log_loss(labels, probabilities, labels=every)),
        accuracy=float((predicted == labels).mean()),
        balanced_accuracy=float(balanced_accuracy_score(labels, predicted)),
        recall=tuple(float(value) for value in recall),
    )


def evaluate_classifier(
    job: FinetuneJob,
    classifier: Classifier,
    normalise: Normaliser,
    compute: Compute,
    group: WorkerGroup,
) -> ClassifierScores:
    """Scores on the held-out tiles of `job`, prepared as for the encoder; nan if there are none.

    All workers are given the first one's, so that none of them decides otherwise.
    """
    if job.held_out is None:
        return NO_SCORES
    classifier.eval()
    look = plain_look(job.input_px, job.interpolation)
    features = encode_subset(classifier, normalise, job.held_out, compute, group, look, job.loaders)
    head = classifier.head
    weight, bias = (v.detach().float().cpu().numpy() for v in (head.weight, head.bias))
    own = score_logits(features @ weight.T + bias, job.held_out.labels, head.out_features)
    loss, accuracy, balanced, *recall = take_first(
        (own.loss, own.accuracy, own.balanced_accuracy, *own.recall), group, compute.device
    )
    return ClassifierScores(loss, accuracy, balanced, tuple(recall))
