"""Ensembles of MIL heads: those of the folds of a cross-validation, trained again and kept.

They are the very heads whose out-of-fold predictions were scored, calibrated, and given
thresholds. Each has stopped on other held-out bags, so there is no single head "of all patients"
that would be better founded; and a patient of the training cohort can be shown by the one head that
did not see this patient.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from histo_ray.config import digest
from histo_ray.evaluate.engine import run_job
from histo_ray.evaluate.jobs import Host
from histo_ray.evaluate.patients.bag_units import (
    BagUnit,
    columns_of,
    fold_piece_name,
    list_unit_targets,
    make_bag_job,
    train_fold,
)
from histo_ray.evaluate.patients.inner_choice import count_shared_folds
from histo_ray.evaluate.patients.patient_features import load_bags
from histo_ray.evaluate.patients.patient_run import PreparedPatients
from histo_ray.learn.mil.head import MilHead, read_head
from histo_ray.learn.mil.stop_bags import mean_scores
from histo_ray.learn.targets.configurations import Configuration
from histo_ray.learn.targets.target_matrix import TargetMatrix
from histo_ray.store.layout import FITS
from histo_ray.store.tables import TableFolder


@dataclass(frozen=True)
class Ensemble:
    """The heads of one configuration, for one target or for several that are trained together."""

    targets: tuple[int, ...]
    """(T,) their numbers."""
    members: tuple[MilHead, ...]
    """By repeat, then fold; each is itself the mean of `--mil members` networks."""
    choice: float
    """Mean epoch that the networks' weights are from."""
    inner_score: npt.NDArray[np.float64]
    """(T,) mean over the heads; nan where none has a score."""

    def take(self, targets: Sequence[int]) -> "Ensemble":
        """The same for some of its targets."""
        at = [self.targets.index(target) for target in targets]
        heads = tuple(head.take(at) for head in self.members)
        return Ensemble(tuple(targets), heads, self.choice, self.inner_score[at])


def train_ensembles(
    prepared: PreparedPatients,
    configurations: Mapping[int, Configuration],
    repeats: int,
    host: Host,
) -> dict[int, list[Ensemble]]:
    """Train the heads of some repeats again, and keep them.

    Args:
        prepared: Patients, labels and folds.
        configurations: Those on bags, by their number in the run.
        repeats: How many repeats; a target with fewer distinct splits has fewer.
        host: Where it is done.

    Returns:
        By number of the configuration: together they have all targets, each once.
    """
    if not configurations:
        return {}
    plan, matrix = prepared.plan, prepared.matrix
    config = plan.config
    kept = {
        target: _count_repeats(matrix, target or 0, repeats)
        for target in list_unit_targets(matrix, plan.output_kind)
    }
    name = digest([prepared.folder.folder, repeats])[:16]
    folder = TableFolder(prepared.store.root, FITS)
    most = plan.task.bag_tiles(config)
    job = make_bag_job(
        folder.child(name),
        load_bags(prepared.store, plan.found, plan.patients, most, config.seed),
        matrix,
        configurations,
        plan.variants,
        plan.output_kind,
        config.seed,
        config.cpus_per_repeat,
        count_shared_folds(plan),
    )
    units = [unit for unit in job.units if _is_kept(unit, kept)]
    run_job(replace(job, units=units, work=train_fold, competition=None), host.spread, host.report)
    found = {
        number: [
            _read(folder.child(name), number, target, count, matrix)
            for target, count in kept.items()
        ]
        for number in configurations
    }
    folder.delete(name)
    return found


def _is_kept(unit: object, kept: Mapping[int | None, int]) -> bool:
    return isinstance(unit, BagUnit) and unit.repeat < kept.get(unit.target, 0)


def _count_repeats(matrix: TargetMatrix, target: int, most: int) -> int:
    """Repeats from the first on that a target has, without a gap."""
    count = 0
    while count < min(most, matrix.repeats) and not matrix.lacks_repeat(target, count):
        count += 1
    return count


def _read(
    pieces: TableFolder, number: int, target: int | None, repeats: int, matrix: TargetMatrix
) -> Ensemble:
    rows = []
    for repeat, fold in np.ndindex(repeats, matrix.n_folds):
        rows += pieces.read(fold_piece_name(number, target, repeat, fold)).to_pylist()
    return Ensemble(
        tuple(columns_of(matrix, target)),
        tuple(read_head(row["head"], f"{pieces.folder}: a trained head") for row in rows),
        float(np.mean([row["choice"] for row in rows])),
        mean_scores([np.array(row["inner_score"], np.float64) for row in rows]),
    )
