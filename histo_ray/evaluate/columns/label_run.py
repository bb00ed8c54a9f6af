"""An evaluation of columns of labels: one part for each kind, and one run for all of them."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from histo_ray.cohort.fold_table import read_fold_file
from histo_ray.cohort.patient_folds import OutcomeFolds, read_given_folds
from histo_ray.cohort.site_folds import draw_site_folds
from histo_ray.cohort.usable_targets import find_usable, refuse_none
from histo_ray.config import digest
from histo_ray.errors import ConfigError
from histo_ray.evaluate.caveats import Caveat, CaveatCode, caveat
from histo_ray.evaluate.columns.label_record import LabelRecord
from histo_ray.evaluate.columns.label_summary import make_label_record
from histo_ray.evaluate.columns.label_tables import LabelPart, write_label_tables
from histo_ray.evaluate.jobs import Host, Tell, UnitJob
from histo_ray.evaluate.leaks import check_patients
from histo_ray.evaluate.patients.covariate_inputs import read_covariates
from histo_ray.evaluate.patients.covariate_plan import (
    COVARIATE_HEADS,
    check_settings,
    list_covariate_rows,
)
from histo_ray.evaluate.patients.mil_members import MemberPart, write_members
from histo_ray.evaluate.patients.patient_caveats import describe_cohort, find_patient_caveats
from histo_ray.evaluate.patients.patient_cohort import (
    Patients,
    StoredSlides,
    add_notes,
    count_class_folds,
    gather_patients,
)
from histo_ray.evaluate.patients.patient_features import BAGS, Features, load_features
from histo_ray.evaluate.patients.patient_plan import PatientPlan
from histo_ray.evaluate.patients.patient_run import (
    Identity,
    PreparedPatients,
    PreparedTargets,
    identify,
    list_configurations,
    open_slides,
)
from histo_ray.evaluate.patients.review_tables import SITE_PREDICTION
from histo_ray.evaluate.patients.site_check import check_sites
from histo_ray.evaluate.patients.subgroup_columns import Subgroups, read_subgroups
from histo_ray.evaluate.tasks.label import (
    KIND_TASKS,
    KindTask,
    LabelConfig,
    settings_of_kind,
)
from histo_ray.labels.column_labels import count_classes
from histo_ray.labels.label_table import LabelTable
from histo_ray.learn.covariates import Covariates
from histo_ray.store.store import Store
from histo_ray.store.tables import TableFolder, open_evaluation
from histo_ray.types import TargetKind


class PreparedLabels(PreparedTargets):
    """Columns of several kinds, of the same patients and features."""

    def __init__(
        self,
        store: Store,
        config: LabelConfig,
        plans: Sequence[PatientPlan],
        features: Features,
        labels: LabelTable,
        leaks: Sequence[Caveat] = (),
    ) -> None:
        """Take what `prepare_label_run` has read; `labels` are those of all columns."""
        identities = [identify(plan, features) for plan in plans]
        self.identity = _join_identities(identities)
        self.config = config
        self.folder = open_evaluation(
            config.store, "label", f"label-{digest([self.identity, identities])[:12]}"
        )
        self.labels = labels
        self.leaks = tuple(leaks)
        self.parts = tuple(
            PreparedPatients(store, plan, features, identity, self.folder)
            for plan, identity in zip(plans, identities, strict=True)
        )

    def list_jobs(self, pieces: TableFolder) -> Iterator[UnitJob]:
        """Yield the jobs of each kind; their pieces lie in a folder of the kind."""
        for part in self.parts:
            yield from part.list_jobs(_pieces_of(part, pieces))

    def tell_inputs(self, tell: Tell) -> None:
        """Tell which patients are evaluated, and what each column holds."""
        tell(describe_cohort(replace(self.parts[0].plan.patients, labels=self.labels)))

    def find_caveats(self) -> list[Caveat]:
        """Find the caveats of all parts, each once."""
        found = [one for part in self.parts for one in find_patient_caveats(part.plan)]
        texts = [caveat(CaveatCode.TEXT, text=text) for text in self.labels.caveats]
        unique = {one.model_dump_json(): one for one in (*self.leaks, *texts, *found)}
        return list(unique.values())

    def write_tables(
        self, pieces: TableFolder, caveats: Sequence[Caveat], began: float
    ) -> LabelRecord:
        """Score, test, compare and write."""
        tables = write_label_tables(
            self.folder,
            [LabelPart(p.plan, p.matrix, _pieces_of(p, pieces)) for p in self.parts],
        )
        first = self.parts[0]
        sites = None
        if self.config.site_check:
            sites = check_sites(first.store, first.plan, first.features)
        if sites is not None:
            self.folder.write(SITE_PREDICTION, [sites], sites.schema)
            tables[SITE_PREDICTION] = sites
        plans = [part.plan for part in self.parts]
        members = write_members(
            self.folder, [MemberPart(p.plan, p.matrix, _pieces_of(p, pieces)) for p in self.parts]
        )
        record = make_label_record(
            self.folder, self.config, plans, self.labels, self.identity, tables, caveats, began
        )
        return record.model_copy(update={"mil_members": members})


def prepare_label_run(task: KindTask, config: LabelConfig, host: Host) -> PreparedLabels:
    """Join slides and labels, and draw folds of each column.

    Args:
        task: The label task.
        config: What to do.
        host: Told of what takes long.

    Raises:
        HistoRayError: The run cannot start.
    """
    store, found = open_slides(config, host)
    encoders = [slides.encoder for slides in found]
    patients = gather_patients(found, task, config)
    _check_kinds(patients.labels, config, encoders)
    covariates = read_covariates(config, store, found, patients.cohort.patients)
    if covariates is not None:
        patients = add_notes(patients, covariates.notes)
    known = {receipt.slide.patient_id for s in found for receipt in s.receipts.values()}
    subgroups = read_subgroups(patients.cohort, config, known)
    leaks = check_patients(
        store.root,
        {slides.encoder: next(iter(slides.receipts.values())) for slides in found},
        config.class_encoder,
        patients.cohort.patients,
        config.allow_leak,
        config.pooling,
    )
    notes = (*patients.cohort.notes, *subgroups.notes)
    patients = replace(patients, cohort=replace(patients.cohort, notes=notes))
    whole = patients.labels
    by_kind = _prepare_kinds(whole, config, patients.groups)
    dropped = tuple(drop for labels in by_kind.values() for drop in labels.dropped)
    labels = replace(
        whole,
        targets=tuple(name for own in by_kind.values() for name in own.targets),
        columns=tuple(column for own in by_kind.values() for column in own.columns),
        values=np.concatenate([own.values for own in by_kind.values()], axis=1),
        dropped=(*whole.dropped, *dropped),
        notes=(
            *whole.notes,
            *(note for own in by_kind.values() for note in (*own.notes, *count_classes(own))),
        ),
        caveats=(*whole.caveats, *(text for own in by_kind.values() for text in own.caveats)),
    )
    refuse_none(labels, count_class_folds(config))
    plans = [
        _plan_kind(
            KIND_TASKS[kind],
            config,
            found,
            _take_kind(patients, kind, own),
            subgroups,
            covariates.covariates if covariates is not None and kind in COVARIATE_HEADS else None,
        )
        for kind, own in by_kind.items()
        if own.targets
    ]
    pooled = any(c.pooling != BAGS for plan in plans for c in plan.configurations)
    features = load_features(store, found, patients, config) if pooled else {}
    return PreparedLabels(store, config, plans, features, labels, leaks)


def _prepare_kinds(
    labels: LabelTable, config: LabelConfig, groups: Sequence[str]
) -> dict[TargetKind, LabelTable]:
    """Prepare the columns of each kind, in the order of the report."""
    kinds = {column.kind for column in labels.columns}
    return {
        kind: find_usable(labels.pick(kind), count_class_folds(config), config, groups)
        for kind in KIND_TASKS
        if kind in kinds
    }


def _check_kinds(labels: LabelTable, config: LabelConfig, encoders: Sequence[str]) -> None:
    """Refuse covariates and harmonisation where they cannot be.

    Raises:
        ConfigError: They cannot; covariates where no column is of numbers or two classes.
    """
    kinds = [kind for kind in KIND_TASKS if kind in {column.kind for column in labels.columns}]
    taking = [kind for kind in kinds if kind in COVARIATE_HEADS]
    if config.covariate and not taking:
        raise ConfigError(
            "--covariate: is for columns of numbers or of two classes, and none of these columns "
            "is; leave it out"
        )
    for kind in taking or kinds[:1]:
        check_settings(KIND_TASKS[kind], settings_of_kind(KIND_TASKS[kind], config), encoders)


def _take_kind(patients: Patients, kind: TargetKind, labels: LabelTable) -> Patients:
    """Take the columns of one kind; notes and caveats of labels are told once, for all."""
    cohort = replace(patients.cohort, labels=patients.cohort.labels.pick(kind))
    return replace(patients, cohort=cohort, labels=replace(labels, notes=(), caveats=()))


def _plan_kind(
    task: KindTask,
    config: LabelConfig,
    found: list[StoredSlides],
    patients: Patients,
    subgroups: Subgroups,
    covariates: Covariates | None,
) -> PatientPlan:
    own = settings_of_kind(task, config)
    variants = task.list_variants(own)
    encoders = [slides.encoder for slides in found]
    beyond = [] if covariates is None else list_covariate_rows(task, own, encoders)
    return PatientPlan(
        task,
        own,
        found,
        patients,
        _draw_folds(task, own, patients),
        [*list_configurations(own, encoders, list(variants)), *beyond],
        variants,
        0,
        subgroups,
        covariates,
    )


def _draw_folds(task: KindTask, config: LabelConfig, patients: Patients) -> OutcomeFolds:
    """Read the folds that are given, or draw those of each column."""
    labels = patients.labels
    if config.leave_out == "site":
        sites = draw_site_folds(patients.groups, config.seed)
        without = np.isnan(labels.values).T[:, None, :]
        return replace(sites, fold_ids=np.where(without, -1, sites.fold_ids).astype(np.int32))
    if config.fold_file is None:
        return task.draw_folds(
            labels.values,
            labels.targets,
            config.folds,
            config.repeats,
            config.seed,
            patients.groups,
        )
    numbers = task.kind is TargetKind.CONTINUOUS
    middle = (np.nanmedian if numbers else np.nanmin)(labels.values, axis=0)
    with np.errstate(invalid="ignore"):
        sides = np.where(np.isnan(labels.values), np.nan, labels.values > middle)
    given = read_given_folds(
        read_fold_file(config.fold_file),
        patients.cohort.patients,
        sides,
        labels.targets,
        patients.groups,
        config.fold_file,
        classes=True,
        words=("column", "low", "others"),
    )
    missing = np.isnan(labels.values).T[:, None, :]
    shared = given.fold_ids if given.fold_ids.ndim == 3 else given.fold_ids[None]
    return replace(given, fold_ids=np.where(missing, -1, shared).astype(np.int32))


def _join_identities(identities: Sequence[Identity]) -> Identity:
    """Join what decides the tables of each kind to what decides those of all."""
    first = identities[0]

    def gather(key: str, name: str) -> str:
        parts: list[object] = [dict(one[key])[name] for one in identities]  # type: ignore[call-overload]
        return str(parts[0]) if len(parts) == 1 else digest(parts)

    configurations: list[object] = []
    for one in identities:
        for configuration in list(one["configurations"]):  # type: ignore[call-overload]
            if configuration not in configurations:
                configurations.append(configuration)
    labels = dict(first["labels"])  # type: ignore[call-overload]
    folds = dict(first["folds"])  # type: ignore[call-overload]
    columns = [c for one in identities for c in list(one["columns"])]  # type: ignore[call-overload]
    covariates = [one["covariates"] for one in identities if "covariates" in one]
    return (
        first
        | ({"covariates": covariates[0]} if covariates else {})
        | {
            "labels": labels | {n: gather("labels", n) for n in ("values_sha256", "names_sha256")},
            "folds": folds | {"sha256": gather("folds", "sha256")},
            "configurations": configurations,
            "columns": columns,
        }
    )


def _pieces_of(part: PreparedPatients, pieces: TableFolder) -> TableFolder:
    return pieces.child(part.plan.task.kind.value)
