"""Code on pages: calls of the program, flags and Python name what there is."""

from pathlib import Path

import pytest

from testing.doc_commands import find_problem, list_flags, read_calls, read_flags
from testing.doc_python import find_python_problems, read_python
from tests.test_docs import ROOT, tracked_pages

PAGES = [name for name in tracked_pages() if name != "CHANGELOG.md"]
"""What was changed is told with the names of its time."""
OF_A_PAGE = {"docs/extend/task.md": ("protein", "mutation")}
"""A task that a page adds, and one with the same flags."""
FOREIGN = ("docs/coming-from/", "docs/benchmarks.md", "docs/reliability.md", "infra/")
"""Pages that name flags of other programs."""


@pytest.mark.parametrize("name", [name for name in PAGES if read_calls(ROOT / name)])
def test_calls_on_a_page_are_taken_by_the_parser(name: str) -> None:
    calls = [call.replace(*OF_A_PAGE.get(name, ("", ""))) for call in read_calls(ROOT / name)]
    assert [(call, find_problem(call)) for call in calls if find_problem(call)] == []


def test_flags_in_sentences_exist() -> None:
    known = list_flags()
    named = {name: read_flags(ROOT / name) for name in PAGES if not name.startswith(FOREIGN)}
    assert {name: flags - known for name, flags in named.items() if flags - known} == {}
    assert "--tile-px" in named["docs/guide/extract.md"]


@pytest.mark.parametrize("name", [name for name in PAGES if read_python(ROOT / name)])
def test_python_on_a_page_names_what_the_package_has(name: str) -> None:
    assert [find_python_problems(code) for code in read_python(ROOT / name)] == [
        [] for _ in read_python(ROOT / name)
    ]


def test_wrong_calls_and_wrong_python_are_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "```\n.venv/bin/histo-ray extract --manifest m.csv \\\n    --mppp 0.5  # no\n"
        "histo-ray plan --tile-px 224 | tee x\nhisto-ray store lss STORE && histo-ray fit "
        "tissue --jason\n```\n"
        "`histo-ray evaluate ... --head lasso`, `histo-ray evaluate ... --pooling max`, `--tile`\n"
    )
    calls = read_calls(page)
    assert len(calls) == 6
    assert [bool(find_problem(call)) for call in calls] == [True, False, True, True, False, False]
    assert read_flags(page) == {"--tile"}
    assert read_flags(page) - list_flags() == {"--tile"}
    assert find_python_problems("hr.extract('a', mppp=1)") == ["hr.extract has no mppp"]
    assert find_python_problems("hr.open_store('S').bag(1, en='e')") == ["store.bag has no en"]
    assert find_python_problems("store.bags()") == ["there is no store.bags"]
    assert find_python_problems("hr.fit.mutation('S', labels='l', encoder='e', name='n')") == []
    assert find_python_problems("a b") == ["no Python: invalid syntax"]
