"""MIL heads on bags: one configuration on one fold is a unit of work.

A unit has one target, or all of them where they are trained together (`MilKind.joint`) and share
their folds.
"""

import itertools
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch

from histo_ray.evaluate.jobs import Competition, Inputs, Needs, UnitJob, Watch
from histo_ray.evaluate.patients.patient_units import TARGETS, piece_name, tabulate_repeat
from histo_ray.learn.fold_data import RepeatPrediction
from histo_ray.learn.heads.registry import load_bag_head
from histo_ray.learn.mil.bags import Bags
from histo_ray.learn.mil.fold import BagPrediction, MilFold, SharedFolds
from histo_ray.learn.mil.kinds.registry import find_kind
from histo_ray.learn.mil.mil_settings import MilSettings
from histo_ray.learn.mil.stop_bags import mean_scores
from histo_ray.learn.mil.training import keep_going
from histo_ray.learn.patient_heads import draw_inner_seed
from histo_ray.learn.targets.configurations import Configuration
from histo_ray.learn.targets.target_matrix import TargetMatrix
from histo_ray.store.tables import TableFolder
from histo_ray.types import TargetKind

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class BagUnit:
    """One configuration on one fold of one target, or of all."""

    number: int
    """Number of the configuration among all of the run."""
    target: int | None
    """None: all together."""
    repeat: int
    fold: int
    configuration: Configuration
    settings: MilSettings
    kind: TargetKind
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


def fold_piece_name(number: int, target: int | None, repeat: int, fold: int) -> str:
    """Name the table of a configuration on one fold of one target, or of all."""
    which = "all" if target is None else f"{target:05d}"
    return f"mil.{number:03d}.{which}.{repeat:04d}.{fold:03d}"


def unit_target_of(matrix: TargetMatrix, kind: TargetKind, column: int) -> int | None:
    """Target of the unit that predicts a column: itself, or None for all together."""
    return None if find_kind(kind).joint and matrix.fold_ids.ndim == 2 else column


def list_unit_targets(matrix: TargetMatrix, kind: TargetKind) -> list[int | None]:
    """List the targets of units: each, or None for all together."""
    columns = range(len(matrix.target_names))
    return list(dict.fromkeys(unit_target_of(matrix, kind, column) for column in columns))


def columns_of(matrix: TargetMatrix, target: int | None) -> list[int]:
    """Columns of a unit's targets."""
    return list(range(len(matrix.target_names))) if target is None else [target]


def fold_rows(matrix: TargetMatrix, target: int | None, repeat: int) -> npt.NDArray[np.integer]:
    """Fold of each patient in a unit's repeat, (P,); -1 without a label of its targets."""
    columns = columns_of(matrix, target)
    own = matrix.fold_ids_of(columns[0])[repeat]
    return np.where(np.isnan(matrix.targets[:, columns]).all(1), -1, own)


def bags_name(encoder: str) -> str:
    """Name the bags of an encoder among the shared inputs."""
    return f"bags of {encoder}"


def make_bag_job(
    pieces: TableFolder,
    bags: Mapping[str, Bags],
    matrix: TargetMatrix,
    configurations: Mapping[int, Configuration],
    variants: Mapping[str, MilSettings],
    kind: TargetKind,
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
        kind: Of the targets.
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
            kind,
            seed + repeat,
            max(1, int(cpus)),
            inner_folds,
        )
        for target, repeat, fold in itertools.product(
            list_unit_targets(matrix, kind), range(matrix.repeats), range(matrix.n_folds)
        )
        for number, configuration in configurations.items()
        if target is None or not matrix.lacks_repeat(target, repeat)
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
    data = _take_fold(unit, inputs, watch)
    with torch_threads(unit.threads):
        prediction = load_bag_head(unit.configuration.head).predict(data)
    return _tabulate(prediction, data.labels[data.fold_ids == data.fold], unit.kind)


def train_fold(unit: BagUnit, inputs: Inputs) -> pa.Table:
    """Train one fold as `predict_fold` does, and keep the head; the work of a job."""
    with torch_threads(unit.threads):
        data = _take_fold(unit, inputs, keep_going)
        head = load_bag_head(unit.configuration.head).train(data)
    return pa.table(
        {
            "head": pa.array([head.to_bytes()], pa.large_binary()),
            "choice": [float(np.mean(head.epochs))],
            "inner_score": [head.inner_score],
        }
    )


def _take_fold(unit: BagUnit, inputs: Inputs, watch: Watch) -> MilFold:
    matrix: TargetMatrix = inputs[TARGETS]
    return MilFold(
        bags=inputs[bags_name(unit.configuration.encoder)],
        labels=matrix.targets[:, columns_of(matrix, unit.target)],
        fold_ids=fold_rows(matrix, unit.target, unit.repeat),
        fold=unit.fold,
        settings=unit.settings,
        seed=unit.seed,
        report=watch,
        shared=share_folds(unit.seed - unit.repeat, unit.repeat, unit.fold, unit.inner_folds),
        kind=unit.kind,
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


def _tabulate(prediction: BagPrediction, labels: Floats, kind: TargetKind) -> pa.Table:
    """Tabulate a fold, a row a target.

    Args:
        prediction: Of the fold.
        labels: (m, T) of its test part, by which members are scored.
        kind: Of the targets.
    """
    targets, members = len(prediction.choice), prediction.member_predicted
    scores = np.array([find_kind(kind).score_test(labels, one) for one in members])
    spread = members.std(0, ddof=1) if len(members) > 1 else np.full(labels.shape, np.nan)
    return pa.table(
        {
            "predicted": list(prediction.predicted.T),
            "choice": prediction.choice,
            "inner_score": prediction.inner_score,
            "seeds": pa.array([prediction.seeds] * targets, pa.list_(pa.int64())),
            "member_epochs": pa.array([prediction.member_epochs] * targets, pa.list_(pa.int64())),
            "member_inner_scores": list(prediction.member_inner_scores.T),
            "member_scores": list(scores.T),
            "prediction_sd": mean_scores(spread),
        }
    )


def join_folds(
    pieces: TableFolder, matrix: TargetMatrix, kind: TargetKind, numbers: Sequence[int]
) -> None:
    """Put the folds of each configuration's repeats together; nan where a unit was stopped."""
    there = set(pieces.names())
    for number, repeat in itertools.product(numbers, range(matrix.repeats)):
        table = tabulate_repeat(_join_repeat(pieces, there, matrix, kind, number, repeat))
        pieces.write(piece_name(number, repeat), [table], table.schema)


def _join_repeat(
    pieces: TableFolder,
    there: set[str],
    matrix: TargetMatrix,
    kind: TargetKind,
    number: int,
    repeat: int,
) -> RepeatPrediction:
    patients, count = matrix.targets.shape
    n_folds = matrix.n_folds
    predicted = np.full((patients, count), np.nan)
    choice, inner_score = np.full((n_folds, count), np.nan), np.full((n_folds, count), np.nan)
    for target, fold in itertools.product(list_unit_targets(matrix, kind), range(n_folds)):
        name = fold_piece_name(number, target, repeat, fold)
        if f"{name}.parquet" not in there:
            continue
        rows = pieces.read(name)
        columns = np.array(columns_of(matrix, target))
        tested = np.flatnonzero(fold_rows(matrix, target, repeat) == fold)
        predicted[np.ix_(tested, columns)] = np.transpose(rows["predicted"].to_pylist())
        choice[fold, columns] = rows["choice"].to_numpy()
        inner_score[fold, columns] = rows["inner_score"].to_numpy()
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
