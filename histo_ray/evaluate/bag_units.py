"""Attention heads on bags: one configuration on one fold of one target is a unit of work."""

import itertools
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import torch

from histo_ray.evaluate.jobs import Competition, Inputs, Needs, UnitJob, Watch
from histo_ray.evaluate.patient_units import TARGETS, piece_name, tabulate_repeat
from histo_ray.learn.configurations import Configuration
from histo_ray.learn.fold_data import RepeatPrediction
from histo_ray.learn.heads.registry import load_bag_head
from histo_ray.learn.mil.bags import Bags
from histo_ray.learn.mil.fold import MilFold, SharedFolds
from histo_ray.learn.mil.mil_settings import MilSettings
from histo_ray.learn.mil.training import keep_going
from histo_ray.learn.patient_heads import draw_inner_seed
from histo_ray.learn.target_matrix import TargetMatrix
from histo_ray.store.tables import TableFolder


@dataclass(frozen=True)
class BagUnit:
    """One configuration on one fold of one target."""

    number: int
    """Number of the configuration among all of the run."""
    target: int
    repeat: int
    fold: int
    configuration: Configuration
    settings: MilSettings
    seed: int
    threads: int
    inner_folds: int = 0
    """Inner folds that it shares with heads on pooled vectors; 0: it has its own."""

    @property
    def piece(self) -> str:
        """Name of its table."""
        return fold_piece_name(self.number, self.target, self.repeat, self.fold)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Bags of its encoder, and the target matrix."""
        return bags_name(self.configuration.encoder), TARGETS


def fold_piece_name(number: int, target: int, repeat: int, fold: int) -> str:
    """Name the table of a configuration on one fold of one target."""
    return f"mil.{number:03d}.{target:05d}.{repeat:04d}.{fold:03d}"


def bags_name(encoder: str) -> str:
    """Name the bags of an encoder among the shared inputs."""
    return f"bags of {encoder}"


def make_bag_job(
    pieces: TableFolder,
    bags: Mapping[str, Bags],
    matrix: TargetMatrix,
    configurations: Mapping[int, Configuration],
    variants: Mapping[str, MilSettings],
    seed: int,
    cpus: float,
    inner_folds: int = 0,
) -> UnitJob:
    """Lay out the folds of the configurations that are not done.

    Args:
        pieces: Of the run.
        bags: By encoder.
        matrix: Labels and folds.
        configurations: By their number.
        variants: Settings by the configurations' variants.
        seed: Seed of a head; the repeat is added.
        cpus: Of one unit.
        inner_folds: That heads on pooled vectors compete on; 0: there are none.
    """
    units = [
        BagUnit(
            number,
            target,
            repeat,
            fold,
            configuration,
            variants[configuration.variant],
            seed + repeat,
            max(1, int(cpus)),
            inner_folds,
        )
        for target, repeat, fold in itertools.product(
            range(len(matrix.target_names)), range(matrix.repeats), range(matrix.n_folds)
        )
        for number, configuration in configurations.items()
        if not matrix.lacks_repeat(target, repeat)
    ]
    first = next(iter(variants.values()))
    return UnitJob(
        pieces=pieces,
        work=predict_fold,
        inputs={bags_name(name): some for name, some in bags.items()} | {TARGETS: matrix},
        units=units,
        needs=Needs(cpus=cpus, gpus=1.0 if first.device == "cuda" else 0.0),
        competition=Competition(
            predict_watched_fold, fold_of, max(v.epochs for v in variants.values())
        )
        if len(variants) > 1
        else None,
    )


def list_unfinished(
    pieces: TableFolder, configurations: Mapping[int, Configuration], repeats: int
) -> dict[int, Configuration]:
    """List the configurations of which some repeat is not put together."""
    there = set(pieces.names())
    return {
        number: configuration
        for number, configuration in configurations.items()
        if any(f"{piece_name(number, repeat)}.parquet" not in there for repeat in range(repeats))
    }


def fold_of(unit: BagUnit) -> Hashable:
    """Name what a unit competes within: settings of one encoder on one fold of one target."""
    return unit.configuration.encoder, unit.target, unit.repeat, unit.fold


def predict_fold(unit: BagUnit, inputs: Inputs) -> pa.Table:
    """Train and predict one fold; the work of a job."""
    return predict_watched_fold(unit, inputs, keep_going)


def predict_watched_fold(unit: BagUnit, inputs: Inputs, watch: Watch) -> pa.Table:
    """Train and predict one fold, and report after each epoch."""
    with torch_threads(unit.threads):
        prediction = load_bag_head(unit.configuration.head).predict(_take_fold(unit, inputs, watch))
    return pa.table(
        {
            "predicted": [prediction.predicted[:, 0]],
            "choice": [float(prediction.choice[0])],
            "inner_score": [float(prediction.inner_score[0])],
        }
    )


def train_fold(unit: BagUnit, inputs: Inputs) -> pa.Table:
    """Train one fold as `predict_fold` does, and keep the head; the work of a job."""
    with torch_threads(unit.threads):
        data = _take_fold(unit, inputs, keep_going)
        head = load_bag_head(unit.configuration.head).train(data)
    return pa.table(
        {
            "head": pa.array([head.to_bytes()], pa.large_binary()),
            "choice": [float(np.mean(head.epochs))],
            "inner_score": [float(head.inner_score[0])],
        }
    )


def _take_fold(unit: BagUnit, inputs: Inputs, watch: Watch) -> MilFold:
    matrix: TargetMatrix = inputs[TARGETS]
    labels = matrix.targets[:, [unit.target]]
    own = matrix.fold_ids_of(unit.target)[unit.repeat]
    return MilFold(
        bags=inputs[bags_name(unit.configuration.encoder)],
        labels=labels,
        fold_ids=np.where(np.isnan(labels[:, 0]), -1, own),
        fold=unit.fold,
        settings=unit.settings,
        seed=unit.seed,
        report=watch,
        shared=share_folds(unit.seed - unit.repeat, unit.repeat, unit.fold, unit.inner_folds),
    )


def share_folds(seed: int, repeat: int, fold: int, inner_folds: int) -> SharedFolds | None:
    """Name the inner folds that heads on pooled vectors draw in a fold.

    Args:
        seed: Of the run.
        repeat: Which.
        fold: The test part.
        inner_folds: How many; 0: none are shared.
    """
    if not inner_folds:
        return None
    return SharedFolds(draw_inner_seed((seed, repeat, fold)), inner_folds)


def join_folds(pieces: TableFolder, matrix: TargetMatrix, numbers: Sequence[int]) -> None:
    """Put the folds of each configuration's repeats together; nan where a unit was stopped."""
    there = set(pieces.names())
    for number, repeat in itertools.product(numbers, range(matrix.repeats)):
        table = tabulate_repeat(_join_repeat(pieces, there, matrix, number, repeat))
        pieces.write(piece_name(number, repeat), [table], table.schema)


def _join_repeat(
    pieces: TableFolder, there: set[str], matrix: TargetMatrix, number: int, repeat: int
) -> RepeatPrediction:
    patients, count = matrix.targets.shape
    n_folds = matrix.n_folds
    predicted = np.full((patients, count), np.nan)
    choice, inner_score = np.full((n_folds, count), np.nan), np.full((n_folds, count), np.nan)
    for target, fold in itertools.product(range(count), range(n_folds)):
        name = fold_piece_name(number, target, repeat, fold)
        if f"{name}.parquet" not in there:
            continue
        row = pieces.read(name).to_pylist()[0]
        own = matrix.fold_ids_of(target)[repeat]
        tested = (own == fold) & ~np.isnan(matrix.targets[:, target])
        predicted[tested, target] = row["predicted"]
        choice[fold, target], inner_score[fold, target] = row["choice"], row["inner_score"]
    return RepeatPrediction(predicted, choice, inner_score)


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Give torch so many threads, and then those that it had."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
