"""How well a classifier does on tiles it does not learn from."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.metrics import balanced_accuracy_score, log_loss, recall_score

from histo_ray.encoders.network_ends import Normaliser
from histo_ray.finetune.classifier import Classifier
from histo_ray.finetune.compute import Compute
from histo_ray.finetune.head import Features, encode_part, plain_look
from histo_ray.finetune.job import Job
from histo_ray.finetune.team import Team


class Scores(NamedTuple):
    """Of a classifier on N tiles."""

    loss: float
    """Mean cross-entropy, in nat."""
    accuracy: float
    balanced_accuracy: float
    """Mean over the classes that occur."""
    recall: tuple[float, ...]
    """Of each class; nan for one that does not occur."""


NO_SCORES = Scores(np.nan, np.nan, np.nan, ())


def score(logits: Features, labels: npt.NDArray[np.int32], classes: int) -> Scores:
    """Judge logits.

    Args:
        logits: (N, classes).
        labels: (N,) below `classes`.
        classes: How many there are.
    """
    wide = logits.astype(np.float64)
    wide -= wide.max(1, keepdims=True)
    chances = np.exp(wide)
    chances /= chances.sum(1, keepdims=True)
    every = np.arange(classes)
    found = chances.argmax(1)
    recall = recall_score(labels, found, labels=every, average=None, zero_division=np.nan)
    return Scores(
        loss=float(log_loss(labels, chances, labels=every)),
        accuracy=float((found == labels).mean()),
        balanced_accuracy=float(balanced_accuracy_score(labels, found)),
        recall=tuple(float(value) for value in recall),
    )


def judge(
    job: Job, classifier: Classifier, normalise: Normaliser, compute: Compute, team: Team
) -> Scores:
    """Scores on the held-out tiles of `job`, seen as the encoder sees tiles; nan without any."""
    if job.held_out is None:
        return NO_SCORES
    classifier.eval()
    look = plain_look(job.input_px, job.interpolation)
    features = encode_part(classifier, normalise, job.held_out, compute, team, look, job.loaders)
    head = classifier.head
    weight, bias = (v.detach().float().cpu().numpy() for v in (head.weight, head.bias))
    return score(features @ weight.T + bias, job.held_out.labels, head.out_features)
