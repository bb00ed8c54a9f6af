"""Tutorials run as they stand."""

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from testing.tutorials import read_blocks, run_page

TUTORIALS = Path(__file__).resolve().parents[1] / "docs/tutorials"
QUICK = ("extend", "first-features", "fit-and-validate", "from-trident", "query")
LONG = ("fine-tune",)


@pytest.mark.parametrize("name", QUICK)
def test_a_tutorial_runs_as_it_stands(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run_page(TUTORIALS / f"{name}.md", by_shell=False)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*QUICK, *LONG])
def test_a_tutorial_runs_by_bash(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run_page(TUTORIALS / f"{name}.md", by_shell=True)


def test_every_tutorial_is_run_or_needs_a_cluster() -> None:
    pages = {page.stem for page in TUTORIALS.glob("*.md")}
    assert pages == {*QUICK, *LONG, "README", "clusters"}


@pytest.mark.parametrize("page", sorted(TUTORIALS.glob("*.md")), ids=lambda page: page.stem)
def test_blocks_that_are_not_run_are_well_formed(page: Path) -> None:
    for block in read_blocks(page):
        assert block.language in ("bash", "json", "python", "shell", "sql", "text", "toml", "yaml")
        if block.language == "shell":
            subprocess.run(["bash", "-n", "-c", block.code], check=True)
        elif block.language == "yaml":
            yaml.safe_load(block.code)
        elif block.language == "json":
            json.loads(block.code)
