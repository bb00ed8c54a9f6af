"""Text of files and stores on its way to a terminal, which obeys control characters."""


def one_line(text: str) -> str:
    """`text` without line breaks, control characters spelled out. Pure."""
    return printable(" ".join(text.splitlines()))


def printable(text: str) -> str:
    """`text` with control characters but line breaks spelled out. Pure."""
    return "".join(
        c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text
    )
