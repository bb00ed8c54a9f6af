"""Hooks of MkDocs: pages from outside `docs/`, the reference, links, and the list of decisions."""

from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from infra.site.links import rewrite_links
from infra.site.reference import ROOT, make_reference

OUTSIDE = {
    "README.md": "project/readme.md",
    "CHANGELOG.md": "project/changes.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "CODE_OF_CONDUCT.md": "project/conduct.md",
    "SECURITY.md": "project/security.md",
    "infra/README.md": "project/machines.md",
    "infra/paper/README.md": "project/paper.md",
    "infra/paper/expected.md": "project/paper-expected.md",
}
"""Path in the site of pages of the repository that lie elsewhere."""
MADE_FROM = {
    "schemas": "reference/tables.md",
    "histo_ray/__init__.py": "reference/python.md",
    "histo_ray/cli/exit_codes.py": "reference/errors.md",
    "histo_ray/cli/verbs.py": "reference/commands.md",
    "histo_ray/config.py": "reference/settings.md",
}
"""Path in the site of the page that is made from a file or folder: links to the one lead to it."""
_DECISIONS = "Decisions"


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """List the decisions where the navigation has their heading."""
    pages = sorted((ROOT / "docs/decisions").glob("*.md"))
    listed = [f"decisions/{page.name}" for page in pages]
    config.nav = [
        {_DECISIONS: listed} if _DECISIONS in entry else entry for entry in config.nav or []
    ]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made from the code, and those from outside `docs/`."""
    for source, page in OUTSIDE.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=text))
    for page, text in make_reference():
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Have links lead to pages of the site."""
    place = page.file.src_uri
    sources = {there: source for source, there in OUTSIDE.items()}
    return rewrite_links(markdown, sources.get(place, f"docs/{place}"), place, _list_pages(files))


def _list_pages(files: Files) -> dict[str, str]:
    own = {f"docs/{file.src_uri}": file.src_uri for file in files if _lies_in_docs(file)}
    return own | OUTSIDE | MADE_FROM | {f"docs/{page}": page for page in MADE_FROM.values()}


def _lies_in_docs(file: Any) -> bool:
    return bool(file.abs_src_path) and Path(file.abs_src_path).exists()
