"""Finding and importing plugins: names of entry points, `module:object`, and what goes wrong."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from histo_ray.errors import ConfigError
from histo_ray.plugins import (
    Plugin,
    blame,
    find_plugin,
    is_target,
    list_plugins,
    list_shipped,
    load_plugin,
    make_from_plugin,
)

GROUP = "histo_ray.encoders"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working folder; what is imported from it is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    yield tmp_path
    for name in ("own_plugin", "broken_plugin", "own_package"):
        sys.modules.pop(name, None)


def write_package(folder: Path, name: str, points: dict[str, str], version: str = "1.2") -> Path:
    """What pip leaves of a package with entry points, in a folder of its own on the path."""
    about = folder / name / f"{name}-{version}.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    lines = [f"{key} = {value}" for key, value in points.items()]
    (about / "entry_points.txt").write_text("\n".join([f"[{GROUP}]", *lines]) + "\n")
    sys.path.append(str(folder / name))
    return folder / name


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("my_module:make", True), ("a.b_c:D.e", True), ("uni2-h", False), ("hf-hub:a/b", False),
        ("a/b:c", False), (":make", False), ("mod:", False), ("a:b:c", False), ("a:b@1", False),
    ],
)  # fmt: skip
def test_a_target_is_module_and_object(text: str, right: bool) -> None:
    assert is_target(text) is right


def test_an_installed_package_is_found_by_name_without_being_imported(folder: Path) -> None:
    write_package(folder, "alpha", {"wide96": "no_such_alpha:make"})
    found = find_plugin(GROUP, "wide96")
    assert found == Plugin(GROUP, "wide96", "no_such_alpha:make", "alpha 1.2")
    assert found in list_plugins(GROUP)
    assert find_plugin(GROUP, "wide97") is None
    with pytest.raises(ConfigError, match=r"'wide96' .*alpha 1\.2.*no module 'no_such_alpha'"):
        load_plugin(found)


def test_one_name_of_two_packages_is_refused_with_both(folder: Path) -> None:
    write_package(folder, "alpha", {"twice": "one:make"})
    write_package(folder, "beta", {"twice": "two:make"})
    with pytest.raises(ConfigError, match=r"alpha 1\.2 and beta 1\.2.*'twice'"):
        list_plugins(GROUP)


def test_a_module_of_the_working_folder_is_imported_and_shipped(folder: Path) -> None:
    (folder / "own_plugin.py").write_text("class Wide:\n    make = staticmethod(lambda: 7)\n")
    plugin = find_plugin(GROUP, "own_plugin:Wide.make")
    assert plugin is not None
    assert make_from_plugin(plugin) == 7
    assert list_shipped([plugin, plugin]) == [str(folder / "own_plugin.py")]


def test_a_package_of_the_working_folder_is_shipped_whole_and_an_installed_one_not(
    folder: Path,
) -> None:
    (folder / "own_package").mkdir()
    (folder / "own_package" / "__init__.py").write_text("")
    plugins = [Plugin(GROUP, "", f"{name}:x") for name in ("own_package.deep", "timm", "json")]
    assert list_shipped(plugins) == [str(folder / "own_package")]


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("import no_such_thing", "needs the module 'no_such_thing', which is not installed here"),
        ("raise OSError('no disk')", r"importing it failed with OSError \(no disk\)"),
        ("raise SystemExit(0)", r"importing it failed with SystemExit \(0\)"),
        ("other = 1", "has no 'make'"),
        ("make = 3", "is no function or class"),
        ("def make():\n    return {}['dim']", r"calling it failed with KeyError \('dim'\)"),
    ],
)
def test_what_goes_wrong_names_the_plugin(folder: Path, source: str, told: str) -> None:
    (folder / "broken_plugin.py").write_text(source + "\n")
    with pytest.raises(ConfigError, match=rf"encoder plugin 'broken_plugin:make'.*{told}"):
        make_from_plugin(Plugin(GROUP, "broken_plugin:make", "broken_plugin:make"))


def test_errors_that_say_who_must_act_pass_as_they_are() -> None:
    plugin = Plugin(GROUP, "x", "x:x")
    for error in (ConfigError("mine"), MemoryError()):
        with pytest.raises(type(error)) as caught, blame(plugin, "encode()"):
            raise error
        assert caught.value is error
