"""One repeat of one configuration: what a task does, and the table that it leaves behind.

Apart from the search, so that the processes of tasks need not import Ray Tune.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from threadpoolctl import threadpool_limits

from histo_ray.learn.patient_heads import (
    PatientData,
    PatientHeadSettings,
    RepeatPrediction,
    predict_patient_repeat,
)
from histo_ray.store.tables import TableFolder


class Answers(NamedTuple):
    """What is to be predicted of the patients, and when each is judged."""

    targets: npt.NDArray[np.float64]
    """(P, T); nan where a patient has no label."""
    names: tuple[str, ...]
    """(T,) of the targets."""
    parts: npt.NDArray[np.int32]
    """(R, P) fold of each patient, or (T, R, P) where targets have folds of their own; there -1
    where a patient has no label, and in all of a repeat that the target lacks."""
    groups: tuple[str, ...] | None
    """(P,) what stays together in inner folds too; None: each patient is on its own."""

    @property
    def repeats(self) -> int:
        """Distinct splits; a target with folds of its own may lack some of them."""
        return int(self.parts.shape[-2])

    @property
    def n_folds(self) -> int:
        """Folds of a repeat."""
        return int(self.parts.max()) + 1


def judge_repeat(
    features: npt.NDArray[np.float32],
    answers: Answers,
    repeat: int,
    settings: PatientHeadSettings,
    seed: int,
) -> RepeatPrediction:
    """One repeat of one configuration. Plain; no Ray.

    Args:
        features: (P, D).
        answers: What is to be predicted.
        repeat: Which.
        settings: Of the head.
        seed: Of what the head draws.
    """
    data = PatientData(features, answers.targets, answers.names, answers.groups)
    if answers.parts.ndim == 2:
        return predict_patient_repeat(data, answers.parts[repeat], settings, (seed, repeat))
    absent = RepeatPrediction(
        np.full((len(features), 1), np.nan), *(np.full((answers.n_folds, 1), np.nan),) * 2
    )
    own = [
        predict_patient_repeat(
            PatientData(features, answers.targets[:, [t]], (name,), answers.groups),
            answers.parts[t, repeat],
            settings,
            (seed, repeat),
        )
        if (answers.parts[t, repeat] >= 0).any()
        else absent
        for t, name in enumerate(answers.names)
    ]
    return RepeatPrediction(*(np.concatenate(same, axis=1) for same in zip(*own, strict=True)))


def piece_name(number: int, repeat: int) -> str:
    """Name of the table of a configuration's repeat."""
    return f"{number:03d}.{repeat:04d}"


def write_answer(pieces: TableFolder, name: str, answer: RepeatPrediction) -> None:
    """One row a target: predictions of all patients, and what was chosen in each fold."""
    columns = {
        "predicted": _lists(answer.predicted.astype(np.float32)),
        "choice": _lists(answer.choice),
        "inner_score": _lists(answer.inner_score),
    }
    table = pa.table(columns)
    pieces.write(name, [table], table.schema)


def read_answer(pieces: TableFolder, number: int, repeat: int) -> RepeatPrediction:
    """The inverse of `write_answer`; predictions are float32.

    Raises:
        StoreError: It is not there, or damaged.
    """
    table = pieces.read(piece_name(number, repeat))
    return RepeatPrediction(
        *(
            np.stack(table[name].combine_chunks().to_numpy(zero_copy_only=False), axis=1)
            for name in ("predicted", "choice", "inner_score")
        )
    )


def _lists(values: npt.NDArray[np.floating]) -> pa.Array:
    """(n, T) as T lists of n."""
    flat = np.ascontiguousarray(values.T).reshape(-1)
    return pa.FixedSizeListArray.from_arrays(pa.array(flat), len(values))


def write_repeat(
    pieces: TableFolder,
    name: str,
    repeat: int,
    features: npt.NDArray[np.float32],
    answers: Answers,
    settings: PatientHeadSettings,
    seed: int,
) -> float:
    """Judge one repeat on one CPU and write the answer; its mean inner score."""
    with threadpool_limits(1):
        answer = judge_repeat(features, answers, repeat, settings, seed)
    write_answer(pieces, name, answer)
    finite = answer.inner_score[np.isfinite(answer.inner_score)]
    return float(finite.mean()) if len(finite) else float("nan")
