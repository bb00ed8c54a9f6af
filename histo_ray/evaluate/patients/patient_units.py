"""Heads on pooled vectors: one repeat of one configuration is a unit of work."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from histo_ray.evaluate.jobs import Inputs, Needs
from histo_ray.learn.fold_data import PatientHeadSettings, RepeatPrediction
from histo_ray.learn.patient_heads import PatientData, predict_patient_repeat
from histo_ray.learn.targets.target_matrix import TargetMatrix
from histo_ray.store.tables import TableFolder

TARGETS = "targets"
"""Name of the target matrix among the shared inputs."""
COPIES = 6
"""Float64 copies of the features that a unit holds at most."""
LARGE_BYTES = 1 << 28
"""Units that hold more ask for their memory, so that no more are started at once than fit."""


@dataclass(frozen=True)
class PatientUnit:
    """One repeat of one configuration."""

    number: int
    """Number of the configuration among all of the run."""
    repeat: int
    features: str
    """Name of its features among the shared inputs."""
    settings: PatientHeadSettings
    seed: int

    @property
    def piece(self) -> str:
        """Name of its table."""
        return piece_name(self.number, self.repeat)

    @property
    def inputs(self) -> tuple[str, ...]:
        """Features and the target matrix."""
        return self.features, TARGETS


def piece_name(number: int, repeat: int) -> str:
    """Name the table of a configuration's repeat."""
    return f"{number:03d}.{repeat:04d}"


def predict_unit(unit: PatientUnit, inputs: Inputs) -> pa.Table:
    """Train and predict every fold of a repeat; the work of a job."""
    return tabulate_repeat(
        predict_repeat(
            inputs[unit.features], inputs[TARGETS], unit.repeat, unit.settings, unit.seed
        )
    )


def predict_repeat(
    features: npt.NDArray[np.float32],
    matrix: TargetMatrix,
    repeat: int,
    settings: PatientHeadSettings,
    seed: int,
) -> RepeatPrediction:
    """Predict one repeat by one configuration.

    Args:
        features: (P, D).
        matrix: Labels and folds.
        repeat: Which.
        settings: Settings of the head.
        seed: Seed of what the head draws.
    """
    known = None if matrix.covariates is None else matrix.covariates.values
    data = PatientData(
        features, matrix.targets, matrix.target_names, matrix.groups, matrix.sites, known
    )
    if matrix.fold_ids.ndim == 2:
        return predict_patient_repeat(data, matrix.fold_ids[repeat], settings, (seed, repeat))
    absent = RepeatPrediction(
        np.full((len(features), 1), np.nan), *(np.full((matrix.n_folds, 1), np.nan),) * 2
    )
    own = [
        predict_patient_repeat(
            replace(data, targets=matrix.targets[:, [t]], names=(name,)),
            matrix.fold_ids[t, repeat],
            settings,
            (seed, repeat),
        )
        if (matrix.fold_ids[t, repeat] >= 0).any()
        else absent
        for t, name in enumerate(matrix.target_names)
    ]
    return RepeatPrediction(*(np.concatenate(same, axis=1) for same in zip(*own, strict=True)))


def tabulate_repeat(prediction: RepeatPrediction) -> pa.Table:
    """Tabulate a repeat, a row a target: predictions of all patients, choices of all folds."""
    return pa.table(
        {
            "predicted": _lists(prediction.predicted.astype(np.float32)),
            "choice": _lists(prediction.choice),
            "inner_score": _lists(prediction.inner_score),
        }
    )


def read_choices(
    pieces: TableFolder, number: int, repeat: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Read what a configuration's repeat chose, and its inner scores, (F, T) each.

    The whole piece is held against its digest.

    Raises:
        StoreError: It is not there, or damaged.
    """
    table = pieces.read(piece_name(number, repeat), ("choice", "inner_score"))
    choice, score = (_columns(table[name]).astype(np.float64) for name in table.column_names)
    return choice, score


def read_predicted(
    pieces: TableFolder, number: int, repeat: int, first: int, out: npt.NDArray[np.float32]
) -> None:
    """Read the predictions of some targets in a configuration's repeat.

    Args:
        pieces: Of a run.
        number: Of the configuration.
        repeat: Which.
        first: First of the targets.
        out: (P, t) is filled.

    Raises:
        StoreError: The piece is not there, or cannot be read.
    """
    rows = slice(first, first + out.shape[1])
    out[:] = _columns(pieces.read_between(piece_name(number, repeat), rows, ("predicted",))[0])


def needs_of(
    features: Mapping[str, npt.NDArray[np.float32]],
    matrix: TargetMatrix,
    cpus: float,
    memory_gb: float | None,
) -> Needs:
    """What one repeat is given.

    Args:
        features: Of every encoder and pooling.
        matrix: Labels and folds.
        cpus: As asked for.
        memory_gb: As asked for; None: from the size of the features.
    """
    largest = max(values.size for values in features.values())
    needed = COPIES * 8 * (largest + matrix.targets.size)
    if memory_gb is not None:
        needed = int(memory_gb * 1e9)
    return Needs(cpus=cpus, memory_bytes=needed if needed > LARGE_BYTES else 0)


def list_patient_units(
    numbers: Mapping[int, str], settings: Mapping[int, PatientHeadSettings], repeats: int, seed: int
) -> Sequence[PatientUnit]:
    """List every repeat of every configuration.

    Args:
        numbers: Name of the features of each configuration, by its number.
        settings: Of its head.
        repeats: R.
        seed: Seed of what heads draw.
    """
    return [
        PatientUnit(number, repeat, features, settings[number], seed)
        for number, features in numbers.items()
        for repeat in range(repeats)
    ]


def _lists(values: npt.NDArray[np.floating]) -> pa.Array:
    """(n, T) as T lists of n."""
    flat = np.ascontiguousarray(values.T).reshape(-1)
    return pa.FixedSizeListArray.from_arrays(pa.array(flat), len(values))


def _columns(lists: pa.ChunkedArray) -> npt.NDArray[np.floating]:
    """(n, T) of T lists of n, the inverse of `_lists`."""
    whole = lists.combine_chunks()
    flat: npt.NDArray[np.floating] = whole.flatten().to_numpy()
    return flat.reshape(len(whole), -1).T
