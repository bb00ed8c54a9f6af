"""Join slides and labels: the patients with vectors of all encoders and a label. Pure."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, NoReturn

import numpy as np
import numpy.typing as npt

from histo_ray.cohort.folds import join_groups
from histo_ray.cohort.patient_exclusions import Exclusion, PatientExclusion, describe_exclusions
from histo_ray.errors import ConfigError
from histo_ray.labels.label_table import LabelTable
from histo_ray.slides.barcodes import cut_barcode, parse_barcode
from histo_ray.slides.near_ids import describe_near_ids, find_near_ids
from histo_ray.text import count_of, name_some

KeepTogether = Literal["patient", "site"]


class CohortRow(NamedTuple):
    """One patient and why it is not used: a row of `schemas/outcome_cohort.json`."""

    patient_id: str
    site: str
    slides: int
    exclusions: tuple[Exclusion, ...]
    """Why it is not used; empty if it is."""

    @property
    def used(self) -> bool:
        """Whether the patient is evaluated."""
        return not self.exclusions

    @property
    def reason(self) -> str:
        """Why it is not used, in words; empty if it is."""
        return describe_exclusions(self.exclusions)


@dataclass(frozen=True)
class Cohort:
    """Patients that are used, in one order for all encoders, and counts of the others."""

    patients: tuple[str, ...]
    """(P,) as the store calls them, sorted."""
    persons: tuple[str, ...]
    """(P,) person behind each patient_id: the store may have several barcodes of one person."""
    sites: tuple[tuple[str, ...], ...]
    """(P,) sites of each, sorted; empty where unknown."""
    labels: LabelTable
    """Labels of these patients, in this order."""
    rows: tuple[CohortRow, ...]
    """All patients, those that are not used too."""
    with_features: int
    """Patients with vectors of any encoder."""
    with_labels: int
    features_only: int
    """Patients with vectors but without a label."""
    labels_only: int
    """Patients with a label but without vectors of any encoder."""
    lost: dict[str, int]
    """Patients with a label, and vectors of some encoder but not of this one, by encoder."""
    notes: tuple[str, ...]

    def groups(self, keep_together: KeepTogether) -> tuple[str, ...]:
        """Groups of patients that stay in one fold.

        Args:
            keep_together: `patient`, or `site`: then all patients of a site stay together, and
                a patient with slides of several sites joins them. One without a site is alone.

        Returns:
            (P,) name of each patient's group.

        Raises:
            ConfigError: No site is known, or all patients are of one.
        """
        if keep_together == "patient":
            return self.persons
        alone = {person: f"no site: {person}" for person in self.persons}
        pairs = [
            (person, site)
            for person, sites in zip(self.persons, self.sites, strict=True)
            for site in sites or (alone[person],)
        ]
        joined = join_groups([person for person, _ in pairs], [site for _, site in pairs])
        group = {person: name for (person, _), name in zip(pairs, joined, strict=True)}
        known = sum(bool(sites) for sites in self.sites)
        if not known or len(set(joined)) < 2:
            found = "no site is known" if not known else f"all patients are of {joined[0]}"
            raise ConfigError(
                f"--keep-together site: {found}, so there is nothing to put into different folds; "
                "give a column `site` in the manifest, or use --keep-together patient"
            )
        return tuple(group[person] for person in self.persons)


def join_cohort(
    features: Mapping[str, Collection[str]],
    slides: Mapping[str, int],
    sites: Mapping[str, Collection[str]],
    labels: LabelTable,
) -> Cohort:
    """Find the patients that all encoders and the labels have.

    Ids are matched as they are, and where that fails by the first three fields of a TCGA barcode
    (or as a case of CPTAC), in any case. Ids that differ only in how they are written are not
    joined; a note counts them. A patient whose labels are all missing counts as one without.

    Args:
        features: Patients with vectors, by encoder.
        slides: Number of slides with tiles, by patient.
        sites: Sites of a patient's slides, by patient; else the barcode's second field is taken.
        labels: What is known of patients.

    Raises:
        ConfigError: No patient in common.
    """
    some = set[str]().union(*features.values())
    every = some.intersection(*features.values())
    empty = np.asarray(np.isnan(labels.values).all(axis=1))
    place, cut = _match(some | slides.keys(), labels)
    labelled = {patient for patient in some & place.keys() if not empty[place[patient]]}
    used = sorted(every & labelled)
    if not used:
        if place and not labelled:
            raise ConfigError(
                f"labels {labels.origin}: {len(place)} of its patients are in the store, but all "
                f"of their labels ({name_some(labels.targets, 3)}) are missing; check the columns, "
                "or name the genes with --genes"
            )
        _refuse(features, labels, labelled)
    persons = tuple(cut_barcode(patient) for patient in used)
    found = {patient: _find_sites(patient, sites) for patient in some | slides.keys()}
    exclusions = {patient: _find_exclusions(patient, features, place, empty) for patient in found}
    rows = [
        CohortRow(patient, "; ".join(found[patient]), slides.get(patient, 0), exclusions[patient])
        for patient in found
    ]
    matched = set(place.values())
    alone = [patient for at, patient in enumerate(labels.patients) if at not in matched]
    rows += [_row_without_slides(patient, sites) for patient in alone]
    seen = {place[patient] for patient in labelled}
    return Cohort(
        patients=tuple(used),
        persons=persons,
        sites=tuple(found[patient] for patient in used),
        labels=labels.take([place[patient] for patient in used], used),
        rows=tuple(sorted(rows)),
        with_features=len(some),
        with_labels=int((~empty).sum()),
        features_only=len(some) - len(labelled),
        labels_only=int((~empty).sum()) - len(seen),
        lost={name: len(labelled - set(patients)) for name, patients in features.items()},
        notes=(
            *_note(used, persons, found, cut, int(empty.sum())),
            *_note_near(some, labels, place, matched),
        ),
    )


def _match(patients: Iterable[str], labels: LabelTable) -> tuple[dict[str, int], int]:
    """Match ids of the store to rows of the labels; and how many matched by their barcodes only."""
    exact = {patient: at for at, patient in enumerate(labels.patients)}
    short: dict[str, int] = {}
    for patient, at in exact.items():
        if short.setdefault(cut_barcode(patient), at) != at:
            raise ConfigError(
                f"labels {labels.origin}: several rows of patient {cut_barcode(patient)}; cut "
                "barcodes to patients, so that each has one row"
            )
    place = {
        patient: exact.get(patient, short.get(cut_barcode(patient), -1)) for patient in patients
    }
    place = {patient: at for patient, at in place.items() if at >= 0}
    return place, sum(patient not in exact for patient in place)


def _find_sites(patient: str, sites: Mapping[str, Collection[str]]) -> tuple[str, ...]:
    """Find the sites of a patient's slides, or else the site of the barcode."""
    given = tuple(sorted({site for site in sites.get(patient, ()) if site}))
    barcode = parse_barcode(patient)
    return given or (() if barcode is None else (barcode.site,))


