"""Words of a page of the site. Pure."""

from html.parser import HTMLParser


def count_words(page: str) -> int:
    """Count the words of a page of HTML: of its article, code included, navigation not."""
    reader = _Reader()
    reader.feed(page)
    return len(" ".join(reader.texts).split())


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self._inside = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = self._inside or tag == "article"

    def handle_endtag(self, tag: str) -> None:
        self._inside = self._inside and tag != "article"

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.texts.append(data)
