"""What a caller says of columns of labels: kind, order of classes, positive class. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from histo_ray.text import did_you_mean, join_or
from histo_ray.types import TargetKind

COLUMN_KINDS = (
    TargetKind.BINARY,
    TargetKind.MULTICLASS,
    TargetKind.ORDINAL,
    TargetKind.CONTINUOUS,
)
"""What a column may be."""
_KINDS = tuple(kind.value for kind in COLUMN_KINDS)


@dataclass(frozen=True)
class ColumnWishes:
    """What the caller says of one column; empty: nothing."""

    kind: str = ""
    order: tuple[str, ...] = ()
    """Classes, lowest first."""
    positive: str = ""
    classes: tuple[str, ...] = ()
    """All classes, as a predictor knows them: other cells are refused."""


def parse_wishes(
    columns: Sequence[str],
    kinds: Sequence[str],
    orders: Sequence[str],
    positives: Sequence[str],
) -> dict[str, ColumnWishes]:
    """Parse what the caller says of columns, `NAME=...`; with one column NAME= may be left out.

    Args:
        columns: Names of the columns that are read.
        kinds: `NAME=ordinal`, or a kind alone, which is that of all columns.
        orders: `NAME=low,medium,high`.
        positives: `NAME=VALUE`.

    Raises:
        ValueError: Another column, a kind that is none, or something said twice.
    """
    found: dict[str, dict[str, str]] = {name: {} for name in columns}
    for flag, texts in (("kind", kinds), ("order", orders), ("positive", positives)):
        for text in texts:
            names, value = _split_name(flag, text, columns)
            for name in names:
                if flag in found[name] and len(names) == 1:
                    raise ValueError(f"{flag}: said twice of column {name}; say it once")
                found[name][flag] = value
    wishes = {}
    for name, said in found.items():
        kind, order = said.get("kind", ""), _split_order(name, said.get("order", ""))
        if kind and kind not in _KINDS:
            raise ValueError(
                f"kind: {kind!r} of column {name} must be {join_or(list(_KINDS))}"
                f"{did_you_mean(kind, _KINDS)}"
            )
        if order and kind not in ("", TargetKind.ORDINAL):
            raise ValueError(f"order: column {name} is {kind}, and only ordinal columns have one")
        if said.get("positive") and kind not in ("", TargetKind.BINARY):
            raise ValueError(f"positive: column {name} is {kind}, and only binary ones have one")
        wishes[name] = ColumnWishes(kind, order, said.get("positive", ""))
    return wishes


def _split_name(flag: str, text: str, columns: Sequence[str]) -> tuple[Sequence[str], str]:
    """Split NAME=VALUE; NAME may be left out with one column, and of kinds with any."""
    for name in sorted(columns, key=len, reverse=True):
        if text.startswith(f"{name}="):
            return [name], text[len(name) + 1 :].strip()
    if "=" not in text and (len(columns) == 1 or flag == "kind"):
        return columns, text.strip()
    example = f"{columns[0]}={'ordinal' if flag == 'kind' else 'VALUE'}"
    raise ValueError(
        f"{flag}: {text!r} names none of the columns {', '.join(columns)}; write NAME=..., as in "
        f"{example}"
    )


def _split_order(name: str, text: str) -> tuple[str, ...]:
    if not text:
        return ()
    parts = tuple(part.strip() for part in text.split(","))
    if len(parts) < 2 or not all(parts) or len(set(parts)) < len(parts):
        raise ValueError(
            f"order: {text!r} of column {name} must be two or more different classes, lowest "
            "first, with commas between"
        )
    return parts
