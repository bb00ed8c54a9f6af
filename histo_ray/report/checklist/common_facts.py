"""Facts that evaluations and external validations share, as sentences. Pure."""

from collections.abc import Mapping, Sequence

from histo_ray.report.format_numbers import format_interval, format_score
from histo_ray.text import count_of

NAMED = 20
"""Targets or groups that a sentence names at most."""
SHORT = 16
"""Digits of a digest that are shown."""


def score_text(score: float | None, low: float | None, high: float | None) -> str:
    """A score with its 95 % interval."""
    if score is None or score != score:
        return "no score"
    ends = "" if low is None or high is None else format_interval(low, high)
    return f"{format_score(score)} (95 % interval {ends})" if ends not in ("", "–") else (
        f"{format_score(score)} (no interval)"
    )  # fmt: skip


def name_many(names: Sequence[str], table: str) -> str:
    """Name the first of many, and where all stand."""
    more = len(names) - NAMED
    rest = f"; and {more:,} more in {table}" if more > 0 else ""
    return f"{'; '.join(names[:NAMED])}{rest}"


def digest_text(sha256: str) -> str:
    """The beginning of a digest, in brackets; empty where there is none."""
    return f" (SHA-256 {sha256[:SHORT]}…)" if sha256 else ""


def versions_text(versions: Mapping[str, str]) -> str:
    """Versions of the software."""
    return ", ".join(f"{name} {number}" for name, number in versions.items())


def count_text(counts: Mapping[str, int], noun: str) -> str:
    """How many of what, as `reason (3 patients)`."""
    return "; ".join(f"{name} ({count_of(count, noun)})" for name, count in counts.items())
