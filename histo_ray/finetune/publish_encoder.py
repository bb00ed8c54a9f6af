"""Puts a fine-tuned encoder into a store: whole, or not at all, and never over another."""

import hashlib
import math
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch

from histo_ray._version import __version__
from histo_ray.encoders.adapters import merge_adapters
from histo_ray.encoders.base import EncoderSpec
from histo_ray.encoders.lean_timm import timm
from histo_ray.encoders.published import read_card
from histo_ray.encoders.weights import Weights, digest_weights
from histo_ray.errors import ConfigError
from histo_ray.finetune.curves import write_curves
from histo_ray.finetune.job import FinetuneJob
from histo_ray.finetune.loop import TrainingResult
from histo_ray.finetune.lora import take_adapters, take_base
from histo_ray.finetune.training_tiles import TileSubset
from histo_ray.store.atomic_write import publish_files
from histo_ray.store.location import location_of
from histo_ray.store.models import (
    CARD,
    CARD_VERSION,
    HEAD_PREFIX,
    MODELS,
    PLAIN_VERSION,
    WEIGHTS_FILE,
    Adapter,
    Base,
    Data,
    Metrics,
    ModelCard,
    encode_card,
)
from histo_ray.store.trained_on import TRAINED_ON_FILE, TrainedOn

CURVES_FILE = "curves.parquet"
NETWORK_PREFIX = "network."
HEAD = "head."


def check_name(store: str, name: str, fingerprint: str) -> ModelCard | None:
    """Whether `name` is free for the result of a job.

    Returns:
        The card of this very job's result, if it is there already; None if nothing is.

    Raises:
        ConfigError: The name is in use by something else.
    """
    card = read_card(store, name)
    if card is not None and card.fingerprint != fingerprint:
        raise ConfigError(
            f"name {name!r} is in use in {store}: weights {card.weights_sha256[:12]} of "
            f"{card.created[:10]}, made from other tiles, settings or base weights; choose another "
            "--name"
        )
    return card


def publish_model(
    store: str,
    name: str,
    job: FinetuneJob,
    outcome: TrainingResult,
    workers: int,
    device: str,
    source: str,
    trained_on: TrainedOn,
) -> ModelCard:
    """Write `models/<name>/`: weights, curves and the list of tiles, then the card.

    Args:
        store: Path or URI of the store; it must be there.
        name: Name of the new encoder.
        job: The fine-tuning job.
        outcome: Its result.
        workers: Workers that shared each batch.
        device: Where it was trained, in words.
        source: How the held-out tiles were chosen, in words.
        trained_on: Tiles and patients that no later evaluation should test on.

    Returns:
        The card that is in the store now.

    Raises:
        ConfigError: The name is in use by something else.
    """
    network = _below(outcome.weights, NETWORK_PREFIX)
    head = _below(outcome.weights, HEAD)
    kept, adapter = network, None
    if job.recipe.network.lora_rank:
        kept, adapter = take_adapters(network), _describe_adapter(job, network)
        network = merge_adapters(take_base(network), kept, adapter.scale)
    content = kept | {HEAD_PREFIX + key: value for key, value in head.items()}
    data = safetensors.torch.save({k: v.contiguous() for k, v in content.items()})
    tiles = trained_on.encode()
    card = ModelCard(
        format_version=PLAIN_VERSION if adapter is None else CARD_VERSION,
        name=name,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        fingerprint=job.fingerprint(workers),
        weights_sha256=digest_weights(network),
        file_sha256=hashlib.sha256(data).hexdigest(),
        encoder=_describe_encoder(job, name),
        base=Base(
            name=job.spec.name, request=job.spec.request, weights_sha256=job.base_sha256,
            licence=job.spec.licence,
        ),
        classes=job.train.tiles.classes,
        data=_describe_data(job, source, hashlib.sha256(tiles).hexdigest()),
        recipe=job.recipe.model_dump(),
        seed=job.seed,
        workers=workers,
        epoch=outcome.epoch,
        metrics=_describe_scores(outcome, job.train.tiles.classes),
        device=device,
        versions=library_versions(),
        adapter=adapter,
    )  # fmt: skip
    text = encode_card(card)
    curves = write_curves(outcome.curves)
    files = {WEIGHTS_FILE: data, CURVES_FILE: curves, TRAINED_ON_FILE: tiles, CARD: text}
    if not publish_files(location_of(store), f"{MODELS}/{name}", files):
        there = check_name(store, name, card.fingerprint)
        return there or card
    return card


def library_versions() -> dict[str, str]:
    """Versions of the libraries that can change the weights."""
    return {
        "histo_ray": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "timm": timm.__version__,
        "numpy": np.__version__,
        "safetensors": safetensors.__version__,
    }


def _describe_encoder(job: FinetuneJob, name: str) -> EncoderSpec:
    """Spec of the new encoder: the base's, with its weights in a store and its training's stain."""
    spec = job.spec
    return spec.model_copy(
        update={
            "name": name,
            "request": name,
            "source": "store",
            "hub": None,
            "file": None,
            "seed": None,
            "published": None,
            "published_name": None,
            "weights_sha256": None,
            "gated": False,
            "resize_px": None,  # it was trained on whole tiles
            "stain": "macenko" if job.recipe.macenko else spec.stain,
            "about": f"{spec.name}, fine-tuned",
        }
    )


def _describe_adapter(job: FinetuneJob, network: Weights) -> Adapter:
    settings, own = job.recipe.network, take_adapters(network)
    count = sum(value.numel() for value in own.values())
    return Adapter(
        rank=settings.lora_rank,
        scale=settings.lora_alpha / settings.lora_rank,
        layers=settings.lora_layers,
        parameters=count,
        share=count / sum(value.numel() for value in take_base(network).values()),
        base=job.spec,
    )


def _describe_data(job: FinetuneJob, source: str, trained_on_sha256: str) -> Data:
    held = job.held_out
    return Data(
        name=job.train.name,
        digest=job.train.tiles.digest,
        train=_count(job.train),
        held_out={} if held is None else _count(held),
        held_out_from=source,
        trained_on_sha256=trained_on_sha256,
    )


def _count(part: TileSubset) -> dict[str, int]:
    names: Sequence[str] = part.tiles.classes
    numbers: list[Any] = np.bincount(part.labels, minlength=len(names)).tolist()
    return dict(zip(names, numbers, strict=True))


def _describe_scores(outcome: TrainingResult, classes: Sequence[str]) -> Metrics:
    scores = outcome.scores
    tried = {f"{k:g}": _or_none(v) for k, v in outcome.wise_ft_accuracies.items()}
    share = outcome.wise_ft if tried and outcome.epoch else None
    if math.isnan(scores.accuracy):
        return Metrics(wise_ft=share, wise_ft_accuracy=tried)
    recall = {
        name: None if math.isnan(value) else value
        for name, value in zip(classes, scores.recall, strict=True)
    }
    return Metrics(
        accuracy=scores.accuracy,
        balanced_accuracy=scores.balanced_accuracy,
        loss=scores.loss,
        recall=recall,
        first_accuracy=_or_none(outcome.first_accuracy),
        second_accuracy=_or_none(outcome.second_accuracy),
        wise_ft=share,
        wise_ft_accuracy=tried,
    )


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value


def _below(weights: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}
