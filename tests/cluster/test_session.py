import os
import socket
import subprocess
import sys
from typing import Any

import pytest
from ray._private import worker

from histo_ray.cluster import session
from histo_ray.cluster.head_watch import head_answers
from histo_ray.cluster.session import check_cluster, ray_session
from histo_ray.errors import ConfigError


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_a_head_answers_while_it_listens(family: socket.AddressFamily) -> None:
    try:
        head = socket.create_server(("", 0), family=family)
    except OSError:
        pytest.skip("this machine has no IPv6")
    with head:
        place = f"{'[::1]' if family == socket.AF_INET6 else '127.0.0.1'}:{head.getsockname()[1]}"
        assert head_answers(place)
    assert not head_answers(place)


@pytest.mark.parametrize("scheme", ["", "ray://"])
def test_an_address_where_nobody_listens_is_told_at_once(scheme: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, and nobody listens
        address = f"{scheme}127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ConfigError, match="no Ray head answers at"), ray_session(address):
            raise AssertionError("there is no cluster")


def test_what_ray_says_of_dead_processes_is_no_result(capsys: pytest.CaptureFixture[str]) -> None:
    say: Any = worker.print_to_stdstream
    told = {"lines": ["A worker died"], "pid": "raylet", "ip": "", "is_err": False, "job": None}
    say(told, ignore_prefix=False)
    out, err = capsys.readouterr()
    assert not out
    assert "A worker died" in err


def test_auto_without_a_cluster_is_told_without_joining_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def find_none(address: str) -> str:
        raise ConnectionError(address)

    monkeypatch.setattr(session, "canonicalize_bootstrap_address", find_none)
    with pytest.raises(ConfigError, match="--address auto: no running Ray was found"):
        check_cluster("auto")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    check_cluster("local")  # starts one where it is needed


TWICE = """
import os
import psutil
from histo_ray.cluster.session import ray_session
for _ in range(2):
    with ray_session("local", 1) as nodes:
        started = [" ".join(p.cmdline()) for p in psutil.Process().children(recursive=True)]
        names = "dashboard.py", "monitor.py"
        helpers = [name for name in names if any(name in command for command in started)]
        print(len(nodes), "RAY_AUTH_TOKEN" in os.environ, helpers)
    print("RAY_AUTH_TOKEN" in os.environ, "RAY_AUTH_MODE" in os.environ)
"""


@pytest.mark.ray
def test_a_process_starts_one_lean_ray_after_another_each_with_its_token_and_keeps_none() -> None:
    command = [sys.executable, "-c", TWICE]
    own = {name: value for name, value in os.environ.items() if not name.startswith("RAY_AUTH")}
    done = subprocess.run(command, env=own, capture_output=True, text=True, timeout=200)
    assert done.stdout.split("\n")[:4] == ["1 True []", "False False"] * 2, done.stderr
