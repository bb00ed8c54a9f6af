"""An evaluation of patients: embeddings and labels in, tables and a record out."""

import hashlib
import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from histo_ray.config import digest
from histo_ray.evaluate.caveats import Caveat
from histo_ray.evaluate.evaluation_record import ConfigurationRecord, FoldsRecord, PatientRecord
from histo_ray.evaluate.events import CheckingVectors
from histo_ray.evaluate.jobs import Host, PreparedRun, Tell, UnitJob
from histo_ray.evaluate.leaks import check_patients
from histo_ray.evaluate.patients.covariate_inputs import read_covariates
from histo_ray.evaluate.patients.covariate_plan import check_settings, list_covariate_rows
from histo_ray.evaluate.patients.inner_choice import (
    count_shared_folds,
    identify_choice,
    make_head_settings,
)
from histo_ray.evaluate.patients.kept_tiles import identify_where
from histo_ray.evaluate.patients.late_bags import join_folds, list_unfinished, make_bag_job
from histo_ray.evaluate.patients.mil_members import MemberPart, write_members
from histo_ray.evaluate.patients.patient_caveats import describe_cohort, find_patient_caveats
from histo_ray.evaluate.patients.patient_cohort import (
    StoredSlides,
    add_notes,
    draw_patient_folds,
    find_slides,
    gather_patients,
)
from histo_ray.evaluate.patients.patient_features import BAGS, Features, load_bags, load_features
from histo_ray.evaluate.patients.patient_plan import PatientPlan
from histo_ray.evaluate.patients.patient_record import make_patient_record
from histo_ray.evaluate.patients.patient_settings import PatientConfig
from histo_ray.evaluate.patients.patient_tables import write_patient_tables
from histo_ray.evaluate.patients.patient_units import (
    TARGETS,
    list_patient_units,
    needs_of,
    predict_unit,
)
from histo_ray.evaluate.patients.review_tables import SITE_PREDICTION
from histo_ray.evaluate.patients.site_check import check_sites
from histo_ray.evaluate.patients.subgroup_columns import read_subgroups
from histo_ray.evaluate.tasks.patient_task import PatientTask
from histo_ray.labels.mutation_labels import is_default
from histo_ray.learn.covariates import CovariateUse
from histo_ray.learn.heads.registry import trains_on_bags
from histo_ray.learn.statistics import permute_targets
from histo_ray.learn.targets.configurations import Configuration
from histo_ray.learn.targets.target_matrix import TargetMatrix
from histo_ray.storage.shipped import check_shipped
from histo_ray.store.store import Store, open_store
from histo_ray.store.tables import TableFolder, open_evaluation
from histo_ray.types import PartitionKey

OUTCOME_VERSION = 2
"""Raised whenever the code changes a prediction for the same settings and data."""
STATISTICS_VERSION = 3
"""Raised whenever the code changes a P value or interval, so that no run is taken for one with
other values. 1 had no entry; 2 only where independent units are few; from 3 on it is always there.
"""
DECIDING = ("transform", "clip_at", "keep_together", "inner_folds", "resamples", "seed")
"""Settings that bear on the tables beside data, folds and configurations, which are digested."""

Identity = dict[str, object]
"""All that decides the tables; its digest names the run."""


