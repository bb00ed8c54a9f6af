"""Text as a cell of a Markdown table, and as a sentence. Pure."""

import re

_MARKS = {"|": "\\|", "<": "&lt;", "*": "\\*"}


def escape_cell(text: str) -> str:
    """Make a text one cell of a table: one line, without marks that a table takes as its own."""
    outside = " ".join(text.split()).split("`")
    for at in range(0, len(outside), 2):  # what stands between backticks is code
        for mark, shown in _MARKS.items():
            outside[at] = outside[at].replace(mark, shown)
    for at in range(1, len(outside), 2):
        outside[at] = outside[at].replace("|", "\\|")
    return "`".join(outside)


def finish_sentence(text: str) -> str:
    """Make a text a sentence: a capital first, one full stop at the end."""
    shown = escape_cell(text)
    return f"{shown[:1].upper()}{shown[1:].removesuffix('.')}."


def escape_html(text: str) -> str:
    """Make a text one line of prose in which nothing is a mark of Markdown or HTML."""
    shown = " ".join(text.split())
    return re.sub(r"([\\`*_\[\]<>#|{}])", lambda mark: f"&#{ord(mark[1])};", shown)
