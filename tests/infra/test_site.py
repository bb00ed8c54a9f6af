"""The documentation site: its links, its reference, and what it must not load."""

import argparse
import importlib
import re
import shlex
from pathlib import Path

import pytest
from PIL import Image
from pydantic import BaseModel, Field

from histo_ray.cli.verbs import VERBS
from infra.site.cells import escape_cell, escape_html, finish_sentence
from infra.site.error_messages import collect_messages
from infra.site.hosts import find_foreign
from infra.site.links import rewrite_links
from infra.site.pictures import WIDTH, write_shrunk
from infra.site.reference import write_commands, write_errors, write_tables
from infra.site.settings_reference import list_settings, read_field_docs, write_settings
from infra.site.word_count import count_words

ROOT = Path(__file__).resolve().parents[2]
PAGES = {
    "README.md": "project/readme.md",
    "docs/a.md": "a.md",
    "docs/extend/README.md": "extend/README.md",
    "schemas": "reference/tables.md",
}


@pytest.mark.parametrize(
    ("link", "rewritten"),
    [
        ("[x](docs/a.md#top)", "[x](../a.md#top)"),
        ("![x](docs/a.md)", "![x](../a.md)"),
        ("[x](docs/extend)", "[x](../extend/README.md)"),
        ("[tables](schemas)", "[tables](../reference/tables.md)"),
        ("[x](histo_ray/cli.py)", "x (`histo_ray/cli.py`)"),
        ("[`jobs/a.py`](jobs/a.py)", "`jobs/a.py`"),
        ("[x](https://example.org)", "[x](https://example.org)"),
        ("[x](#here)", "[x](#here)"),
        ("```\n[x](docs/a.md)\n```", "```\n[x](docs/a.md)\n```"),
    ],
)
def test_links_lead_to_pages_of_the_site(link: str, rewritten: str) -> None:
    assert rewrite_links(link, "README.md", "project/readme.md", PAGES) == rewritten


def test_what_a_browser_loads_from_elsewhere_is_found() -> None:
    page = (
        '<link rel="canonical" href="https://a.org/"><link href="https://b.org/x.css">'
        '<a href="https://c.org">c</a><img src="x.png"><script src="//d.org/y.js"></script>'
        "<style>@import 'https://e.org/z.css'; p { background: url(https://f.org/i.png) }</style>"
    )
    assert list(find_foreign(page)) == [
        *("https://b.org/x.css", "//d.org/y.js"),
        *("https://e.org/z.css", "https://f.org/i.png"),
    ]


def test_words_of_the_article_are_counted() -> None:
    page = "<nav>one two</nav><article><h1>A b</h1><p>c <code>d e</code></p></article><p>f</p>"
    assert count_words(page) == 5


def test_cells_and_sentences_keep_the_table_whole() -> None:
    assert escape_cell("a | b\n<c> `d|<e>` *") == "a \\| b &lt;c> `d\\|<e>` \\*"
    assert finish_sentence("one row a slide.") == "One row a slide."
    assert escape_html("a <b> [c]") == "a &#60;b&#62; &#91;c&#93;"


class _Base(BaseModel):
    base: int = 1
    """Docstring of the base."""


class _Sample(_Base):
    """A sample."""

    plain: float = Field(0.5, gt=0)
    """Docstring under
    the field."""
    bare: str = ""


def test_docstrings_under_fields_are_read_of_a_class_and_its_bases() -> None:
    assert read_field_docs(_Sample) == {
        "base": "Docstring of the base.",
        "plain": "Docstring under\nthe field.",
    }


def test_messages_are_collected_with_blanks(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(
        'raise ConfigError(f"store {x}: is no " "folder; name another")\n'
        "raise ConfigError(made_elsewhere())\n"
        'raise ConfigError("short")\n'
        'raise SlideError(slide_id, "has no resolution; " + remedy)\n'
        'raise ValueError("not one of ours, so not listed")\n'
    )
    assert collect_messages(tmp_path, ["ConfigError", "SlideError"]) == {
        "ConfigError": ["store …: is no folder; name another"],
        "SlideError": ["has no resolution; …"],
    }


def test_the_reference_names_every_command_table_setting_and_exit_code() -> None:
    commands, tables, told = write_commands(), write_tables(), write_errors()
    for name in VERBS:
        assert f"\n## histo-ray {name}\n" in commands
    assert "| `--tile-px` N | edge of a tile, in pixels at --mpp (default: 224" in commands
    schemas = {path.stem for path in (ROOT / "schemas").glob("*.json")}
    assert len(re.findall(r"^## ", tables, re.MULTILINE)) == len(schemas)
    settings = "\n".join(write_settings())
    for kind in list_settings().values():
        for name in kind.model_fields:
            assert f"| `{name}` |" in settings or f"### [{name}]" in settings
    assert "| `mpp` | number | `0.5` | microns per pixel of the tiles; at least 0.05" in settings
    assert re.findall(r"^\| (\d+) \|", told, re.MULTILINE) == ["0", "1", "2", "130"]
    assert "### Messages of SlideError" in told


def our_commands() -> list[str]:
    """Our commands in the tables of `docs/coming-from`; not verbs alone, nor with ellipses."""
    pages = sorted((ROOT / "docs/coming-from").glob("*.md"))
    spans = [one for page in pages for one in re.findall(r"`([^`]+)`", page.read_text("utf-8"))]
    return [one for one in spans if re.match(r"histo-ray \w+ .", one) and "..." not in one]


@pytest.mark.parametrize("command", our_commands())
def test_commands_for_those_who_come_from_elsewhere_are_understood(command: str) -> None:
    verb, *rest = shlex.split(command)[1:]
    parser = argparse.ArgumentParser()
    importlib.import_module(VERBS[verb].module).add_arguments(parser)
    assert parser.parse_known_args(rest)[1] == []


def test_pictures_are_shrunk(tmp_path: Path) -> None:
    Image.new("RGB", (2 * WIDTH, 500)).save(tmp_path / "a.png")
    with Image.open(write_shrunk(tmp_path / "a.png", tmp_path / "a.jpg")) as written:
        assert written.size == (WIDTH, 250)
