"""What a column of labels holds: two classes, several, an order, or numbers. Pure.

The rule, for the cells that are not missing:

* numbers, of which two are different: binary; the larger one is positive.
* up to `MOST_LEVELS` different whole numbers: nobody can tell classes, grades and amounts apart, so
  the caller has to say which.
* other numbers: continuous.
* two different words: binary. Positive is the one that is numbered 1 (`1:DECEASED`), a word for yes
  (`YES_WORDS`), or the word beside one for no (`NO_WORDS`); of two other words the rarer one.
* 3 to `MOST_CLASSES` different words: multiclass; more are names, and refused.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from histo_ray.errors import ConfigError
from histo_ray.labels.cells import parse_numbered
from histo_ray.labels.column_wishes import ColumnWishes
from histo_ray.labels.label_table import LabelColumn
from histo_ray.slides.column_names import plain_name
from histo_ray.text import count_of, did_you_mean, join_or, name_some
from histo_ray.types import TargetKind

Floats = npt.NDArray[np.float64]

MOST_LEVELS = 10
"""Different whole numbers up to which a column may be classes or grades as well as amounts."""
MOST_CLASSES = 20
"""Different words of a column of classes at most."""
YES_WORDS = frozenset(
    {"yes", "y", "true", "positive", "pos", "present", "mutated", "mutant", "mut", "altered"}
    | {"high", "dead", "deceased", "case", "responder", "response", "amplified", "msi", "msih"}
)
"""Words for the positive class, in small letters and digits alone."""
NO_WORDS = frozenset(
    {"no", "n", "false", "negative", "neg", "absent", "wildtype", "wt", "unaltered", "low"}
    | {"alive", "living", "control", "nonresponder", "noresponse", "none", "normal", "mss", "msl"}
)
"""Words for the negative class, likewise."""


class ReadColumn(NamedTuple):
    """A column that was read."""

    column: LabelColumn
    values: Floats
    """(N,) numbers, or places of classes; nan: missing."""
    notes: tuple[str, ...] = ()


def read_column(
    name: str, cells: Sequence[str], numbers: Floats, wishes: ColumnWishes, origin: str
) -> ReadColumn:
    """Find what a column holds, and read it.

    Args:
        name: Of the column.
        cells: (N,) text; empty: missing.
        numbers: (N,) the same as numbers; nan where a cell is missing or no number.
        wishes: What the caller says; where nothing, the rule of this module decides.
        origin: Of the table, for messages.

    Raises:
        ConfigError: It holds nothing, or the caller has to say what it is.
    """
    cells = _write_numbers(cells, numbers)
    counts = Counter(cell for cell in cells if cell)
    where = f"labels {origin}: column {name}"
    if not counts:
        raise ConfigError(f"{where} holds no value; check the column, or leave it out")
    kind, rule = _choose_kind(name, counts, numbers, wishes, where)
    return _READERS[kind](_Given(name, cells, numbers, wishes, where, rule, counts))


def _write_numbers(cells: Sequence[str], numbers: Floats) -> list[str]:
    """Write numbers alike, so that 1 and 1.0 are one class."""
    return [
        f"{number:.15g}" if cell and not np.isnan(number) else cell
        for cell, number in zip(cells, numbers.tolist(), strict=True)
    ]


class _Given(NamedTuple):
    name: str
    cells: Sequence[str]
    numbers: Floats
    wishes: ColumnWishes
    where: str
    rule: str
    counts: Counter[str]


def _choose_kind(
    name: str, counts: Counter[str], numbers: Floats, wishes: ColumnWishes, where: str
) -> tuple[TargetKind, str]:
    """Choose the kind by the rule, or as the caller says."""
    if wishes.kind:
        return TargetKind(wishes.kind), "as told"
    if wishes.order:
        return TargetKind.ORDINAL, "as --order says"
    if wishes.positive:
        return TargetKind.BINARY, "as --positive says"
    different = len(counts)
    known = numbers[~np.isnan(numbers)]
    if different == 1:
        raise ConfigError(
            f"{where} holds {next(iter(counts))!r} alone, so there is nothing to tell apart; leave "
            "it out"
        )
    if different == 2:
        return TargetKind.BINARY, "two different values"
    if len(known) == sum(counts.values()):
        if different <= MOST_LEVELS and (known == np.round(known)).all():
            shown = ", ".join(sorted(counts, key=float))
            raise ConfigError(
                f"{where} holds {different} different whole numbers ({shown}), which may be "
                f"grades, classes or amounts; say which with --kind {name}=ordinal, "
                f"--kind {name}=multiclass or --kind {name}=continuous"
            )
        return TargetKind.CONTINUOUS, f"{different:,} different numbers"
    if different > MOST_CLASSES:
        words = sorted(cell for cell in counts if _is_word(cell))
        raise ConfigError(
            f"{where} holds {different:,} different values, words among them "
            f"({name_some(words, 3)}), too many for classes (at most {MOST_CLASSES}); if it is "
            f"numbers, empty the cells that are none or say --kind {name}=continuous, else group "
            "its values in the table"
        )
    return TargetKind.MULTICLASS, f"{different} different words"


def _read_numbers(given: _Given) -> ReadColumn:
    words = sorted(
        {c for c, n in zip(given.cells, given.numbers, strict=True) if c and not np.isfinite(n)}
    )
    values = np.where(np.isfinite(given.numbers), given.numbers, np.nan)
    if np.isnan(values).all():
        raise ConfigError(
            f"{given.where} holds no number ({name_some(words, 3)}), but --kind says continuous; "
            "leave --kind out, or check the column"
        )
    notes: tuple[str, ...] = ()
    if words:
        lost = sum(given.counts[word] for word in words)
        notes = (
            f"column {given.name}: {count_of(lost, 'cell')} without a number "
            f"({name_some(words, 4)}) taken as missing",
        )
    return ReadColumn(LabelColumn(given.name, TargetKind.CONTINUOUS, (), given.rule), values, notes)


def _read_binary(given: _Given) -> ReadColumn:
    wishes, counts = given.wishes, given.counts
    if wishes.classes:
        return _place_binary(given)
    positive, why = _choose_positive(given)
    rest = sorted(set(counts) - {positive}, key=_by_number)
    values = np.array([np.nan if not c else float(c == positive) for c in given.cells])
    column = LabelColumn(
        given.name,
        TargetKind.BINARY,
        (" or ".join(rest), positive),
        f"{given.rule}; positive is {positive} ({why})",
    )
    return ReadColumn(column, values)


def _place_binary(given: _Given) -> ReadColumn:
    """Read the two classes of a predictor; the negative one may be several values of the table."""
    negative, positive = given.wishes.classes
    states = dict.fromkeys((negative, *negative.split(" or ")), 0.0) | {positive: 1.0}
    found = {cell: _find_class(cell, states) for cell in given.counts}
    values = [states[found[c] or ""] if c and found[c] is not None else np.nan for c in given.cells]
    column = LabelColumn(
        given.name, TargetKind.BINARY, (negative, positive), "as the predictor knows it"
    )
    notes = _note_others(given, [c for c, own in found.items() if own is None], [*states])
    return ReadColumn(column, np.array(values), notes)


def _choose_positive(given: _Given) -> tuple[str, str]:
    """Choose the positive class, and say why."""
    asked, counts = given.wishes.positive, given.counts
    if asked:
        found = _find_class(asked, counts)
        if found is None or len(counts) < 2:
            raise ConfigError(
                f"{given.where}: --positive {asked} is not among its values "
                f"({name_some(sorted(counts, key=_by_number), 6)}){did_you_mean(asked, counts)}"
                if found is None
                else f"{given.where} holds {asked!r} alone, so there is nothing to tell apart; "
                "leave it out"
            )
        return found, "--positive says so"
    if len(counts) != 2:
        raise ConfigError(
            f"{given.where} holds {len(counts)} different values "
            f"({name_some(sorted(counts, key=_by_number), 6)}), but --kind says binary; name the "
            f"positive one with --positive {given.name}=VALUE, and all others count as negative"
        )
    one, other = sorted(counts, key=_by_number)
    if not (_is_word(one) or _is_word(other)):
        return other, "the larger number"
    if {parse_numbered(one), parse_numbered(other)} == {0, 1}:
        return (one if parse_numbered(one) else other), "it is numbered 1"
    for first, second in ((one, other), (other, one)):
        if plain_name(first) in YES_WORDS and plain_name(second) not in YES_WORDS:
            return first, "a word for yes"
    for first, second in ((one, other), (other, one)):
        if plain_name(first) in NO_WORDS and plain_name(second) not in NO_WORDS:
            return second, f"{first} is a word for no"
    if {one, other} & {"+", "-"}:
        return ("+", "a plus") if "+" in counts else (max(one, other), "- is no")
    if counts[one] == counts[other]:
        return other, "as frequent as the other and later in the alphabet; --positive changes it"
    rarer = min((one, other), key=counts.__getitem__)
    return rarer, "the rarer word; --positive changes it"


def _read_classes(given: _Given) -> ReadColumn:
    classes = given.wishes.classes or tuple(sorted(given.counts, key=_by_number))
    if len(classes) > MOST_CLASSES:
        raise ConfigError(
            f"{given.where} holds {len(classes):,} different values, too many for classes (at most "
            f"{MOST_CLASSES}); group its values in the table"
        )
    hint = ""
    if given.rule != "as told" and any(any(c.isdigit() for c in name) for name in classes):
        hint = f"; if they have an order, say --order {given.name}={','.join(classes)}"
    return _place(given, TargetKind.MULTICLASS, classes, given.rule + hint)


def _read_ordered(given: _Given) -> ReadColumn:
    wishes, counts = given.wishes, given.counts
    asked = wishes.classes or wishes.order
    if not asked:
        words = sorted(filter(_is_word, counts))
        if words:
            raise ConfigError(
                f"{given.where} is to be ordinal, but nobody can tell the order of "
                f"{name_some(words, 6)}; say it, lowest first, with --order "
                f"{given.name}={','.join(sorted(counts, key=_by_number))}"
            )
        asked = tuple(sorted(counts, key=float))
        if len(asked) > MOST_CLASSES:
            raise ConfigError(
                f"{given.where} holds {len(asked):,} different numbers, too many for grades (at "
                f"most {MOST_CLASSES}); say --kind {given.name}=continuous"
            )
        return _place(given, TargetKind.ORDINAL, asked, f"{given.rule}, in the order of numbers")
    if wishes.classes:
        return _place(given, TargetKind.ORDINAL, asked, given.rule)
    found = [_find_class(name, counts) for name in asked]
    absent = [name for name, own in zip(asked, found, strict=True) if own is None]
    if absent:
        raise ConfigError(
            f"{given.where}: --order names {name_some(absent)}, which it does not hold; its values "
            f"are {name_some(sorted(counts, key=_by_number), 10)}{did_you_mean(absent[0], counts)}"
        )
    return _place(given, TargetKind.ORDINAL, tuple(name for name in found if name), given.rule)


def _place(given: _Given, kind: TargetKind, classes: tuple[str, ...], rule: str) -> ReadColumn:
    """Number the cells by the places of their classes; other values are missing, and told."""
    place = {name: at for at, name in enumerate(classes)}
    found = {cell: _find_class(cell, place) for cell in given.counts}
    others = sorted(cell for cell, own in found.items() if own is None)
    values = np.array(
        [np.nan if not c or found[c] is None else float(place[str(found[c])]) for c in given.cells]
    )
    notes = _note_others(given, others, classes)
    if np.isnan(values).all():
        raise ConfigError(
            f"{given.where} holds none of {join_or(list(classes))}, but "
            f"{name_some(others, 6)}; check the column"
        )
    return ReadColumn(LabelColumn(given.name, kind, classes, rule), values, notes)


def _note_others(given: _Given, others: Sequence[str], classes: Sequence[str]) -> tuple[str, ...]:
    if not others:
        return ()
    lost = sum(given.counts[cell] for cell in others)
    told = ", ".join(f"{cell} {given.counts[cell]}" for cell in others[:6])
    return (
        f"column {given.name}: {count_of(lost, 'cell')} of other values than "
        f"{join_or(list(classes))} taken as missing ({told})",
    )


def _find_class(asked: str, known: Mapping[str, object]) -> str | None:
    """Find a class as the table writes it: 1.0 is 1, and case and blanks do not matter."""
    if asked in known:
        return asked
    for name in known:
        if name.strip().casefold() == asked.strip().casefold() or _equal_numbers(name, asked):
            return name
    return None


def _equal_numbers(one: str, other: str) -> bool:
    try:
        return float(one) == float(other)
    except ValueError:
        return False


def _is_word(cell: str) -> bool:
    try:
        return not np.isfinite(float(cell))
    except ValueError:
        return True


def _by_number(cell: str) -> tuple[float, str]:
    """Sort numbers by size, before words in the order of the alphabet."""
    return (np.inf if _is_word(cell) else float(cell), cell)


_READERS: dict[TargetKind, Callable[[_Given], ReadColumn]] = {
    TargetKind.CONTINUOUS: _read_numbers,
    TargetKind.BINARY: _read_binary,
    TargetKind.MULTICLASS: _read_classes,
    TargetKind.ORDINAL: _read_ordered,
}
