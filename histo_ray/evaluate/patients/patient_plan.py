"""All that is known of an evaluation of patients before the first head is trained."""

from dataclasses import dataclass, field
from functools import cached_property

from histo_ray.cohort.patient_folds import OutcomeFolds
from histo_ray.evaluate.patients.patient_cohort import Patients, StoredSlides
from histo_ray.evaluate.patients.patient_settings import PatientConfig
from histo_ray.evaluate.patients.subgroup_columns import Subgroups
from histo_ray.evaluate.tasks.patient_task import PatientTask
from histo_ray.learn.covariates import Covariates
from histo_ray.learn.mil.mil_settings import MilSettings
from histo_ray.learn.targets.configurations import Configuration
from histo_ray.learn.targets.target_truth import TargetTruth
from histo_ray.types import TargetKind
from histo_ray.types.target_kind import OUTPUT_KINDS


@dataclass(frozen=True)
class PatientPlan:
    """All that is known before the first head is trained."""

    task: PatientTask
    config: PatientConfig
    found: list[StoredSlides]
    """Slides of each encoder."""
    patients: Patients
    folds: OutcomeFolds
    configurations: list[Configuration]
    variants: dict[str, MilSettings]
    """Settings of attention heads, by name."""
    permutations: int
    subgroups: Subgroups = field(default_factory=lambda: Subgroups({}))
    """What scores are given by, beside those of all patients."""
    covariates: Covariates | None = None
    """What is known of the patients beside their slides."""

    @property
    def targets(self) -> tuple[str, ...]:
        """(T,) names."""
        return self.patients.labels.targets

    @property
    def groups(self) -> tuple[str, ...] | None:
        """(P,) what is kept in one fold together; None: each patient is alone."""
        groups = self.patients.groups
        return None if len(set(groups)) == len(groups) else groups

    @property
    def sites(self) -> tuple[str, ...] | None:
        """(P,) groups, where whole sites are kept in one fold."""
        return self.patients.groups if self.config.keep_together == "site" else None

    @property
    def harmonised_sites(self) -> tuple[str, ...] | None:
        """(P,) site whose features are made alike, empty where unknown; None: none are."""
        if self.config.harmonise == "none":
            return None
        return tuple(" + ".join(sites) for sites in self.patients.cohort.sites)

    @cached_property
    def truth(self) -> TargetTruth:
        """Labels, folds, and what is kept in one fold."""
        labels = self.patients.labels
        return TargetTruth(
            self.task.name,
            labels.targets,
            labels.values,
            self.folds.fold_ids,
            self.sites,
            self.groups,
            kind=self.task.kind,
            classes=labels.classes,
        )

    @property
    def output_kind(self) -> TargetKind:
        """Kind of what heads are trained on: classes are coded as outputs of 0 and 1."""
        return OUTPUT_KINDS.get(self.task.kind, self.task.kind)

    @property
    def outputs(self) -> tuple[str, ...]:
        """(O,) names of what heads are trained on: the targets, or classes of them."""
        return tuple(output.name for output in self.truth.layout.outputs)
