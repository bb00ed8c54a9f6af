"""A whole fine-tuning in one process: settings in, a published encoder out."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch

from histo_ray.encoders.base import EncoderSpec
from histo_ray.encoders.registry import list_encoders, resolve
from histo_ray.encoders.timm_names import has_timm_name
from histo_ray.encoders.weights import digest_weights
from histo_ray.errors import BusyError, ConfigError
from histo_ray.finetune.checkpoint import FileKeeper
from histo_ray.finetune.classifier import Classifier, build_classifier
from histo_ray.finetune.compute import Compute
from histo_ray.finetune.finetune_config import FinetuneConfig
from histo_ray.finetune.job import FinetuneJob, ReportProgress
from histo_ray.finetune.loop import TrainingResult, train
from histo_ray.finetune.lora import add_adapters
from histo_ray.finetune.publish_encoder import check_name, publish_model
from histo_ray.finetune.recipe import Recipe
from histo_ray.finetune.trained_tiles import describe_trained_on
from histo_ray.finetune.training_tiles import LoadedTiles, Pixels, Rows, TileSubset
from histo_ray.finetune.worker_group import WorkerGroup
from histo_ray.store.claim import hold_claim
from histo_ray.store.layout import CACHE
from histo_ray.store.location import location_of
from histo_ray.store.models import ModelCard
from histo_ray.store.store import open_store
from histo_ray.tilesets.infer_groups import infer_groups
from histo_ray.tilesets.read import read_tileset
from histo_ray.tilesets.split import check_disjoint, hold_out
from histo_ray.tilesets.tileset import TileSet, load_tiles


@dataclass(frozen=True)
class FinetunePlan:
    """Checked settings and tiles: all that a worker needs."""

    config: FinetuneConfig
    recipe: Recipe
    spec: EncoderSpec
    """Spec of the base encoder, from `resolve`."""
    tileset: TileSet
    train_rows: Rows
    held_out: TileSet | None
    held_out_rows: Rows
    source: str
    """How the held-out tiles were chosen, in words."""


@dataclass(frozen=True)
class FinetuneResult:
    """Result of a fine-tuning."""

    card: ModelCard
    was_there: bool
    """The same job had been published before; nothing was done."""


def plan_finetune(config: FinetuneConfig) -> FinetunePlan:
    """Check everything that can be checked before work begins.

    Raises:
        ConfigError: Recipe, base, name or tiles cannot be used.
        StoreError: The store is none.
    """
    recipe, spec = _check_settings(config)
    tileset = read_tileset(config.tiles)
    every, none = np.arange(len(tileset)), np.empty(0, np.int64)
    if config.validation is not None:
        other = read_tileset(config.validation)
        check_disjoint(tileset, other)
        return FinetunePlan(
            config, recipe, spec, tileset, every, other, np.arange(len(other)),
            f"another set, {other.name}",
        )  # fmt: skip
    if recipe.held_out == 0:
        _check_needs_no_held_out(recipe)
        return FinetunePlan(config, recipe, spec, tileset, every, None, none, "")
    source, grouped = "the same tiles, by group", tileset
    if tileset.groups is None and recipe.infer_groups:
        source = "the same tiles, by groups inferred from stain, colour and near-duplicates"
        inferred = infer_groups(tileset, tileset.labels)
        grouped = replace(tileset, groups=tuple(map(str, inferred.tolist())))
    elif tileset.groups is None:
        source = "the same tiles, groups unknown: leakage cannot be excluded"
    train_rows, held_rows = hold_out(grouped, recipe.held_out, config.seed)
    return FinetunePlan(config, recipe, spec, tileset, train_rows, tileset, held_rows, source)


def _check_needs_no_held_out(recipe: Recipe) -> None:
    """Refuse to choose by held-out accuracy where nothing is held out."""
    if len(recipe.network.wise_ft) > 1:
        shares = ", ".join(f"{share:g}" for share in recipe.network.wise_ft)
        raise ConfigError(
            f"recipe: network.wise_ft = {shares}: one of them is chosen by the accuracy on "
            "held-out tiles, and nothing is held out; set held_out, give --validation, or name one "
            "share"
        )


def _check_settings(config: FinetuneConfig) -> tuple[Recipe, EncoderSpec]:
    """Check what needs no look at tiles, and make the store if it is not there."""
    recipe = config.read_recipe()
    spec = resolve(config.encoder, config.encoder_table, config.store)
    if spec.rotations is not None:
        raise ConfigError(
            f"encoder {config.encoder!r}: rotations= averages the vectors of a finished encoder, "
            "and training turns tiles by itself; leave it out, and ask for "
            f"{config.name}?rotations={spec.rotations} afterwards"
        )
    known = {entry.name for entry in list_encoders(config.encoder_table)}
    if config.name in known or has_timm_name(config.name):
        raise ConfigError(
            f"name {config.name!r} belongs to an encoder that is known already; choose another "
            "--name"
        )
    open_store(config.store, create=True)
    return recipe, spec


def make_job(plan: FinetunePlan) -> tuple[FinetuneJob, Classifier]:
    """Load the base encoder and make the job.

    Raises:
        ConfigError: Its weights cannot be had or do not fit.
    """
    config, tileset = plan.config, plan.tileset
    classifier, spec = build_classifier(plan.spec, tileset.classes)
    train_part = TileSubset(_open(tileset, plan), plan.train_rows, tileset.name)
    held: TileSubset | None = None
    if plan.held_out is not None:
        same = plan.held_out is tileset
        tiles = train_part.tiles if same else _open(plan.held_out, plan)
        held = TileSubset(tiles, plan.held_out_rows, plan.held_out.name)
    base_sha256 = digest_weights(classifier.network.state_dict())
    if plan.recipe.network.lora_rank:
        add_adapters(classifier.network, plan.recipe.network, config.seed)
    job = FinetuneJob(
        spec=spec,
        base_sha256=base_sha256,
        train=train_part,
        held_out=held,
        recipe=plan.recipe,
        seed=config.seed,
        save_every_s=config.save_every_s,
        loaders=config.loaders,
    )
    return job, classifier


def work(
    plan: FinetunePlan,
    job: FinetuneJob,
    classifier: Classifier,
    compute: Compute,
    report: ReportProgress,
    group: WorkerGroup | None = None,
) -> TrainingResult:
    """Train, or go on training, with the checkpoint kept in the store.

    Raises:
        ConfigError: The checkpoint is damaged or of another job, or the GPU's memory is too small.
        HistoRayError: The workers no longer agree.
    """
    try:
        return train(job, classifier, compute, open_keeper(plan.config), report, group)
    except torch.OutOfMemoryError as error:
        raise _explain_full_gpu(job, group.size if group else 1, error) from None


def _explain_full_gpu(job: FinetuneJob, workers: int, error: torch.OutOfMemoryError) -> ConfigError:
    """The error of a GPU whose memory is full, with what needs less of it."""
    size = job.recipe.batch_size
    reason = " ".join(str(error).split())[:120]
    less = (
        f"--set batch_size={size // 2}" if size > workers else f"--set train_px={job.train_px // 2}"
    )
    return ConfigError(
        f"fine-tuning {job.spec.name}: out of GPU memory with batch_size={size} on {workers} "
        f"worker{'s' * (workers > 1)} and tiles of {job.train_px} px ({reason}); pass {less} (and "
        "another --name: it is another recipe), or take more --workers or a larger card"
    )


def open_keeper(config: FinetuneConfig) -> FileKeeper:
    """The checkpoint of a run: in the store, so that any node can go on."""
    return FileKeeper(location_of(config.store), f"{CACHE}/finetune/{config.name}.safetensors")


def finetune(
    config: FinetuneConfig,
    report: ReportProgress = lambda progress: None,
    tell: Callable[[str], None] = lambda text: None,
) -> FinetuneResult:
    """Fine-tune in this process, and publish.

    Args:
        config: What to do.
        report: Called after each batch.
        tell: Called with a line on what begins.

    Raises:
        ConfigError: Settings, tiles, base or name cannot be used.
        StoreError: The store is none.
    """
    with claim_name(config):
        return _finetune(config, report, tell)


@contextmanager
def claim_name(config: FinetuneConfig) -> Iterator[None]:
    """Hold the name of the new encoder, so that no other process trains under it meanwhile.

    A claim whose process was killed is taken over.

    Raises:
        ConfigError: Another process trains under this name into this store.
    """
    _check_settings(config)
    try:
        with hold_claim(
            location_of(config.store), f"finetune-{config.name}", lambda holder: None, wait=False
        ):
            yield
    except BusyError as error:
        raise ConfigError(
            f"name {config.name!r}: {error} is fine-tuning under this name into {config.store}; "
            "wait until it has ended, or choose another --name"
        ) from None


def _finetune(
    config: FinetuneConfig, report: ReportProgress, tell: Callable[[str], None]
) -> FinetuneResult:
    tell(f"reading {config.tiles}")
    plan = plan_finetune(config)
    job, classifier = make_job(plan)
    card = check_name(config.store, config.name, job.fingerprint(1))
    if card is not None:
        return FinetuneResult(card, was_there=True)
    compute = Compute(config.device, config.threads, config.precision)
    tell(
        f"{len(job.train)} tiles of {len(plan.tileset.classes)} classes to train on, "
        f"{len(plan.held_out_rows)} to evaluate on; {compute.describe()}"
    )
    outcome = work(plan, job, classifier, compute, report)
    return FinetuneResult(conclude(plan, job, outcome, 1, compute.describe()), was_there=False)


def conclude(
    plan: FinetunePlan, job: FinetuneJob, outcome: TrainingResult, workers: int, device: str
) -> ModelCard:
    """Publish, and drop the checkpoint."""
    config = plan.config
    trained_on = describe_trained_on(
        plan.tileset, plan.train_rows, plan.held_out, plan.held_out_rows, plan.spec
    )
    card = publish_model(
        config.store, config.name, job, outcome, workers, device, plan.source, trained_on
    )
    open_keeper(config).delete()
    return card


def _open(tileset: TileSet, plan: FinetunePlan) -> LoadedTiles:
    def load(rows: Rows) -> Pixels:
        pixels = load_tiles(tileset, rows, threads=1)
        if plan.recipe.macenko:  # a tile is all that is known of its slide
            from histo_ray.tiles.stain import fit_macenko, normalise

            return np.stack([normalise(tile, fit_macenko(tile)) for tile in pixels])
        return pixels

    return LoadedTiles(
        load=load,
        labels=tileset.labels,
        classes=tileset.classes,
        digest=tileset.digest,
        tile_px=tileset.tile_px,
        memory_bytes=int(plan.config.memory_gb * 1e9),
    )
