"""What an archive needs: files beside the code, honest classifiers, bounds that can be held."""

import re
import shutil
import subprocess
import tomllib
import zipfile
from pathlib import Path

import bokeh
import pytest
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


def test_scripts_that_pages_load_lie_in_wheels() -> None:
    """Of the viewer in that of bokeh, of the report in ours; no page loads any from elsewhere."""
    scripts = Path(bokeh.__file__).parent / "server/static/js"
    for name in ("bokeh", "bokeh-widgets", "bokeh-tables"):
        assert (scripts / f"{name}.min.js").stat().st_size > 10_000
    assert (ROOT / "histo_ray/report/templates/tables.js").stat().st_size > 100


@pytest.mark.slow
def test_the_wheel_holds_every_file_of_the_package_and_the_schemas(tmp_path: Path) -> None:
    uv = shutil.which("uv") or ROOT / ".venv-uv/bin/uv"
    if not Path(uv).exists():
        pytest.skip("uv is neither on the PATH nor in .venv-uv, where `make setup` puts it")
    subprocess.run([uv, "build", "-q", "--wheel", "--out-dir", tmp_path, ROOT], check=True)
    (wheel,) = tmp_path.glob("*.whl")
    listed = subprocess.run(
        ["git", "ls-files", "histo_ray", "schemas"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    wanted = {re.sub("^schemas/", "histo_ray/schemas/", name) for name in listed.stdout.split()}
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert held == wanted
    kinds = {Path(name).suffix for name in held}
    assert kinds == {".py", ".toml", ".json", ".j2", ".css", ".js", ".html"}
