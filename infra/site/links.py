"""Links of a page to files that the site has elsewhere, or not at all. Pure."""

import posixpath
import re
from collections.abc import Mapping

FENCE = re.compile(r"^( *)(```|~~~).*?^ *\2", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(!?)\[((?:[^][]|\[[^]]*\])*)\]\(\s*<?([^)\s>]+)>?\s*\)")
_ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:|#|/", re.IGNORECASE)


def rewrite_links(text: str, source: str, page: str, pages: Mapping[str, str]) -> str:
    """Rewrite the relative links of a page whose file lies elsewhere in the repository.

    A link to a file that is a page leads to the page, with its anchor; one to any other file of the
    repository becomes its path as code, as the site has no such file.

    Args:
        text: Markdown.
        source: Path of its file in the repository.
        page: Path of the page in the site.
        pages: Path in the site of every file of the repository that the site has.
    """
    kept: list[str] = []

    def keep(block: re.Match[str]) -> str:
        kept.append(block.group())
        return f"\0{len(kept) - 1}\0"

    def rewrite(link: re.Match[str]) -> str:
        picture, words, target = link.groups()
        if _ELSEWHERE.match(target):
            return link.group()
        path, _, anchor = target.partition("#")
        place = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
        found = pages.get(place) or pages.get(f"{place}/README.md")
        if found is None:
            return f"{words} (`{place}`)" if words.strip("`") != place else f"`{place}`"
        there = posixpath.relpath(found, posixpath.dirname(page) or ".")
        return f"{picture}[{words}]({there}{'#' if anchor else ''}{anchor})"

    changed = LINK.sub(rewrite, FENCE.sub(keep, text))
    return re.sub(r"\0(\d+)\0", lambda mark: kept[int(mark[1])], changed)
