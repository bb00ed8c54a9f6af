"""Heads of an evaluation that did not see a patient: fitted again, fold by fold, as in the run.

A run keeps its predictions and throws its heads away. Everything that decided them is recorded or
drawn from recorded seeds, so the same heads come again; that they do is checked for each patient
against the run's own predictions.
"""

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.special import logit
from threadpoolctl import threadpool_limits

from histo_ray.deferred import deferred
from histo_ray.errors import ConfigError, StoreError
from histo_ray.evaluate.patients.inner_choice import count_shared_folds, make_head_settings
from histo_ray.evaluate.patients.patient_features import BAGS, load_bags
from histo_ray.evaluate.patients.patient_run import PreparedTargets, make_target_matrix
from histo_ray.evaluate.patients.patient_tables import name_head
from histo_ray.learn.fit_heads import fit_patient_fold
from histo_ray.learn.heads.linear_fit import LinearFit, Link
from histo_ray.learn.heads.registry import load_bag_head, load_patient_head
from histo_ray.learn.mil.networks.registry import check_attends
from histo_ray.learn.patient_heads import PatientData
from histo_ray.learn.targets.configurations import Configuration
from histo_ray.learn.targets.target_matrix import TargetMatrix
from histo_ray.predict.heat.target_heads import (
    KIND_LINKS,
    TargetHeads,
    as_out_of_fold,
    gather_heads,
)
from histo_ray.store.half_floats import Float32s
from histo_ray.text import count_of, did_you_mean, name_some

if TYPE_CHECKING:
    from histo_ray.learn.mil.bags import Bags
    from histo_ray.learn.mil.head import MilHead

_mil_fold = deferred("histo_ray.learn.mil.fold:MilFold")
_share_folds = deferred("histo_ray.evaluate.patients.bag_units:share_folds")
_torch_threads = deferred("histo_ray.evaluate.patients.bag_units:torch_threads")
_unit_target = deferred("histo_ray.evaluate.patients.bag_units:unit_target_of")
_columns_of = deferred("histo_ray.evaluate.patients.bag_units:columns_of")
_fold_rows = deferred("histo_ray.evaluate.patients.bag_units:fold_rows")

AGREEMENT = 1e-3
"""Largest difference from the run's predictions, which are float32; beyond, it is another head."""
_OUTPUT = "head_output"
_COLUMNS = ("patient_id", "repeat", "fold", "predicted", "pooling", "head")


class Tested(NamedTuple):
    """One prediction of a run: of a patient, in one repeat."""

    repeat: int
    fold: int
    predicted: float
    configuration: int
    """Number of the one that was selected for the fold."""


