from pathlib import Path

import pytest

from histo_ray.errors import ConfigError
from histo_ray.storage import is_local, locate


def test_a_local_path_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    system, path = locate("a/b c")
    assert is_local(system)
    assert path == str(tmp_path / "a/b c")


def test_a_file_uri_is_a_local_path(tmp_path: Path) -> None:
    assert locate(f"file://{tmp_path}/a%20b")[1] == f"{tmp_path}/a b"


def test_home_is_understood() -> None:
    assert locate("~/x")[1] == str(Path.home() / "x")


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("ftp://host/x", r"ftp:// is not supported; give a local path, s3://bucket/\.\.\. or gs"),
        ("s3:///x", "names no bucket"),
        ("gs://", "names no bucket"),
        ("", "the path is empty"),
    ],
)
def test_anything_else_is_refused_with_what_is_accepted(uri: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        locate(uri)


def test_the_endpoint_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "dummy")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "dummy")
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    system, path = locate("s3://bucket/a/b/")
    assert not is_local(system)
    assert path == "bucket/a/b"
    assert system.region == "eu-central-1"
