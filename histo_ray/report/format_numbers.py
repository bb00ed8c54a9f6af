"""How scores, intervals and P values are printed. Pure."""

LARGE = 1000.0
"""Size from which on a score is written with an exponent."""


def format_p(p: float) -> str:
    """A P value as it is printed: two digits, never zero. Pure."""
    if p < 1e-15:
        return "< 1e-15"
    return f"{p:.2g}" if p >= 1e-4 else f"{p:.1e}"


def format_maybe_p(p: float | None) -> str:
    """A P value, or a dash where there is none. Pure."""
    return "–" if p is None or p != p else format_p(p)


def format_score(score: float, signed: bool = False) -> str:
    """A score or a difference with three digits; a dash where there is none. Pure."""
    if score != score:
        return "–"
    if abs(score) >= LARGE:
        return f"{score:.1e}"
    return f"{score:+.3f}" if signed else f"{score:.3f}"


def format_interval(low: float, high: float, signed: bool = False) -> str:
    """An interval as it is printed. Pure."""
    if low != low or high != high:
        return "–"
    return f"{format_score(low, signed)} to {format_score(high, signed)}"
