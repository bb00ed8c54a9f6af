"""Tilings by what they are, where somebody has to choose one: size, mpp and what differs. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

from histo_ray.types import PartitionKey, Receipt

ALWAYS = ("tile_px", "mpp")


def one_of_each_tiling(keys: Iterable[PartitionKey]) -> list[PartitionKey]:
    """The first partition of each tiling: its receipt says what the tiling is."""
    first: dict[str, PartitionKey] = {}
    for key in sorted(keys):
        first.setdefault(key.tiling, key)
    return list(first.values())


def describe_tilings(receipts: Mapping[PartitionKey, Receipt]) -> str:
    """Each tiling in words, as in `t0123456789ab (224 px at 0.5 mpp, stain macenko)`.

    Settings beside size and mpp are named where the tilings differ in them.

    Args:
        receipts: At least one of each tiling.
    """
    first = _by_fingerprint(receipts)
    settings = [r.tiling.settings | {"tissue": r.tiling.tissue_method} for r in first.values()]
    names = dict.fromkeys(name for said in settings for name in said if name not in ALWAYS)
    differing = [name for name in names if len({str(said.get(name)) for said in settings}) > 1]
    words = []
    for said in settings:
        others = [f"{name} {_text(said[name])}" for name in differing if said.get(name) is not None]
        words.append(", ".join([_size(said), *others]))
    told = []
    for (fingerprint, receipt), text in zip(first.items(), words, strict=True):
        if words.count(text) > 1:  # another version of the program lays other tiles
            text += f", by histo_ray {receipt.library_version} on {receipt.created_at[:10]}"
        told.append(f"{fingerprint} ({text})")
    return ", ".join(told)


def ask_for(receipts: Mapping[PartitionKey, Receipt]) -> str:
    """How one of these tilings is asked for behind an encoder's name, as in `@px=224,mpp=0.5`.

    Args:
        receipts: At least one.
    """
    said = next(iter(_by_fingerprint(receipts).values())).tiling.settings
    wishes = [f"px={said['tile_px']}"] if said.get("tile_px") else []
    wishes += [f"mpp={_mpp(said)}"] if _mpp(said) else []
    return f"@{','.join(wishes)}" if wishes else "@px=256,mpp=0.5"


def find_tiling(asked: str, receipts: Mapping[PartitionKey, Receipt]) -> str:
    """The fingerprint that somebody means by it, by its first letters, or by its mpp.

    Args:
        asked: Fingerprint, unique beginning of one, or an mpp that one tiling alone has.
        receipts: At least one of each tiling.

    Returns:
        The fingerprint; `asked` itself where it means none, or more than one.
    """
    facts = _by_fingerprint(receipts)
    if asked in facts:
        return asked
    begun = [name for name in facts if asked and name.startswith(asked)]
    sized = [name for name, r in facts.items() if _mpp(r.tiling.settings) == _number(asked)]
    meant = begun or sized
    return meant[0] if len(meant) == 1 else asked


def _by_fingerprint(receipts: Mapping[PartitionKey, Receipt]) -> dict[str, Receipt]:
    found: dict[str, Receipt] = {}
    for key in sorted(receipts):
        found.setdefault(key.tiling, receipts[key])
    return found


def _number(text: str) -> str:
    """`0.50` as tilings are told, `0.5`; other text as it is."""
    try:
        return f"{float(text):g}"
    except ValueError:
        return text


def _mpp(settings: Mapping[str, Any]) -> str:
    mpp = settings.get("mpp")
    return f"{mpp:g}" if isinstance(mpp, int | float) and mpp else ""


def _size(settings: Mapping[str, Any]) -> str:
    return f"{settings.get('tile_px', '?')} px at {_mpp(settings) or 'unknown'} mpp"


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