def _row_without_slides(patient: str, sites: Mapping[str, Collection[str]]) -> CohortRow:
    """The row of a patient whom only the labels know."""
    site = "; ".join(_find_sites(patient, sites))
    return CohortRow(patient, site, 0, (Exclusion(PatientExclusion.NO_SLIDES),))


def _find_exclusions(
    patient: str,
    features: Mapping[str, Collection[str]],
    place: Mapping[str, int],
    empty: npt.NDArray[np.bool_],
) -> tuple[Exclusion, ...]:
    """Reasons why a patient with slides is not used; empty if it is."""
    lacking = tuple(name for name, patients in features.items() if patient not in patients)
    found = []
    if len(lacking) == len(features):
        found.append(Exclusion(PatientExclusion.NO_TILES))
    elif lacking:
        found.append(Exclusion(PatientExclusion.NO_VECTORS, lacking))
    if patient not in place:
        found.append(Exclusion(PatientExclusion.NO_LABEL))
    elif empty[place[patient]]:
        found.append(Exclusion(PatientExclusion.LABELS_MISSING))
    return tuple(found)


def _note(
    used: Sequence[str],
    persons: Sequence[str],
    sites: Mapping[str, tuple[str, ...]],
    cut: int,
    empty: int,
) -> Iterable[str]:
    if cut:
        told = count_of(cut, "patient")
        yield f"{told} of the store matched by the first three fields of the barcode"
    if empty:
        yield f"{count_of(empty, 'patient')} with nothing but missing labels"
    twice = len(persons) - len(set(persons))
    if twice:
        yield (
            f"{count_of(twice, 'patient')} of the store by barcode the same person as another one: "
            "kept in one fold with that"
        )
    near = find_near_ids(set(persons), set(persons))
    if near:
        yield (
            f"patients of the store: {describe_near_ids(near)}; if they are one patient, correct "
            "patient_id in the manifest: folds keep only equal ids together"
        )
    unknown = sum(not sites[patient] for patient in used)
    if 0 < unknown < len(used):
        yield f"{count_of(unknown, 'patient')} without a site: each counts as a site of its own"


def _note_near(
    stored: Collection[str], labels: LabelTable, place: Mapping[str, int], matched: Collection[int]
) -> Iterable[str]:
    """Ids of store and labels that found no partner and differ only in how they are written."""
    alone = [patient for patient in stored if patient not in place]
    others = [patient for at, patient in enumerate(labels.patients) if at not in matched]
    near = find_near_ids(alone, others)
    if near:
        yield (
            f"ids of store and labels: {describe_near_ids(near)}; they are not joined: write them "
            "alike in manifest and labels where they are one patient"
        )


def _refuse(
    features: Mapping[str, Collection[str]], labels: LabelTable, labelled: Collection[str]
) -> NoReturn:
    counts = ", ".join(f"{name} has {len(patients)}" for name, patients in features.items())
    if labelled:
        raise ConfigError(
            f"labels {labels.origin}: {len(labelled)} patients have a label and vectors of some "
            f"encoder, but none has vectors of all ({counts} patients); extract what is missing, "
            "or evaluate fewer encoders"
        )
    stored = sorted(set[str]().union(*features.values()))
    near = find_near_ids(stored, labels.patients)
    hint = f"; {describe_near_ids(near)} (id of the store / of the labels)" if near else ""
    raise ConfigError(
        f"labels {labels.origin}: none of its {len(labels.patients)} patients "
        f"({name_some(labels.patients, 3)}) is among the {len(stored)} of the store "
        f"({name_some(stored, 3)}){hint}; ids join where they are equal, or TCGA barcodes of the "
        "same patient: choose another --id-column, or name patients alike in manifest and labels"
    )
