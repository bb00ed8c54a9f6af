"""Style of the report's charts: colour, marker and line of each encoder, and type. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

INK, FAINT, RULE = "#1c2128", "#57606a", "#d0d7de"
NEITHER = "#8b949e"
"""Colour of targets that do not differ."""

_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito 2008, Color Universal Design; yellow is left out, it is pale on white."""
_MARKERS = (("o", "●"), ("s", "■"), ("^", "▲"), ("D", "◆"), ("v", "▼"))
_LINES = ("-", "--", "-.", ":")

CHART_STYLE: dict[str, object] = {
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.dpi": 72,
    "font.family": ["DejaVu Sans"],
    "font.size": 12,
    "svg.fonttype": "none",
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.color": FAINT,
    "ytick.labelcolor": INK,
}
"""Settings on top of matplotlib's defaults; the user's own matplotlibrc is not read."""


@dataclass(frozen=True)
class Look:
    """Colour, marker and line of one encoder, the same in every chart of a page."""

    colour: str
    marker: str
    """Marker by its name in matplotlib."""
    glyph: str
    """The same marker as a character, for legends."""
    line: str


def look_of(encoders: Sequence[str]) -> dict[str, Look]:
    """Assign each encoder a look, in order; colours repeat after seven, pairs after 35."""
    return {
        name: Look(
            _COLOURS[number % len(_COLOURS)],
            *_MARKERS[number % len(_MARKERS)],
            _LINES[number % len(_LINES)],
        )
        for number, name in enumerate(encoders)
    }


def shorten_name(name: str, length: int = 18) -> str:
    """Cut `name` in its middle to at most `length` characters."""
    if len(name) <= length:
        return name
    tail = (length - 1) // 3
    return f"{name[: length - 1 - tail]}…{name[-tail:]}"