class OutOfFold:
    """The heads of one target and encoder of an evaluation, fold by fold."""

    def __init__(self, prepared: PreparedTargets, target: str, encoder: str) -> None:
        """Read what the run says of a target; heads are fitted when they are asked for.

        Args:
            prepared: The evaluation, joined again; see `prepare_again`.
            target: Which; of columns of several classes one of these.
            encoder: Its name in the store.

        Raises:
            ConfigError: The run has no such target or encoder.
            StoreError: Its predictions cannot be read.
        """
        part = prepared.find_part(target) or prepared.parts[0]
        plan, names = part.plan, list(prepared.outputs)
        encoders = [slides.encoder for slides in plan.found]
        for flag, asked, known in (("target", target, names), ("encoder", encoder, encoders)):
            if asked not in known:
                raise ConfigError(
                    f"--{flag} {asked}: not in run {_run_id(prepared)}; it has "
                    f"{name_some(known)}{did_you_mean(asked, known)}"
                )
        if plan.config.harmonise != "none":
            raise ConfigError(
                f"run {_run_id(prepared)}: its features are harmonised by site in each fold "
                f"({plan.config.harmonise}), which tiles cannot be; give a run without --harmonise"
            )
        self.prepared = part
        self.target = target
        self.encoder = encoder
        self.patients = plan.patients.cohort.patients
        self._column = plan.outputs.index(target)
        self._link = KIND_LINKS[plan.task.kind]
        self._fits: dict[tuple[int, int, int], LinearFit] = {}
        self._bag_heads: dict[tuple[int, int, int], MilHead] = {}

    def find_tested(self, patient: str) -> list[Tested]:
        """Find what the run predicted of a patient; no head is fitted.

        Raises:
            ConfigError: Nothing, or a MIL network that cannot say what a tile adds did.
            StoreError: Its predictions cannot be read.
        """
        tested = self.predictions.get(patient, [])
        if not tested:
            raise ConfigError(
                f"patient {patient}: run {_run_id(self.prepared)} has no prediction of "
                f"{self.target} by {self.encoder}, as there is no label; choose slides of the "
                f"{count_of(len(self.predictions), 'patient')} that it predicted "
                f"({name_some(list(self.predictions))})"
            )
        for one in tested:
            configuration = self._configurations[one.configuration]
            if configuration.pooling == BAGS:
                check_attends(self.prepared.plan.variants[configuration.variant].network)
        return tested

    def heads_of(self, patient: str, most: int | None = None) -> TargetHeads:
        """Heads that the patient was predicted by, one a repeat; none was trained on the patient.

        Args:
            patient: Who.
            most: Of the first so many repeats alone; None: of all.

        Raises:
            ConfigError: The run did not predict the patient.
            StoreError: The heads predict otherwise than the run.
        """
        tested = self.find_tested(patient)
        linear: list[tuple[str, LinearFit]] = []
        bags: list[MilHead] = []
        row = self.patients.index(patient)
        for one in tested[:most]:
            configuration = self._configurations[one.configuration]
            if configuration.pooling == BAGS:
                bag_head = self._fit_bags(one)
                bags.append(bag_head)
                predicted = float(bag_head.predict([self.bags.vectors[row]])[0, 0])
            else:
                fit = self._fit(one)
                linear.append((configuration.pooling, fit))
                vectors = self.prepared.features[self.encoder, configuration.pooling]
                predicted = float(fit.predict(vectors[[row]])[0, 0])
            self._check(patient, one, predicted)
        origin = _run_id(self.prepared)
        return as_out_of_fold(
            gather_heads(self.target, origin, self._link, linear, bags, self._average)
        )

    def pooled_vector(self, patient: str, pooling: str) -> Float32s:
        """Vector of a patient, (D,), as heads were given it."""
        found: Float32s = self.prepared.features[self.encoder, pooling][
            self.patients.index(patient)
        ]
        return found

    @cached_property
    def predictions(self) -> dict[str, list[Tested]]:
        """What the run predicted, by patient."""
        output = self.prepared.plan.truth.layout.outputs[self._column]
        wanted = {"target": output.target, "encoder": self.encoder}
        columns: tuple[str, ...] = _COLUMNS
        if output.label:  # probabilities of several classes are made to add up to 1
            wanted["class"] = output.label
            columns = tuple(_OUTPUT if name == "predicted" else name for name in _COLUMNS)
        table = self.prepared.folder.read_rows("predictions", columns, wanted)
        table = table.rename_columns([*_COLUMNS])
        numbers = {(c.pooling, name_head(c)): at for at, c in self._configurations.items()}
        found: dict[str, list[Tested]] = {}
        for row in sorted(table.to_pylist(), key=lambda row: row["repeat"]):
            number = numbers[row["pooling"], row["head"]]
            one = Tested(row["repeat"], row["fold"], row["predicted"], number)
            found.setdefault(row["patient_id"], []).append(one)
        return found

    @cached_property
    def _configurations(self) -> dict[int, Configuration]:
        listed = enumerate(self.prepared.plan.configurations)
        return {at: one for at, one in listed if one.encoder == self.encoder}

    @cached_property
    def _matrix(self) -> TargetMatrix:
        return make_target_matrix(self.prepared.plan)

    @cached_property
    def bags(self) -> "Bags":
        """Tiles of each patient, as attention heads are given them."""
        plan = self.prepared.plan
        own = [slides for slides in plan.found if slides.encoder == self.encoder]
        most = plan.task.bag_tiles(plan.config)
        return load_bags(self.prepared.store, own, plan.patients, most, plan.config.seed)[
            self.encoder
        ]

    @cached_property
    def _average(self) -> float:
        labels = self._matrix.targets[:, self._column]
        mean = float(np.nanmean(labels))
        return float(logit(mean)) if self._link is Link.LOGISTIC else mean

    def _fit(self, one: Tested) -> LinearFit:
        """Fit the head of a fold again, or take it from before."""
        key = (one.configuration, one.repeat, one.fold)
        if key not in self._fits:
            with threadpool_limits(1):  # as a unit of the run had
                fits = list(self._fit_all(*key))
            for fit in fits:
                if self.target in fit.targets:
                    self._fits[key] = fit.take([fit.targets.index(self.target)])
        return self._fits[key]

    def _fit_all(self, number: int, repeat: int, fold: int) -> Iterator[LinearFit]:
        configuration, matrix = self._configurations[number], self._matrix
        config = self.prepared.plan.config
        joint = load_patient_head(configuration.head).joint and matrix.fold_ids.ndim == 2
        columns = np.arange(len(matrix.target_names)) if joint else np.array([self._column])
        data = PatientData(
            self.prepared.features[self.encoder, configuration.pooling],
            matrix.targets[:, columns],
            tuple(matrix.target_names[column] for column in columns.tolist()),
            matrix.groups,
        )
        settings = make_head_settings(self.prepared.plan, configuration)
        ids = matrix.fold_ids_of(self._column)[repeat]
        yield from fit_patient_fold(data, ids, fold, settings, (config.seed, repeat))

    def _fit_bags(self, one: Tested) -> "MilHead":
        """Train the attention head of a fold again, or take it from before."""
        key = (one.configuration, one.repeat, one.fold)
        if key not in self._bag_heads:
            plan, matrix = self.prepared.plan, self._matrix
            configuration = self._configurations[one.configuration]
            target = _unit_target(matrix, plan.output_kind, self._column)
            columns = _columns_of(matrix, target)
            fold = _mil_fold(
                bags=self.bags,
                labels=matrix.targets[:, columns],
                fold_ids=_fold_rows(matrix, target, one.repeat),
                fold=one.fold,
                settings=plan.variants[configuration.variant],
                seed=plan.config.seed + one.repeat,
                shared=_share_folds(
                    plan.config.seed, one.repeat, one.fold, count_shared_folds(plan)
                ),
                kind=plan.output_kind,
            )
            with threadpool_limits(1), _torch_threads(1):
                head: MilHead = load_bag_head(configuration.head).train(fold)
            self._bag_heads[key] = head.take([columns.index(self._column)])
        return self._bag_heads[key]

    def _check(self, patient: str, one: Tested, predicted: float) -> None:
        if abs(predicted - one.predicted) <= AGREEMENT * max(1.0, abs(one.predicted)):
            return
        raise StoreError(
            f"patient {patient}, repeat {one.repeat}: the head of {self.target} that was fitted "
            f"again predicts {predicted:.6g}, but run {_run_id(self.prepared)} says "
            f"{one.predicted:.6g}; use the version, packages and kind of device of the run "
            "(run.json names them), or evaluate again"
        )


def _run_id(prepared: PreparedTargets) -> str:
    return prepared.folder.folder.rpartition("/")[2]
