"""Tiles that a condition drops and slides that an encoder lacks, in words. Pure."""

from collections.abc import Callable

from histo_ray.evaluate.caveats import Caveat, CaveatCode
from histo_ray.text import count_of, name_some


def _write_slides_differ(one: Caveat) -> str:
    return (
        f"{one.values['encoder']} lacks {count_of(one.number('slides'), 'slide')} that another "
        f"encoder has ({name_some(one.names('names'))}): encoders are compared on the "
        f"{count_of(one.number('common'), 'slide')} common to all"
    )


def _write_tiles_dropped(one: Caveat) -> str:
    slides, dropped, tiles = (one.number(name) for name in ("slides", "dropped", "tiles"))
    text = (
        f"only tiles with {one.values['where']} are used: {dropped:,} of {tiles:,} tiles of "
        f"{one.values['encoder']} are dropped ({dropped / max(1, tiles):.1%})"
    )
    if slides:
        median, most = one.values["median"], one.values["most"]
        text += f", of a slide {median:.1%} in the median and {most:.1%} at most"
    if one.number("emptied"):
        text += (
            f"; no tile is left of {count_of(one.number('emptied'), 'slide')} "
            f"({name_some(one.names('names'))})"
        )
    return text


KEPT_WRITERS: dict[CaveatCode, Callable[[Caveat], str]] = {
    CaveatCode.TILES_DROPPED: _write_tiles_dropped,
    CaveatCode.SLIDES_DIFFER: _write_slides_differ,
}
"""Writers of these caveats."""
