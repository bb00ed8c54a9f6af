import resource
import subprocess
import sys
from collections import namedtuple

import pytest

from histo_ray.cluster.local_ray import check_machine
from histo_ray.errors import ConfigError

Usage = namedtuple("Usage", ["total", "used", "free"])

LIMITED = """
import resource, sys
from histo_ray.cluster.local_ray import check_machine
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]), int(sys.argv[2])))
check_machine(2)
print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


def check_limited(soft: int, hard: int) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", LIMITED, str(soft), str(hard)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_too_few_open_files_are_told_with_what_is_needed() -> None:
    told = check_limited(64, 64).stderr
    assert "may open 64 files here (ulimit -n), and Ray with 2 CPUs needs at least 288" in told


def test_a_soft_limit_is_raised_to_the_hard_one() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    wished = 1000 if hard == resource.RLIM_INFINITY else min(hard, 1000)
    done = check_limited(64, wished)
    assert done.stdout == f"{wished}\n", done.stderr


def test_a_full_scratch_disk_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    free = Usage(10**9, 10**9 - 5_000_000, 5_000_000)
    monkeypatch.setattr("histo_ray.cluster.local_ray.shutil.disk_usage", lambda place: free)
    with pytest.raises(ConfigError, match=r"5 MB are free in .*, where Ray keeps.*RAY_TMPDIR"):
        check_machine(2)
