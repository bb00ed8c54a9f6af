"""Tutorials run as they stand."""

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from histo_ray.evaluate.tasks.registry import TASKS
from histo_ray.learn.heads import registry as heads
from histo_ray.slides import registry as readers
from testing.tutorials import find_missing_line, read_blocks, run_page

ROOT = Path(__file__).resolve().parents[1]
TUTORIALS = ROOT / "docs/tutorials"
FIRST = ("first-features", "from-trident")
"""Pages that others go on from."""
QUICK = {"query": "first-features", "extend-learning": "from-trident"}
"""Other pages, with the page in whose folder they go on."""
LONG = {"extend": "first-features", "fit-and-validate": "", "fine-tune": ""}
"""Pages that take longer."""

EnterFolder = Callable[[str], None]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    """Folders of the pages that others go on from, once they were asked for."""
    made: dict[str, Path] = {}

    class Made(dict[str, Path]):
        def __missing__(self, name: str) -> Path:
            made[name] = self[name] = tmp_path_factory.mktemp(name)
            with pytest.MonkeyPatch.context() as patch:
                patch.chdir(self[name])
                run_page(TUTORIALS / f"{name}.md", by_shell=False)
            return self[name]

    yield Made()
    for folder in made.values():
        shutil.rmtree(folder)


@pytest.fixture
def enter(
    folders: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[EnterFolder]:
    """Enters a copy of a page's folder, or an empty one; registries are put back at the end."""
    tasks = dict(TASKS)
    monkeypatch.setattr(heads, "HEADS", heads.HEADS)
    monkeypatch.setattr(readers, "READERS", readers.READERS)

    def enter(page: str) -> None:
        if page:
            shutil.copytree(folders[page], tmp_path / "copy")
        else:
            (tmp_path / "copy").mkdir()
        monkeypatch.syspath_prepend(str(tmp_path / "copy"))  # a folder that is missing is not seen
        monkeypatch.chdir(tmp_path / "copy")

    yield enter
    TASKS.clear()
    TASKS.update(tasks)


@pytest.mark.parametrize("name", FIRST)
def test_a_first_tutorial_runs_as_it_stands(name: str, folders: dict[str, Path]) -> None:
    assert (folders[name] / "STORE/store.json").exists()


@pytest.mark.parametrize("name", QUICK)
def test_a_tutorial_runs_as_it_stands(name: str, enter: EnterFolder) -> None:
    enter(QUICK[name])
    run_page(TUTORIALS / f"{name}.md", by_shell=False)


@pytest.mark.slow
@pytest.mark.parametrize("name", [*FIRST, *QUICK, *LONG])
def test_a_tutorial_runs_by_bash(name: str, enter: EnterFolder) -> None:
    enter((QUICK | LONG).get(name, ""))
    run_page(TUTORIALS / f"{name}.md", by_shell=True)


def test_what_a_page_shows_must_have_been_printed_in_that_order() -> None:
    printed = "store /tmp/x1/STORE, run\n 5  done\nlast\n"
    assert find_missing_line("store ...STORE, run\n5 done\n", printed) is None
    assert find_missing_line("5 done\nstore ...STORE, run\n", printed) == "store ...STORE, run"
    assert find_missing_line("5 do\n", printed) == "5 do"


def test_every_tutorial_is_run_or_needs_a_cluster() -> None:
    pages = {page.stem for page in TUTORIALS.glob("*.md")}
    assert pages == {*FIRST, *QUICK, *LONG, "README", "clusters"}


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


def test_files_that_a_cluster_is_told_to_use_exist_and_parse() -> None:
    words = " ".join(block.code for block in read_blocks(TUTORIALS / "clusters.md")).split()
    named = {word for word in words if word.startswith(("infra/", "jobs/"))}
    assert {Path(name).suffix for name in named} == {".py", ".sbatch", ".yaml"}
    for name in named:
        text = (ROOT / name).read_text(encoding="utf-8")
        if name.endswith(".yaml"):
            assert [one["kind"] for one in yaml.safe_load_all(text) if one]
        elif name.endswith(".sbatch"):
            subprocess.run(["bash", "-n", str(ROOT / name)], check=True)
        else:
            compile(text, name, "exec")
