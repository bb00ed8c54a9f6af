"""What an archive needs: files beside the code, honest classifiers, bounds that can be held."""

import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
HATCH = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]


def test_every_path_of_the_source_archive_is_there() -> None:
    named = HATCH["build"]["targets"]["sdist"]["include"]
    assert [name for name in named if not (ROOT / name).exists()] == []
    assert {"histo_ray", "schemas", "LICENSE", "README.md"} <= set(named)


def test_every_dependency_has_a_lower_bound_that_can_be_tried() -> None:
    """`infra/oldest_versions.sh` installs exactly these."""
    extras = [one for some in PROJECT["optional-dependencies"].values() for one in some]
    for requirement in [*PROJECT["dependencies"], *extras]:
        assert re.fullmatch(r"[a-z0-9-]+(\[[a-z,]+\])?>=\d[\d.]*", requirement), requirement


def test_the_script_of_oldest_versions_names_every_extra() -> None:
    script = (ROOT / "infra" / "oldest_versions.sh").read_text(encoding="utf-8")
    found = re.search(r'^extras="([a-z0-9,]+)"$', script, re.MULTILINE)
    assert found is not None
    assert set(found[1].split(",")) == PROJECT["optional-dependencies"].keys()


def test_issue_forms_can_be_read() -> None:
    forms = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
    assert len(forms) == 4
    for path in forms:
        form = yaml.safe_load(path.read_text(encoding="utf-8"))
        if path.stem != "config":
            assert {"name", "description", "body"} <= form.keys(), path
