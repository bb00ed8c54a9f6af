"""The code of a page of `docs/extend/`."""

import re
from pathlib import Path

PAGES = Path(__file__).parent.parent / "docs" / "extend"


def code_blocks(page: str, language: str = "python") -> list[str]:
    """What stands in the page's fenced blocks of a language, in order."""
    text = (PAGES / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
