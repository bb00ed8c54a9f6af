"""Caveats of groups of tiles, of colour, and of fine-tuned encoders as sentences. Pure."""

from collections.abc import Callable

from histo_ray.evaluate.caveats import Caveat, CaveatCode
from histo_ray.text import count_of, name_some


def _write_groups_inferred(one: Caveat) -> str:
    pairs = one.number("near_duplicates")
    chains = f" and {count_of(pairs, 'pair')} of near-duplicates" if pairs else ""
    return (
        f"no patients were given; {count_of(one.number('groups'), 'group')} were inferred from "
        f"colour{chains}: random folds promise {_score(one, 'random')} where grouped give "
        f"{_score(one, 'grouped')} ({one.values['encoder']}); the groups are a guess, so give "
        "patients (column group) where they are known"
    )


def _write_colour_tells(one: Caveat) -> str:
    folds = one.values["folds"]
    inside = "" if folds is None else f", of random folds at {_score(one, 'folds')}"
    return (
        "within a class colour alone tells the external test tiles from the training tiles at "
        f"AUROC {_score(one, 'low')} to {_score(one, 'high')}{inside}: they are of other slides, "
        "and scores by random folds promise more than they give"
    )


def _write_leaked_tiles(one: Caveat) -> str:
    kinds = {
        "trained": "that it was fine-tuned on",
        "held_out": "that decided when its fine-tuning stopped",
        "near": "that nearly duplicate those",
    }
    counts = [f"{one.number(key):,} {text}" for key, text in kinds.items() if one.number(key)]
    return (
        f"{one.values['encoder']}: of {count_of(one.number('total'), 'tile')} of "
        f"{one.values['tiles']} there are {', '.join(counts)} ({name_some(one.names('names'))}): "
        "its score on them flatters"
    )


def _write_leaked_patients(one: Caveat) -> str:
    return (
        f"{one.values['encoder']} was fine-tuned on tiles of {one.number('patients'):,} of "
        f"{count_of(one.number('total'), 'patient')} that are evaluated "
        f"({name_some(one.names('names'))}): its scores flatter"
    )


def _write_trained_on_unknown(one: Caveat) -> str:
    why = (
        "whose patients nobody gave"
        if one.values["listed"]
        else "by a version that kept no list of them"
    )
    return (
        f"{one.values['encoder']} was fine-tuned on the tiles of {one.values['tiles']}, {why}: "
        f"whether {one.values['what']} of it are evaluated here cannot be told"
    )


def _score(one: Caveat, name: str) -> str:
    """Write a score between 0 and 1 with two digits, without the zero before the point."""
    return f"{one.values[name]:.2f}".removeprefix("0")


def _write_inferred_too_few(one: Caveat) -> str:
    return (
        f"no patients were given, and {count_of(one.number('groups'), 'group')} of some class "
        f"inferred from colour cannot fill {one.number('folds')} folds: folds are random"
    )


def _write_colour_alone(one: Caveat) -> str:
    return (
        f"colour alone gives {_score(one, 'colour')}, where the best encoder "
        f"({one.values['encoder']}) gives {_score(one, 'score')}: stain may explain most of it"
    )


TILE_WRITERS: dict[CaveatCode, Callable[[Caveat], str]] = {
    CaveatCode.LEAKED_TILES: _write_leaked_tiles,
    CaveatCode.LEAKED_PATIENTS: _write_leaked_patients,
    CaveatCode.TRAINED_ON_UNKNOWN: _write_trained_on_unknown,
    CaveatCode.GROUPS_INFERRED: _write_groups_inferred,
    CaveatCode.INFERRED_TOO_FEW: _write_inferred_too_few,
    CaveatCode.COLOUR_TELLS_TEST: _write_colour_tells,
    CaveatCode.COLOUR_ALONE: _write_colour_alone,
}
"""By code."""
