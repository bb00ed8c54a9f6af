"""What all tasks on patients share: labels from a table, features from a store of slides."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from histo_ray.deferred import deferred
from histo_ray.errors import ConfigError
from histo_ray.evaluate.caveats import Caveat
from histo_ray.evaluate.evaluation_record import PatientRecord
from histo_ray.evaluate.jobs import Host, PreparedRun
from histo_ray.evaluate.patients.bag_settings import BagConfig
from histo_ray.evaluate.patients.mil_variants import parse_variants
from histo_ray.evaluate.patients.patient_settings import PatientConfig
from histo_ray.evaluate.tasks.base import Task, TaskWords
from histo_ray.learn.heads.registry import trains_on_bags
from histo_ray.learn.mil.mil_settings import MilSettings
from histo_ray.types import TargetKind
from histo_ray.types.target_kind import OUTPUT_KINDS

if TYPE_CHECKING:
    from histo_ray.cohort.patient_folds import OutcomeFolds
    from histo_ray.labels.label_table import LabelTable
    from histo_ray.store.tables import TableFolder

Values = npt.NDArray[np.float64]
_prepare = deferred("histo_ray.evaluate.patients.patient_run:prepare_patients")
_check_inputs = deferred("histo_ray.evaluate.patients.check_inputs:check_patient_inputs")
_prepare_labels = deferred("histo_ray.cohort.usable_targets:prepare_labels")


class PatientTask(Task):
    """One kind of targets of patients."""

    record = PatientRecord
    kind: ClassVar[TargetKind]
    """What the values of its targets are: decides metric, chance level and tests."""
    takes_covariates: ClassVar[bool] = False
    """Whether `--covariate` adds rows of covariates and of images beyond them."""
    takes_harmonise: ClassVar[bool] = True
    """Whether `--harmonise` is for it."""
    deciding: ClassVar[tuple[str, ...]] = ()
    """Settings of its own that bear on tables beside labels, folds and configurations."""

    def check_inputs(self, config: PatientConfig) -> None:
        """See that store and files are there, and that settings of MIL have a MIL head."""
        if isinstance(config, BagConfig) and config.mil and not self.bag_tiles(config):
            raise ConfigError(
                f"--mil {' '.join(config.mil)}: has no say without --head mil; add that, or leave "
                "--mil out"
            )
        _check_inputs(config)

    def prepare(self, config: PatientConfig, host: Host) -> PreparedRun:
        """Join slides and labels, draw folds, pool features."""
        prepared: PreparedRun = _prepare(self, config, host)
        return prepared

    @abstractmethod
    def read_labels(self, config: Any, known: set[str]) -> "LabelTable":
        """Read the label table.

        Args:
            config: Of the task.
            known: Patients of the store.
        """

    def read_truth(
        self, config: Any, known: set[str], kind: str, columns: Mapping[str, tuple[str, ...]]
    ) -> "LabelTable":
        """Read the labels that a predictor's predictions are held against.

        Args:
            config: Of the task.
            known: Patients that were predicted.
            kind: What is predicted, as the predictor's card says it.
            columns: Classes of the columns of labels that are predicted; empty of other targets.
        """
        return self.read_labels(config, known)

    def prepare_labels(
        self, labels: "LabelTable", config: Any, groups: Sequence[str]
    ) -> "LabelTable":
        """Bring the labels of the patients that are used to what heads are trained on.

        Args:
            labels: Of these patients.
            config: Of the task.
            groups: (P,) what stays in one fold.
        """
        usable: LabelTable = _prepare_labels(labels, config.folds, config, groups)
        return usable

    @abstractmethod
    def draw_folds(
        self,
        values: Values,
        targets: Sequence[str],
        n_folds: int,
        repeats: int,
        seed: int,
        groups: Sequence[str],
    ) -> "OutcomeFolds":
        """Draw stratified folds, shared by all targets or each target's own.

        Args:
            values: (P, T) labels.
            targets: (T,) names.
            n_folds: Folds of a repeat.
            repeats: How often.
            seed: Seed of the draw.
            groups: (P,) what stays in one fold.

        Raises:
            ConfigError: There are too few patients, groups, or patients of a class.
        """

    def try_folds(
        self, labels: "LabelTable", n_folds: int, seed: int, groups: Sequence[str]
    ) -> None:
        """See whether folds can be drawn; of many targets those that are hardest.

        Raises:
            ConfigError: They cannot.
        """
        self.draw_folds(labels.values, labels.targets, n_folds, 1, seed, groups)

    def count_permutations(self, config: Any) -> int:
        """Count the targets with permuted labels that tell chance; 0: a t-test does instead."""
        return 0

    def list_variants(self, config: Any) -> dict[str, MilSettings]:
        """List the settings of MIL heads that compete, by name: all combinations of `--mil`.

        Raises:
            ConfigError: Some are none, or of a network that does not predict such targets.
        """
        texts = config.mil if isinstance(config, BagConfig) else ()
        kind = OUTPUT_KINDS.get(self.kind, self.kind)
        return parse_variants(texts, kind if self.bag_tiles(config) else None)

    def bag_tiles(self, config: Any) -> int:
        """Most tiles of a patient that MIL heads see; 0: there are no such heads."""
        bags = isinstance(config, BagConfig) and any(map(trains_on_bags, config.head_names))
        return config.bag_tiles if bags else 0

    def transform(self, config: Any) -> str:
        """Name what is done to the labels before a head is trained on them; empty: nothing."""
        return ""

    def split_record(self, record: PatientRecord) -> list[tuple[TaskWords, PatientRecord]]:
        """Split a record into parts that are told in their own words; most have one."""
        return [(self.words, record)]

    def choose_words(self, record: PatientRecord) -> TaskWords:
        """Choose the words of scores by site or group: those of its part, where it has one."""
        parts = self.split_record(record)
        if len(parts) > 1:
            return self.words
        return replace(parts[0][0], title=self.words.title)

    def find_caveats(self, config: Any, targets: Sequence[str], values: Values) -> Iterator[Caveat]:
        """Find the caveats of this kind of targets."""
        return iter(())

    def write_more(self, prepared: PreparedRun, pieces: "TableFolder") -> None:
        """Write tables that only this kind of targets has, into the run's folder.

        Args:
            prepared: As `prepare` made it: patients, labels, folds and features.
            pieces: Predictions of the units of work.
        """
