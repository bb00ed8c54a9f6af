"""All that is known of an evaluation of patients before the first head is trained."""

from dataclasses import dataclass
from functools import cached_property

from histo_ray.cohort.patient_folds import OutcomeFolds
from histo_ray.evaluate.patient_data import Patients, StoredSlides, task_of
from histo_ray.evaluate.patient_settings import ExpressionConfig, MutationConfig
from histo_ray.learn.configurations import Configuration
from histo_ray.learn.mil.settings import MilSettings
from histo_ray.learn.target_truth import TargetTruth


@dataclass(frozen=True)
class OutcomePlan:
    """All that is known before the first head is trained."""

    config: ExpressionConfig | MutationConfig
    found: list[StoredSlides]
    patients: Patients
    folds: OutcomeFolds
    configurations: list[Configuration]
    variants: dict[str, MilSettings]
    """Settings of attention heads, by name."""
    permutations: int

    @cached_property
    def truth(self) -> TargetTruth:
        """Labels, folds, and what is kept in one fold."""
        patients, labels = self.patients, self.patients.labels
        sites = patients.groups if self.config.keep_together == "site" else None
        alone = len(set(patients.groups)) == len(patients.groups)
        return TargetTruth(
            task_of(self.config),
            labels.targets,
            labels.values,
            self.folds.parts,
            sites,
            None if alone else patients.groups,
        )
