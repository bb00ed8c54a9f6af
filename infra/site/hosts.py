"""What a page would load from another host. Pure."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser

_FOREIGN = re.compile(r"^(?:https?:)?//", re.IGNORECASE)
_IN_STYLE = re.compile(r"(?:url\(|@import)\s*['\"]?((?:https?:)?//[^'\")\s]+)", re.IGNORECASE)
_LOADED = {
    "script": ("src",),
    "link": ("href",),
    "img": ("src", "srcset"),
    "iframe": ("src",),
    "source": ("src", "srcset"),
    "video": ("src", "poster"),
    "audio": ("src",),
    "embed": ("src",),
    "object": ("data",),
    "form": ("action",),
}
"""Attributes of elements that a browser follows by itself, or sends something to."""


def find_foreign(page: str) -> Iterator[str]:
    """Yield addresses of other hosts that a browser would load for a page of HTML.

    Links that a reader follows are none of them; canonical addresses are not loaded.
    """
    reader = _Reader()
    reader.feed(page)
    yield from reader.found
    yield from _IN_STYLE.findall(page)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if values.get("rel") == "canonical":
            return
        for name in _LOADED.get(tag, ()):
            for address in (values.get(name) or "").split(","):
                if _FOREIGN.match(address.strip()):
                    self.found.append(address.split()[0])
