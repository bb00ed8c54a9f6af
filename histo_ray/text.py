"""Words for messages. Pure."""

import difflib
from collections.abc import Iterable, Sequence

NEAR = 0.7
"""Least similarity (`difflib`) of a name that is suggested."""
SHORT = 3
"""Letters of a word in which one that is wrong leaves less likeness than `NEAR`."""
AS_NEAR = 0.1
"""Others are suggested beside the most similar one if they are hardly less so."""


def did_you_mean(word: str, known: Iterable[str], most: int = 3) -> str:
    """A question that follows a name nobody knows: `; did you mean a or b?`, or nothing.

    Args:
        word: What was given.
        known: Names that would be right.
        most: Names in the question.
    """
    asked = _plain(word)
    names = {_plain(name): name for name in known}
    near = difflib.get_close_matches(asked, list(names), most, NEAR)
    if len(asked) == SHORT:  # one letter is a third of it
        near = near or [name for name in names if _is_a_slip(asked, name)][:most]
    likeness = [difflib.SequenceMatcher(None, name, asked).ratio() for name in near]
    found = [names[n] for n, s in zip(near, likeness, strict=True) if s >= likeness[0] - AS_NEAR]
    return f"; did you mean {join_or(found)}?" if found else ""


def _is_a_slip(word: str, name: str) -> bool:
    """Whether a short word is another one but for one letter, or for the order of its letters."""
    if len(word) != len(name):
        return False
    wrong = sum(one != other for one, other in zip(word, name, strict=True))
    return wrong == 1 or sorted(word) == sorted(name)


def _plain(name: str) -> str:
    return name.lstrip("-").replace("_", "-").lower()


def join_or(words: list[str]) -> str:
    """`a`, `a or b`, `a, b or c`."""
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def describe_type(value: object) -> str:
    """What a value is, without its content: `None`, `a DataFrame`, `an int`. Pure."""
    if value is None:
        return "None"
    name = type(value).__name__
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def count_of(count: int, one: str, several: str = "") -> str:
    """A number with its noun: `1 gene`, `1,555 genes`. Pure."""
    return f"{count:,} {one if count == 1 else several or one + 's'}"


def name_first(names: list[str], most: int = 8) -> str:
    """The first of some names, and how many more there are. Pure."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def name_some(names: Sequence[str], shown: int = 5) -> str:
    """The first few of some names, for a message."""
    text = ", ".join(str(name) for name in names[:shown])
    return text + (", ..." if len(names) > shown else "")
