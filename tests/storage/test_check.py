"""What is wrong with an object store is told before work starts, in one line, with exit code 2."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from histo_ray.cli.main import main
from histo_ray.errors import ConfigError
from histo_ray.slides.manifest import read_manifest
from histo_ray.storage import clouds, locate
from histo_ray.storage.check import check_place
from histo_ray.store.store import open_store, peek_store
from testing.object_server import FaultyServer

PATIENCE_S = 20
"""Beside other work; seconds on a machine of one's own."""


@pytest.mark.parametrize(
    ("faults", "words"),
    [
        ({"forbidden": "."}, "access denied; check the credentials"),
        ({"no_bucket": "."}, "there is no bucket 'bucket'; check the name"),
        ({"region": "eu-west-1"}, "the bucket is in region eu-west-1, asked for in us-east-1"),
        ({"slow_down": 1.0}, "the server answers every try with HTTP status 503"),
        ({"drop": 1.0}, "the server cannot be reached"),
    ],
)
def test_a_store_that_cannot_be_used_is_told_within_seconds(
    faulty: FaultyServer, faults: dict[str, float], words: str
) -> None:
    faulty.set_faults(**faults)
    began = time.monotonic()
    with pytest.raises(ConfigError) as told:
        open_store("s3://bucket/check/store", create=True)
    assert time.monotonic() - began < PATIENCE_S
    assert str(told.value).startswith(f"store s3://bucket/check/store: {words}")
    assert "\n" not in str(told.value)
    tries = faulty.counts()["requests"]
    assert tries >= 3 if "drop" in faults or "slow_down" in faults else tries <= 3


def test_a_command_ends_with_that_line_and_exit_code_2(
    faulty: FaultyServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    faulty.set_faults(forbidden=".")
    (tmp_path / "m.csv").write_text("slide_id,path\nS1,none.svs\n")
    places = ["--manifest", str(tmp_path / "m.csv"), "--store", "s3://bucket/check/store"]
    assert main(["extract", *places, "--encoder", "random:resnet10t?seed=0&px=64"]) == 2
    out, errors = capsys.readouterr()
    assert out == ""
    assert "histo-ray extract: store s3://bucket/check/store: access denied" in errors
    assert "Traceback" not in errors
    assert errors.count("\n") <= 2


def test_a_missing_right_to_write_is_told_before_work_starts(faulty: FaultyServer) -> None:
    open_store("s3://bucket/readonly/store", create=True)
    faulty.set_faults(forbidden="^(PUT|POST)")
    assert peek_store("s3://bucket/readonly/store") is not None
    with pytest.raises(OSError, match=r"store\.json: upload failed \(access denied\)"):
        open_store("s3://bucket/readonly/store", create=True)
    with pytest.raises(OSError, match="access denied"):
        open_store("s3://bucket/readonly/new", create=True)


def test_missing_credentials_are_told(
    faulty: FaultyServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    clouds._has_role.cache_clear()
    faulty.set_faults(forbidden=".")
    with pytest.raises(ConfigError, match=r"no credentials found on this machine.*AWS_PROFILE"):
        check_place("s3://bucket/x", "store")
    faulty.set_faults()
    check_place("s3://bucket/x", "store")  # what is public needs none


def test_a_bucket_of_slides_is_looked_at_once_and_told_once(
    faulty: FaultyServer, tmp_path: Path
) -> None:
    rows = "".join(f"S{at},s3://slides/many/{at}.svs\n" for at in range(40))
    (tmp_path / "m.csv").write_text("slide_id,path\n" + rows)
    faulty.set_faults(forbidden=".")
    with pytest.raises(ConfigError, match=r"^slide s3://slides/many/0\.svs: access denied"):
        read_manifest(str(tmp_path / "m.csv"))
    assert faulty.counts()["requests"] == 1


def test_a_stumbling_server_is_no_reason_to_stop(faulty: FaultyServer) -> None:
    for seed in range(5):
        faulty.set_faults(seed=seed, server_error=0.1, slow_down=0.1)
        check_place("s3://bucket/x/y", "store")


def test_one_client_serves_a_process_and_another_user_gets_another(
    s3: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = locate("s3://bucket/a")
    assert locate("s3://bucket/b")[0] is first
    assert locate("s3://bucket/b", hurried=True)[0] is not first
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody else")
    assert locate("s3://bucket/a")[0] is not first


def test_a_machine_without_a_role_does_not_wait_for_one(tmp_path: Path) -> None:
    """The SDK below pyarrow would ask for it with every client."""
    code = (
        "from histo_ray.storage import clouds\n"
        "clouds.METADATA_SERVER = ('127.0.0.1', 9)\n"
        "assert not clouds.names_credentials()\n"
        "clouds.open_s3('bucket')\n"
        "import os; print(os.environ['AWS_EC2_METADATA_DISABLED'])\n"
    )
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    environment = kept | {"HOME": str(tmp_path), "AWS_REGION": "us-east-1"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == "true\n"
