"""Ids that may mean the same and are written differently. Pure."""

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator

Pair = tuple[str, str]

SHOWN = 3
"""Examples in a sentence."""
_SUFFIX = re.compile(r"(.*[A-Za-z0-9])(?:[-_. /][A-Za-z0-9-]+|(?<=[0-9])[A-Za-z])")


def find_near_ids(ids: Collection[str], others: Collection[str]) -> dict[str, list[Pair]]:
    """Pairs of ids that differ only in how they are written.

    Args:
        ids: Some ids.
        others: Ids that may be the same ones; pass `ids` again to look inside one list.

    Returns:
        By what they differ in: `case`, `punctuation`, `leading zeros`, `a suffix`; each pair once,
        (id, other), sorted, and an id without any is in no pair.
    """
    found: dict[str, list[Pair]] = {}
    seen: set[frozenset[str]] = set()
    for kind, key in _KEYS.items():
        by_key: defaultdict[str, list[str]] = defaultdict(list)
        for other in sorted(others):
            by_key[key(other)].append(other)
        pairs = []
        for one in sorted(ids):
            for other in by_key[key(one)]:
                if one != other and (pair := frozenset((one, other))) not in seen:
                    seen.add(pair)
                    pairs.append((one, other))
        if pairs:
            found[kind] = pairs
    longer = [
        pair
        for pair in sorted({*_shorten(ids, others), *((b, a) for a, b in _shorten(others, ids))})
        if frozenset(pair) not in seen
    ]
    unique = {frozenset(pair): pair for pair in reversed(longer)}
    if unique:
        found["a suffix"] = sorted(unique.values())
    return found


def describe_near_ids(found: dict[str, list[Pair]]) -> str:
    """As in `8 pairs differ only in case (p1 / P1, ...), 1 pair differs only in a suffix`."""
    parts = []
    for kind, pairs in found.items():
        shown = ", ".join(f"{one} / {other}" for one, other in pairs[:SHOWN])
        more = ", ..." if len(pairs) > SHOWN else ""
        number = "1 pair differs" if len(pairs) == 1 else f"{len(pairs)} pairs differ"
        parts.append(f"{number} only in {kind} ({shown}{more})")
    return ", ".join(parts)


def _shorten(ids: Collection[str], others: Collection[str]) -> Iterator[Pair]:
    """Pairs of an id and another one that is the same without its last part."""
    there = {other.casefold(): other for other in others}
    for one in ids:
        rest = one
        while cut := _SUFFIX.fullmatch(rest):
            rest = cut[1]
            other = there.get(rest.casefold())
            if other is not None and other != one:
                yield one, other
                break


def _join_parts(name: str) -> str:
    """Without separators beside a letter; `-` for those between digits, so 1-1 is not 11."""
    plain = re.sub(r"[-_. /]+", "-", name.casefold())
    return re.sub(r"(?<=[a-z])-(?=[a-z0-9])|(?<=[0-9])-(?=[a-z])", "", plain)


def _strip_zeros(name: str) -> str:
    return re.sub(r"(?<![0-9])0+(?=[0-9])", "", _join_parts(name))


_KEYS: dict[str, Callable[[str], str]] = {
    "case": str.casefold,
    "punctuation": _join_parts,
    "leading zeros": _strip_zeros,
}
