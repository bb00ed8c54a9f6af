"""Step 1: a new head on the frozen encoder."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torch.nn import functional

from histo_ray.encoders.network_ends import Normaliser
from histo_ray.finetune.augment import augment, draw
from histo_ray.finetune.classifier import Classifier
from histo_ray.finetune.compute import Compute, read_ahead
from histo_ray.finetune.recipe import AugmentConfig
from histo_ray.finetune.schedule import HEAD, batch_random
from histo_ray.finetune.stain_swap import StainStatistics
from histo_ray.finetune.training_tiles import TileSubset
from histo_ray.finetune.worker_group import WorkerGroup

Features = npt.NDArray[np.float32]
MAX_ITERATIONS = 1000
BLOCK = 64
"""Tiles read at once where nothing is learned; the numbers do not depend on it."""


def fit_head(
    features: Features, labels: npt.NDArray[np.int32], classes: int, inverse_penalty: float
) -> tuple[Features, Features]:
    """Multinomial logistic regression on standardised features, as a linear layer on raw ones.

    Args:
        features: (N, dim).
        labels: (N,) below `classes`.
        classes: Rows of the result; one that has no tile gets the lowest intercept there is.
        inverse_penalty: C of the regression.

    Returns:
        Weight (classes, dim) and bias (classes,).
    """
    scaler = StandardScaler().fit(features)
    model = LogisticRegression(C=inverse_penalty, max_iter=MAX_ITERATIONS)
    model.fit(scaler.transform(features), labels)
    coefficients, intercepts = model.coef_, model.intercept_
    if len(model.classes_) == 2:  # scikit-learn keeps one row of two
        coefficients = np.concatenate([-coefficients, coefficients]) / 2
        intercepts = np.concatenate([-intercepts, intercepts]) / 2
    weight = np.zeros((classes, features.shape[1]))
    bias = np.full(classes, intercepts.min())
    weight[model.classes_] = coefficients / scaler.scale_
    bias[model.classes_] = intercepts - weight[model.classes_] @ scaler.mean_
    return weight.astype(np.float32), bias.astype(np.float32)


def encode_subset(
    classifier: Classifier,
    normalise: Normaliser,
    subset: TileSubset,
    compute: Compute,
    group: WorkerGroup,
    look: Callable[[torch.Tensor, int], torch.Tensor],
    loaders: int,
) -> Features:
    """Features of all tiles of `subset`; the work is shared by the group.

    Args:
        classifier: In eval mode.
        normalise: Normalisation of its encoder.
        subset: The tiles.
        compute: Where.
        group: Each worker encodes every so-many-th block.
        look: (n, H, W, 3) uint8 tiles and their block to (n, 3, h, w) in 0..255.
        loaders: Threads that read.

    Returns:
        (N, dim), the same on all workers.
    """
    features = torch.zeros(len(subset), classifier.head.in_features)
    mine = range(group.rank, -(-len(subset) // BLOCK), group.size)
    read = read_ahead(lambda b: subset.read(slice(b * BLOCK, (b + 1) * BLOCK)), mine, loaders)
    for block, pixels in zip(mine, read, strict=True):
        values = look(torch.from_numpy(pixels).to(compute.device), block)

        def encode(rows: slice, values: torch.Tensor = values) -> torch.Tensor:
            with torch.inference_mode(), compute.autocast():
                return classifier.features(normalise(values[rows])).float().cpu()

        vectors = torch.cat(compute.split(encode, len(values)))
        features[block * BLOCK : block * BLOCK + len(vectors)] = vectors
    shared = features.to(compute.device)
    group.add([shared])
    result: Features = shared.cpu().numpy()
    return result


def plain_look(px: int, mode: str) -> Callable[[torch.Tensor, int], torch.Tensor]:
    """Tiles as the encoder itself sees them: as they are, resized to its input.

    Args:
        px: Edge of the encoder's input.
        mode: Its interpolation.
    """

    def look(tiles: torch.Tensor, block: int) -> torch.Tensor:
        values = tiles.permute(0, 3, 1, 2).float()
        if values.shape[-2:] != (px, px):
            values = functional.interpolate(values, (px, px), mode=mode, antialias=True)
        return values.clamp_(0, 255)

    return look


def augmented_look(
    config: AugmentConfig, px: int, seed: int, view: int, bank: StainStatistics | None = None
) -> Callable[[torch.Tensor, int], torch.Tensor]:
    """Tiles as training sees them; `view` 1, 2, ... draws other numbers, `bank` are donors."""

    def look(tiles: torch.Tensor, block: int) -> torch.Tensor:
        random = batch_random(seed, view, block, HEAD)
        return augment(tiles, draw(random, len(tiles), config, bank), px)

    return look
