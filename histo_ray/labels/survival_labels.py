"""Read times until an event as labels: one endpoint a target, as signed times."""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from histo_ray.errors import ConfigError
from histo_ray.labels.cells import parse_numbered
from histo_ray.labels.column_labels import ColumnRows
from histo_ray.labels.endpoints import Endpoint
from histo_ray.labels.label_table import LabelTable
from histo_ray.slides.column_names import plain_name
from histo_ray.text import count_of, did_you_mean, name_some
from histo_ray.types import TargetKind
from histo_ray.types.signed_times import sign_times

EVENTS = (
    *("1", "1.0", "true", "yes", "dead", "deceased", "died", "event", "progressed", "recurred"),
    *("relapsed", "progression", "recurrence", "relapse"),
)
"""Words for an event, in small letters."""
CENSORED = (
    *("0", "0.0", "false", "no", "alive", "living", "censored", "no event", "diseasefree"),
    *("disease free", "progression free"),
)
"""Words for its absence so far."""
NAMED = 5
"""Patients that a note names at most."""
_MISSING = ("", "na", "n/a", "nan", "null", "none", ".", "unknown", "not reported")
_BRACKETED = re.compile(r"\[.*\]")
"""[Not Available], as TCGA's clinical tables write it."""
Values = npt.NDArray[np.float64]


class Follows(NamedTuple):
    """One endpoint, a row of the table each."""

    times: Values
    """(N,) nan: missing."""
    events: Values
    """(N,) 1, 0, or nan where missing."""


def read_survival(
    rows: ColumnRows, endpoints: Sequence[Endpoint], event_words: Sequence[str] = ()
) -> LabelTable:
    """Read endpoints from a table with a row a patient, a sample or a slide.

    Rows that cannot be used are set aside and named in the notes: a time without an event status,
    an event status without a time, a time of 0 or below. Rows of one patient must agree.

    Args:
        rows: Of the table.
        endpoints: Which columns are read.
        event_words: Cells that mean an event, where the column has words of its own; all others are
            censored then.

    Raises:
        ConfigError: A column is missing or holds something else, or rows of a patient differ.
    """
    people = rows.patients
    names = tuple(sorted({name for name in people if name}))
    values, notes = np.full((len(names), len(endpoints)), np.nan), list[str]()
    for column, endpoint in enumerate(endpoints):
        found = Follows(
            _read_times(rows, endpoint), _read_events(rows, endpoint, tuple(event_words))
        )
        usable, told = _set_aside(found, people, endpoint.name)
        notes += told
        values[:, column] = _merge(usable, people, names, endpoint.name, rows.origin)
    return LabelTable(
        names,
        tuple(endpoint.name for endpoint in endpoints),
        values,
        (),
        rows.digest,
        rows.origin,
        (*rows.notes, *notes),
        rows.caveats,
        kind=TargetKind.SURVIVAL,
        noun="endpoint",
    )


def _find_column(rows: ColumnRows, name: str) -> str:
    if name in rows.columns:
        return name
    plain = [plain_name(column) for column in rows.columns]
    if plain.count(plain_name(name)) == 1:
        return rows.columns[plain.index(plain_name(name))]
    raise ConfigError(
        f"{rows.origin}: no column {name}{rows.lacking}; its columns are "
        f"{name_some(rows.columns, 12)}"
        f"{did_you_mean(name, rows.columns)}"
    )


def _read_times(rows: ColumnRows, endpoint: Endpoint) -> Values:
    cells, numbers = rows.read(_find_column(rows, endpoint.time))
    finite = np.isfinite(numbers)
    wrong = [
        cell
        for cell, fine in zip(cells, finite.tolist(), strict=True)
        if not fine and not _is_missing(cell)
    ]
    if wrong:
        raise ConfigError(
            f"labels {rows.origin}: column {endpoint.time} of endpoint {endpoint.name} has "
            f"{wrong[0]!r} where a time is needed, a number in one unit; name another column, or "
            "correct the cell"
        )
    return np.where(finite, numbers, np.nan)


def _read_events(rows: ColumnRows, endpoint: Endpoint, words: tuple[str, ...]) -> Values:
    cells, _ = rows.read(_find_column(rows, endpoint.event))
    missing = [_is_missing(cell) for cell in cells]
    there = sorted({cell for cell, gone in zip(cells, missing, strict=True) if not gone})
    if words:
        own = {word.lower() for word in words}
        if not own & {cell.lower() for cell in there}:
            raise ConfigError(
                f"labels {rows.origin}: no cell of column {endpoint.event} is "
                f"{name_some(sorted(own))} (--event-value); its values are {name_some(there, 8)}"
            )
        return np.where(missing, np.nan, [float(cell.lower() in own) for cell in cells])
    wrong = [cell for cell in there if np.isnan(_parse_event(cell))]
    if wrong:
        raise ConfigError(
            f"labels {rows.origin}: column {endpoint.event} of endpoint {endpoint.name} has "
            f"{name_some([repr(cell) for cell in wrong], 3)}, but an event is 1, true, dead or "
            "deceased (also 1:DECEASED) and none so far 0, false, alive, living or censored; "
            "say which values are events with --event-value"
        )
    return np.where(missing, np.nan, [_parse_event(cell) for cell in cells])


def _parse_event(cell: str) -> float:
    """1 or 0; nan for anything else."""
    text = cell.strip().lower()
    numbered = parse_numbered(text)
    if numbered is not None:
        return float(numbered)
    return 1.0 if text in EVENTS else 0.0 if text in CENSORED else float("nan")


def _is_missing(cell: str) -> bool:
    text = cell.strip().lower()
    return text in _MISSING or _BRACKETED.fullmatch(text) is not None


def _set_aside(rows: Follows, people: Sequence[str], name: str) -> tuple[Values, list[str]]:
    """Signed times (N,) of the rows that can be used, and notes that name the others."""
    times, events = rows
    there = np.array([bool(person) for person in people])
    no_time, no_event = np.isnan(times), np.isnan(events)
    reasons = {
        "an event status but no time": no_time & ~no_event,
        "a time but no event status": ~no_time & no_event,
        "a negative time": times < 0,
        "a time of 0, which says nothing of an order": times == 0,
    }
    notes = []
    for why, flags in reasons.items():
        who = sorted({people[at] for at in np.flatnonzero(flags & there).tolist()})
        if who:
            notes.append(
                f"endpoint {name}: {count_of(len(who), 'patient')} set aside with {why} "
                f"({name_some(who, NAMED)})"
            )
    usable = there & ~no_time & ~no_event & (times > 0)
    return sign_times(np.where(usable, times, np.nan), events == 1), notes


def _merge(
    signed: Values, people: Sequence[str], names: Sequence[str], endpoint: str, origin: str
) -> Values:
    """(P,) signed time of each patient; rows of one patient must say the same."""
    found: dict[str, float] = {}
    for person, value in _known(signed, people):
        if found.setdefault(person, value) != value:
            differing = sorted({p for p, v in _known(signed, people) if v != found.get(p, v)})
            raise ConfigError(
                f"labels {origin}: {count_of(len(differing), 'patient')} with rows that differ in "
                f"time or event of endpoint {endpoint} ({name_some(differing, NAMED)}); keep one "
                "row for each patient"
            )
    return np.array([found.get(name, np.nan) for name in names])


def _known(signed: Values, people: Sequence[str]) -> Iterator[tuple[str, float]]:
    for person, value in zip(people, signed.tolist(), strict=True):
        if person and value == value:
            yield person, value
