from pathlib import Path

import pytest

from histo_ray.config import ExtractConfig
from histo_ray.errors import ConfigError
from histo_ray.evaluate.tasks.expression import ExpressionConfig
from histo_ray.storage.shipped import check_shipped, lies_in_copy

COPY = "session_2026-11-30_11-30-47_096894_7097/runtime_resources/working_dir_files/_ray_pkg_0a1b2c"


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Ray's copy of a working folder, which is the current one as in a submitted job."""
    folder = tmp_path / COPY
    folder.mkdir(parents=True)
    monkeypatch.chdir(folder)
    return folder


@pytest.mark.parametrize("store", ["store", "./a/store", "../store"])
def test_a_relative_store_of_a_submitted_job_is_refused(copy: Path, store: str) -> None:
    config = ExpressionConfig(store=store, labels="shipped.csv", encoder=("e",))
    with pytest.raises(ConfigError, match=r"store .*temporary copy.*is lost; give an absolute"):
        check_shipped(config)


@pytest.mark.parametrize(("name", "value"), [("manifest", "m.csv"), ("log", "run.jsonl")])
def test_so_are_a_relative_manifest_and_log(copy: Path, name: str, value: str) -> None:
    settings = {"manifest": "/data/m.csv", "store": "/data/s", "encoder": ("e",)} | {name: value}
    with pytest.raises(ConfigError, match=f"{name} {value}: a relative path of a submitted job"):
        check_shipped(ExtractConfig.model_validate(settings))


def test_what_lies_elsewhere_and_labels_that_were_shipped_are_no_fault(copy: Path) -> None:
    check_shipped(ExpressionConfig(store="/data/s", labels="shipped.csv", encoder=("e",)))
    check_shipped(ExtractConfig(store="s3://b/s", manifest="gs://b/m", encoder=("e",), log="-"))
    assert lies_in_copy("x")
    assert not lies_in_copy(str(copy.parents[3] / "x"))


def test_a_relative_store_is_made_absolute_where_the_command_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Processes of a cluster have other current folders."""
    monkeypatch.chdir(tmp_path)
    config = ExtractConfig(store="a/store", manifest="m.csv", encoder=("e",))
    assert config.store == str(tmp_path / "a" / "store")
    assert ExtractConfig(store="s3://b/s", manifest="m", encoder=("e",)).store == "s3://b/s"
