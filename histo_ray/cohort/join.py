"""Who is used: patients whom all encoders and the labels know; the rest is counted. Pure."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, NoReturn

import numpy as np
import numpy.typing as npt

from histo_ray.cohort.folds import join_groups, name_some
from histo_ray.cohort.labels import LabelTable, count
from histo_ray.errors import ConfigError
from histo_ray.slides.barcodes import cut_barcode, parse_barcode

KeepTogether = Literal["patient", "site"]


class CohortRow(NamedTuple):
    """What became of one patient: a row of `schemas/outcome_cohort.json`."""

    patient_id: str
    site: str
    slides: int
    used: bool
    reason: str


@dataclass(frozen=True)
class Cohort:
    """Patients that are used, in one order for all encoders, and how they were found."""

    patients: tuple[str, ...]
    """(P,) as the store calls them, sorted."""
    persons: tuple[str, ...]
    """(P,) who they are: the store may know one person by several barcodes."""
    sites: tuple[tuple[str, ...], ...]
    """(P,) sites of each, sorted; empty where unknown."""
    labels: LabelTable
    """Of these patients, in this order."""
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
        """What stays in one fold together.

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
            found = "no site of any patient known" if not known else f"one site ({joined[0]})"
            raise ConfigError(
                f"sites: {found}, wanted several; give a column `site` in the manifest of the "
                "slides, or keep patients together only"
            )
        return tuple(group[person] for person in self.persons)


def join_cohort(
    features: Mapping[str, Collection[str]],
    slides: Mapping[str, int],
    sites: Mapping[str, Collection[str]],
    labels: LabelTable,
) -> Cohort:
    """Find the patients on whom all encoders and the labels agree.

    Ids are matched as they are, and where that fails by the first three fields of a TCGA barcode.
    A patient whose labels are all missing counts as one without.

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
                f"labels {labels.origin}: {len(place)} patients are in the store too, but all of "
                f"their labels ({name_some(labels.targets, 3)}) are missing, wanted some; check "
                "its columns, or name the genes with --genes"
            )
        _refuse(features, labels, labelled)
    persons = tuple(cut_barcode(patient) for patient in used)
    found = {patient: _find_sites(patient, sites) for patient in some | slides.keys()}
    reasons = {p: _find_reason(p, features, place, empty) for p in found}
    rows = [
        CohortRow(p, "; ".join(found[p]), slides.get(p, 0), not reasons[p], reasons[p])
        for p in found
    ]
    matched = set(place.values())
    rows += [
        CohortRow(patient, "; ".join(_find_sites(patient, sites)), 0, False, "no slides")
        for at, patient in enumerate(labels.patients)
        if at not in matched
    ]
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
        notes=tuple(_note(used, persons, found, cut, int(empty.sum()))),
    )


def _match(patients: Iterable[str], labels: LabelTable) -> tuple[dict[str, int], int]:
    """Row of the labels by id of the store, and how many were found by their barcodes only."""
    exact = {patient: at for at, patient in enumerate(labels.patients)}
    short: dict[str, int] = {}
    for patient, at in exact.items():
        if short.setdefault(cut_barcode(patient), at) != at:
            raise ConfigError(
                f"labels {labels.origin}: several rows of patient {cut_barcode(patient)}, wanted "
                "one a patient; cut barcodes to patients"
            )
    place = {
        patient: exact.get(patient, short.get(cut_barcode(patient), -1)) for patient in patients
    }
    place = {patient: at for patient, at in place.items() if at >= 0}
    return place, sum(patient not in exact for patient in place)


def _find_sites(patient: str, sites: Mapping[str, Collection[str]]) -> tuple[str, ...]:
    """Sites of a patient's slides, or else that of his barcode."""
    given = tuple(sorted({site for site in sites.get(patient, ()) if site}))
    barcode = parse_barcode(patient)
    return given or (() if barcode is None else (barcode.site,))


def _find_reason(
    patient: str,
    features: Mapping[str, Collection[str]],
    place: Mapping[str, int],
    empty: npt.NDArray[np.bool_],
) -> str:
    """Why a patient with slides is not used; empty if he is."""
    lacking = [name for name, patients in features.items() if patient not in patients]
    reasons = []
    if len(lacking) == len(features):
        reasons.append("no tiles")
    elif lacking:
        reasons.append(f"no vectors of {', '.join(lacking)}")
    if patient not in place:
        reasons.append("no label")
    elif empty[place[patient]]:
        reasons.append("every label missing")
    return "; ".join(reasons)


def _note(
    used: Sequence[str],
    persons: Sequence[str],
    sites: Mapping[str, tuple[str, ...]],
    cut: int,
    empty: int,
) -> Iterable[str]:
    if cut:
        told = count(cut, "patient")
        yield f"{told} of the store matched by the first three fields of the barcode"
    if empty:
        yield f"{count(empty, 'patient')} with nothing but missing labels"
    twice = len(persons) - len(set(persons))
    if twice:
        yield (
            f"{count(twice, 'patient')} of the store by barcode the same person as another one: "
            "kept in one fold with that"
        )
    unknown = sum(not sites[patient] for patient in used)
    if 0 < unknown < len(used):
        yield f"{count(unknown, 'patient')} without a site: each counts as a site of its own"


def _refuse(
    features: Mapping[str, Collection[str]], labels: LabelTable, labelled: Collection[str]
) -> NoReturn:
    counts = ", ".join(f"{name} has {len(patients)}" for name, patients in features.items())
    if labelled:
        raise ConfigError(
            f"labels {labels.origin}: {len(labelled)} patients with a label and vectors of some "
            f"encoder, none with vectors of all ({counts} patients), wanted some in common; "
            "extract what is missing or evaluate fewer encoders"
        )
    stored = sorted(set[str]().union(*features.values()))
    raise ConfigError(
        f"labels {labels.origin}: none of its {len(labels.patients)} patients "
        f"({name_some(labels.patients, 3)}) is among the {len(stored)} of the store "
        f"({name_some(stored, 3)}), wanted the same ids (equal, or TCGA barcodes whose first three "
        "fields are); take another --id-column, or name the patients alike in manifest and labels"
    )
