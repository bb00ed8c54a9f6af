"""Covariates of an evaluation: columns of a file, the label table, or the store's manifest."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

import numpy as np

from histo_ray.errors import ConfigError
from histo_ray.evaluate.patients.patient_cohort import StoredSlides
from histo_ray.evaluate.patients.patient_settings import PatientConfig
from histo_ray.labels.column_labels import (
    ColumnRows,
    open_column_file,
    open_manifest_columns,
)
from histo_ray.learn.covariates import Covariates
from histo_ray.learn.fold_data import Floats
from histo_ray.slides.barcodes import cut_barcode
from histo_ray.slides.column_names import plain_name
from histo_ray.store.manifest_columns import read_manifest_columns
from histo_ray.store.store import Store
from histo_ray.text import count_of, did_you_mean, name_some

MOST_VALUES = 20
"""Different texts of a covariate; each becomes a column of its own."""


class ReadCovariates(NamedTuple):
    """Covariates of the patients that are evaluated, and what was noticed."""

    covariates: Covariates
    notes: tuple[str, ...]


def read_covariates(
    config: PatientConfig,
    store: Store,
    found: Sequence[StoredSlides],
    patients: Sequence[str],
) -> ReadCovariates | None:
    """Read the covariates of `config`; None where there are none.

    A patient whose rows disagree lacks that covariate.

    Args:
        config: Names the columns, and the file that they are in.
        store: Its manifest is searched where no file has them.
        found: Slides of the store.
        patients: (P,) that are evaluated, as the store calls them.

    Raises:
        ConfigError: No such column, one without a value, or one with too many different texts.
    """
    if not config.covariate:
        return None
    slides = {name: r.slide.patient_id for one in found for name, r in one.receipts.items()}
    sources = list(_open_sources(config, store, slides))
    columns: list[str] = []
    values: list[Floats] = []
    notes: list[str] = []
    for asked in config.covariate:
        rows, name = _find(asked, sources)
        texts, apart = _take_patients(rows, name, patients)
        if apart:
            notes.append(
                f"covariate {asked}: {count_of(apart, 'patient')} with rows of different values "
                "count as without one"
            )
        names, own = _encode(asked, texts)
        missing = sum(not text for text in texts)
        lacking = f", missing in {count_of(missing, 'patient')}" if missing else ""
        kind = "numbers" if len(names) == 1 and names[0] == asked else f"{len(own)} columns"
        notes.append(f"covariate {asked} of {rows.origin}: {kind}{lacking}")
        columns += names
        values += own
    return ReadCovariates(
        Covariates(tuple(config.covariate), tuple(columns), np.stack(values, axis=1)),
        tuple(notes),
    )


def _open_sources(
    config: PatientConfig, store: Store, slides: Mapping[str, str]
) -> Iterator[ColumnRows]:
    """Open the file that is named; else the label table, if it has rows of patients; the manifest.

    Raises:
        ConfigError: The file that is named cannot be used.
    """
    known = set(slides.values())
    if config.covariate_file is not None:
        changes = {"labels": config.covariate_file, "labels_layout": "auto", "id_column": None}
        yield open_column_file(config.model_copy(update=changes), known, slides)
    else:
        with suppress(ConfigError):  # patients in columns: the manifest may have them
            yield open_column_file(config, known, slides)
    with suppress(ConfigError):  # the store keeps no further columns
        yield open_manifest_columns(read_manifest_columns(store.root), slides, config.store)


def _find(asked: str, sources: Sequence[ColumnRows]) -> tuple[ColumnRows, str]:
    for rows in sources:
        plain = [plain_name(column) for column in rows.columns]
        if asked in rows.columns:
            return rows, asked
        if plain_name(asked) in plain:
            return rows, rows.columns[plain.index(plain_name(asked))]
    there = list(dict.fromkeys(column for rows in sources for column in rows.columns))
    where = " or ".join(dict.fromkeys(rows.origin for rows in sources)) or "any table"
    raise ConfigError(
        f"--covariate {asked}: there is no such column in {where}; there are "
        f"{name_some(there, 12) or 'none'}{did_you_mean(asked, there)}; name the table that has it "
        "with --covariate-file (a row a patient or slide)"
    )


def _take_patients(rows: ColumnRows, name: str, patients: Sequence[str]) -> tuple[list[str], int]:
    """Text of each patient, empty where missing; and how many have several values."""
    cells, _ = rows.read(name)
    by_patient: dict[str, set[str]] = {}
    for owner, cell in zip(rows.patients, cells, strict=True):
        if owner and cell:
            by_patient.setdefault(owner, set()).add(cell)
    own = [by_patient.get(p) or by_patient.get(cut_barcode(p)) or set() for p in patients]
    texts = [next(iter(some)) if len(some) == 1 else "" for some in own]
    return texts, sum(len(some) > 1 for some in own)


def _encode(asked: str, texts: Sequence[str]) -> tuple[list[str], list[Floats]]:
    """Columns of a covariate: itself if all are numbers, else one a value.

    Raises:
        ConfigError: No value, one alone, or too many different texts.
    """
    levels = sorted({text for text in texts if text})
    if len(levels) < 2:
        known, people = sum(map(bool, texts)), count_of(len(texts), "patient")
        told = f"the same ({levels[0]}) in all {people}" if levels else f"missing in all {people}"
        if 0 < known < len(texts):
            told = f"the same ({levels[0]}) in the {known} of {people} that have one"
        raise ConfigError(
            f"--covariate {asked}: {told}, so nothing can be learnt from it; leave it out"
        )
    numbers = [_read_number(text) for text in texts]
    if all(number == number for number, text in zip(numbers, texts, strict=True) if text):
        return [asked], [np.array(numbers)]
    if len(levels) > MOST_VALUES:
        raise ConfigError(
            f"--covariate {asked}: {len(levels)} different texts ({name_some(levels, 3)}), each of "
            f"which would be a column; use one with at most {MOST_VALUES}, or numbers"
        )
    own = {f"{asked} = {level}": [float(text == level) for text in texts] for level in levels}
    if not all(texts):
        own[f"{asked} missing"] = [float(not text) for text in texts]
    return list(own), [np.array(column) for column in own.values()]


def _read_number(text: str) -> float:
    """Read a number; nan for other text, and for one without end."""
    try:
        number = float(text)
    except ValueError:
        return float("nan")
    return number if np.isfinite(number) else float("nan")
