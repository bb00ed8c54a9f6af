"""Make text of files and stores safe to print: control characters act on a terminal."""

FORMULA_STARTS = ("=", "+", "-", "@")
"""First characters by which a spreadsheet recognises a formula."""


def csv_cell(text: str) -> str:
    """Make text a cell of a CSV: control characters spelled out, and no formula. Pure.

    A spreadsheet shows the apostrophe put before `=`, `+`, `-` or `@` (and before white space in
    front of these, which some drop) or hides it, but does not calculate. Text that is a number
    stays as it is.
    """
    plain = printable(text)
    if not plain.lstrip().startswith(FORMULA_STARTS):
        return plain
    try:
        float(plain)
    except ValueError:
        return f"'{plain}"
    return plain


def one_line(text: str) -> str:
    """Join the lines of `text` into one and spell out control characters. Pure."""
    return printable(" ".join(text.splitlines()))


def printable(text: str) -> str:
    """Spell out the control characters of `text`, except line breaks. Pure."""
    return "".join(
        c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text
    )
