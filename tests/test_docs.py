"""Pages lead where they say: every relative link of every Markdown file, with its anchor."""

import re
import subprocess
from collections import Counter
from functools import cache
from pathlib import Path
from urllib.parse import unquote

import pytest

from histo_ray._version import __version__

ROOT = Path(__file__).resolve().parents[1]
FENCE = re.compile(r"^( *)```.*?^ *```", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`[^`\n]*`")
LINK = re.compile(r"\]\(\s*<?([^)\s>]+)>?[^)]*\)")
PLACE = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)


def tracked_pages() -> list[str]:
    """Markdown files that git tracks; without git, those of the folders that have some."""
    listed = subprocess.run(
        ["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode == 0 and listed.stdout:
        return listed.stdout.splitlines()
    found = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "infra").rglob("*.md")]
    return sorted(str(path.relative_to(ROOT)) for path in found)


@cache
def anchors(page: Path) -> frozenset[str]:
    """Anchors of a page's headings, as GitHub and GitLab make them."""
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    seen: Counter[str] = Counter()
    made = set()
    for heading in re.findall(r"^#{1,6} +(.*?)(?: +#+)? *$", text, re.MULTILINE):
        shown = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)
        anchor = re.sub(r"[^\w -]", "", shown).strip().lower().replace(" ", "-")
        made.add(f"{anchor}-{seen[anchor]}" if seen[anchor] else anchor)
        seen[anchor] += 1
    return frozenset(made)


def broken_links(page: Path) -> list[str]:
    """Relative links of a page whose file or anchor does not exist."""
    text = CODE.sub("``", FENCE.sub("", page.read_text(encoding="utf-8")))
    broken = []
    for link in LINK.findall(text):
        if PLACE.match(link):
            continue
        name, _, anchor = unquote(link).partition("#")
        target = (page.parent / name) if name else page
        if not target.exists() or (anchor and anchor not in anchors(target.resolve())):
            broken.append(link)
    return broken


@pytest.mark.parametrize("name", tracked_pages())
def test_every_relative_link_leads_somewhere(name: str) -> None:
    assert broken_links(ROOT / name) == []


def test_a_lost_file_and_a_lost_anchor_are_found(tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text("# A `b`, c_d\n\n## Twice\n\n## Twice\n\n```\n# none\n```\n")
    page = tmp_path / "page.md"
    good = "[x](other.md#a-b-c_d) [x](other.md#twice-1) [x](#top) [x](https://example.org/no)"
    page.write_text(f"# Top\n\n{good} `[x](code.md)`\n\n[x](gone.md) [x](other.md#none) [x](#no)\n")
    assert broken_links(page) == ["gone.md", "other.md#none", "#no"]


def test_the_index_of_docs_names_every_page() -> None:
    index = ROOT / "docs/README.md"
    text = index.read_text(encoding="utf-8")
    named = {(index.parent / link.partition("#")[0]).resolve() for link in LINK.findall(text)}
    pages = {path.resolve() for path in (ROOT / "docs").rglob("*.md")}
    decisions = {path for path in pages if path.parent.name == "decisions"}
    assert pages - decisions - named - {index} == set()


def test_the_readme_is_a_page() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(text.split()) < 1000
    long = [line for line in text.splitlines() if len(line) > 120 and not line.startswith("|")]
    assert long == []
    assert re.search(r"^make demo .*\nmake test ", text, re.MULTILINE)


def test_the_citation_names_this_version() -> None:
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.findall(r"^version: (.+)$", text, re.MULTILINE) == [__version__]