class PreparedTargets(PreparedRun):
    """An evaluation of patients: one part for each kind of targets."""

    identity: Identity
    parts: "tuple[PreparedPatients, ...]"

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of all that has heads of its own: targets, or classes of them."""
        return tuple(name for part in self.parts for name in part.plan.outputs)

    def find_part(self, output: str) -> "PreparedPatients | None":
        """Find the part that has heads of an output; None: there is none."""
        return next((part for part in self.parts if output in part.plan.outputs), None)


class PreparedPatients(PreparedTargets):
    """An evaluation of patients that are joined with their labels and put into folds."""

    def __init__(
        self,
        store: Store,
        plan: PatientPlan,
        features: Features,
        identity: Identity,
        folder: TableFolder | None = None,
        leaks: Sequence[Caveat] = (),
    ) -> None:
        """Take what `prepare_patients` has read; `folder` is that of a run with several parts."""
        self.leaks = leaks
        self.plan = plan
        self.identity = identity
        self.parts = (self,)
        self.folder = folder or open_evaluation(
            plan.config.store, plan.task.name, f"{plan.task.name}-{digest(identity)[:12]}"
        )
        self.store = store
        self.features = features
        self._shared = {" / ".join(key): values for key, values in features.items()}
        self.matrix = make_target_matrix(plan)

    def list_jobs(self, pieces: TableFolder) -> Iterator[UnitJob]:
        """Yield the heads on pooled vectors, then those on bags."""
        plan, matrix = self.plan, self.matrix
        if self._shared:
            yield self._pooled_job(pieces)
        bags = {at: c for at, c in enumerate(plan.configurations) if c.pooling == BAGS}
        if not bags:
            return
        unfinished = list_unfinished(pieces, bags, matrix.repeats)
        if not unfinished:
            return
        config = plan.config
        most = plan.task.bag_tiles(config)
        yield make_bag_job(
            pieces,
            load_bags(self.store, plan.found, plan.patients, most, config.seed),
            matrix,
            unfinished,
            plan.variants,
            plan.output_kind,
            config.seed,
            config.cpus_per_repeat,
            count_shared_folds(plan),
        )
        join_folds(pieces, matrix, plan.output_kind, list(unfinished))

    def _pooled_job(self, pieces: TableFolder) -> UnitJob:
        plan, config = self.plan, self.plan.config
        pooled = {at: c for at, c in enumerate(plan.configurations) if c.pooling != BAGS}
        return UnitJob(
            pieces=pieces,
            work=predict_unit,
            inputs={**self._shared, TARGETS: self.matrix},
            units=list_patient_units(
                {at: self._name_features(c) for at, c in pooled.items()},
                {at: make_head_settings(plan, c) for at, c in pooled.items()},
                self.matrix.repeats,
                config.seed,
            ),
            needs=needs_of(self._shared, self.matrix, config.cpus_per_repeat, config.memory_gb),
        )

    def _name_features(self, configuration: Configuration) -> str:
        """Name the features of a configuration; those of covariates alone are not looked at."""
        alone = configuration.use is CovariateUse.ALONE
        return next(iter(self._shared)) if alone else " / ".join(configuration.features)

    def tell_inputs(self, tell: Tell) -> None:
        """Tell which patients are evaluated."""
        tell(describe_cohort(self.plan.patients))

    def find_caveats(self) -> list[Caveat]:
        """Find the caveats of labels, slides, sites and numbers."""
        return [*self.leaks, *find_patient_caveats(self.plan)]

    def write_tables(
        self, pieces: TableFolder, caveats: Sequence[Caveat], began: float
    ) -> PatientRecord:
        """Score, test, compare and write."""
        tables = write_patient_tables(self.folder, pieces, self.plan, self.matrix)
        self.plan.task.write_more(self, pieces)
        sites = None
        if self.plan.config.site_check:
            sites = check_sites(self.store, self.plan, self.features)
        if sites is not None:
            self.folder.write(SITE_PREDICTION, [sites], sites.schema)
            tables[SITE_PREDICTION] = sites
        members = write_members(self.folder, [MemberPart(self.plan, self.matrix, pieces)])
        record = make_patient_record(self.folder, self.plan, self.identity, tables, caveats, began)
        return record.model_copy(update={"mil_members": members})


def prepare_patients(task: PatientTask, config: PatientConfig, host: Host) -> PreparedPatients:
    """Join slides and labels, draw folds, pool features.

    Args:
        task: Which.
        config: What to do.
        host: Told of what takes long.

    Raises:
        HistoRayError: The run cannot start.
    """
    store, found = open_slides(config, host)
    encoders = [slides.encoder for slides in found]
    check_settings(task, config, encoders)
    patients = gather_patients(found, task, config)
    covariates = read_covariates(config, store, found, patients.cohort.patients)
    if covariates is not None:
        patients = add_notes(patients, covariates.notes)
    known = {receipt.slide.patient_id for s in found for receipt in s.receipts.values()}
    subgroups = read_subgroups(patients.cohort, config, known)
    patients = add_notes(patients, subgroups.notes)
    leaks = check_patients(
        store.root,
        {slides.encoder: next(iter(slides.receipts.values())) for slides in found},
        config.class_encoder,
        patients.cohort.patients,
        config.allow_leak,
        config.pooling,
    )
    folds = draw_patient_folds(patients, task, config)
    variants = task.list_variants(config)
    plan = PatientPlan(
        task,
        config,
        found,
        patients,
        folds,
        [
            *list_configurations(config, encoders, list(variants)),
            *list_covariate_rows(task, config, encoders),
        ],
        variants,
        task.count_permutations(config),
        subgroups,
        None if covariates is None else covariates.covariates,
    )
    pooled = any(configuration.pooling != BAGS for configuration in plan.configurations)
    features = load_features(store, found, patients, config) if pooled else {}
    return PreparedPatients(store, plan, features, identify(plan, features), leaks=leaks)


def open_slides(config: PatientConfig, host: Host) -> tuple[Store, list[StoredSlides]]:
    """Open the store, find the slides of each encoder, and check their vectors where asked for."""
    check_shipped(config)
    store = open_store(config.store)
    found = find_slides(store, config)
    if config.check:
        keys = [PartitionKey(s.encoder, s.tiling, slide) for s in found for slide in s.receipts]
        host.tell(CheckingVectors(len(keys)))
        store.check(keys)
    return store, found


def make_target_matrix(plan: PatientPlan) -> TargetMatrix:
    """Put permuted labels behind the labels: they go through everything that labels do."""
    layout = plan.truth.layout
    values, names = layout.encode(plan.truth.values), plan.outputs
    fold_ids = plan.folds.fold_ids
    if fold_ids.ndim == 3:
        fold_ids = layout.repeat_targets(fold_ids)
    if plan.permutations:
        permuted = permute_targets(values, plan.permutations, plan.config.seed, plan.sites)
        values = np.concatenate([values, permuted], axis=1)
        names += tuple(f"permuted {number}" for number in range(permuted.shape[1]))
    return TargetMatrix(
        values, names, fold_ids, plan.groups, plan.harmonised_sites, plan.covariates
    )


def identify(plan: PatientPlan, features: Features) -> Identity:
    """List all that decides the tables, and by whose digest the run is called.

    Runs that are done are found by it: an entry is added only where it differs from what runs
    before it had.
    """
    config, labels = plan.config, plan.patients.labels
    most = plan.task.bag_tiles(config)
    used = set(plan.patients.slides)
    corrected = {n: c for s in plan.found for n, c in s.corrected.items() if n in used}
    differing: Identity = {"manifest_sha256": digest(corrected)} if corrected else {}
    if not is_default(labels.variant_classes):
        differing["variant_classes"] = digest(sorted(labels.variant_classes))
    if labels.columns:
        differing["columns"] = [[c.name, c.kind.value, *c.classes] for c in labels.columns]
    if plan.covariates is not None:
        differing["covariates"] = {
            "names": plan.covariates.asked,
            "columns": plan.covariates.columns,
            "sha256": _sha256(plan.covariates.values),
        }
    if plan.harmonised_sites is not None:
        differing["harmonise"] = {
            "method": config.harmonise,
            "sites_sha256": digest(plan.harmonised_sites),
        }
    if config.leave_out != "fold":
        differing["leave_out"] = config.leave_out
    differing |= identify_choice(plan) | identify_where(plan.found)
    if plan.subgroups.digest:
        differing["subgroups_sha256"] = plan.subgroups.digest
    if not config.site_check:
        differing["site_check"] = False
    mil = {
        name: {"task": plan.task.name, **settings.to_record()}
        for name, settings in plan.variants.items()
        if most
    }
    return differing | {
        "statistics_version": STATISTICS_VERSION,
        "outcome_version": OUTCOME_VERSION,
        "task": plan.task.name,
        "labels": {
            "sha256": labels.digest,
            "values_sha256": _sha256(labels.values),
            "names_sha256": digest([labels.targets, plan.patients.cohort.patients]),
        },
        "folds": FoldsRecord(
            n_folds=plan.folds.n_folds,
            repeats=plan.folds.repeats,
            seeds=plan.folds.seeds,
            sha256=_sha256(plan.folds.fold_ids),
            kept_together=config.keep_together,
        ).model_dump(),
        "encoders": {slides.encoder: slides.describe().model_dump() for slides in plan.found},
        "features": {" / ".join(key): _sha256(values) for key, values in features.items()},
        "slides_sha256": digest(plan.patients.slides),
        "configurations": [
            ConfigurationRecord(
                encoder=c.encoder, pooling=c.pooling, head=c.head, variant=c.variant
            ).model_dump()
            for c in plan.configurations
        ],
        "mil": mil,
        "bag_tiles": [most] if most else [],
        "permutations": plan.permutations,
        "settings": {key: getattr(config, key) for key in (*DECIDING, *plan.task.deciding)},
    }


def list_configurations(
    config: PatientConfig, encoders: Sequence[str], variants: Sequence[str]
) -> Iterator[Configuration]:
    """In the order of the settings; of equals the earlier is selected."""
    for encoder, head in itertools.product(encoders, config.head_names):
        if trains_on_bags(head):
            for variant in variants:
                yield Configuration(encoder, BAGS, head, variant)
        else:
            for pooling in config.pooling:
                yield Configuration(encoder, pooling, head)


def _sha256(values: npt.NDArray[np.generic]) -> str:
    return hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()
