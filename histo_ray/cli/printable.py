"""Text of files and stores on its way to a terminal, which obeys control characters."""

FORMULA_STARTS = ("=", "+", "-", "@")
"""What makes a spreadsheet take a cell of text for a formula."""


def csv_cell(text: str) -> str:
    """Text as a cell of a CSV: control characters spelled out, and no formula. Pure.

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
    """`text` without line breaks, control characters spelled out. Pure."""
    return printable(" ".join(text.splitlines()))


def printable(text: str) -> str:
    """`text` with control characters but line breaks spelled out. Pure."""
    return "".join(
        c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text
    )
