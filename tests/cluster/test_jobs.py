"""`ray job submit` of the job files, to a cluster of its own with token authentication."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from histo_ray.config import ExtractConfig
from histo_ray.store.store import open_store
from tests.cluster.patients import write_labels, write_store

pytestmark = pytest.mark.ray
ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
RAY = str(BIN / "ray")
START_S = 180
TOKEN = "0123456789abcdef" * 4

MakeConfig = Callable[..., ExtractConfig]


@dataclass(frozen=True)
class Cluster:
    """A running head node, and how to reach it."""

    dashboard: str
    address: str
    environment: dict[str, str]


def takes_jobs(address: str) -> bool:
    """Whether the cluster accepts a job, asked as `ray job submit` asks, without its process."""
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{address}/api/jobs/", b'{"entrypoint": "true"}', headers)
    with contextlib.suppress(OSError), urllib.request.urlopen(request, timeout=START_S) as answer:
        return bool(answer.status == 200)
    return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """`ray start --head` on loopback with a token, as the README says."""
    folder = tmp_path_factory.mktemp("head")
    token = folder / "token"
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")} | {
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    }
    token.write_text(TOKEN)
    port, dashboard, agent = free_port(), free_port(), free_port()
    command: list[str] = [
        *(RAY, "start", "--head", "--block", "--node-ip-address=127.0.0.1"),
        *(f"--port={port}", f"--dashboard-port={dashboard}", "--dashboard-host=127.0.0.1"),
        f"--dashboard-agent-listen-port={agent}",  # the usual one is that of other tests' Ray
        *("--num-cpus=2", "--include-dashboard=true", "--object-store-memory=200000000"),
    ]
    log = folder / "head.log"
    with (
        log.open("wb") as stream,
        subprocess.Popen(
            command, env=environment, stdout=stream, stderr=stream, start_new_session=True
        ) as head,
    ):
        address = f"http://127.0.0.1:{dashboard}"
        try:
            deadline = time.monotonic() + START_S
            while not takes_jobs(address):
                assert head.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.5)
            yield Cluster(address, f"127.0.0.1:{port}", environment)
        finally:
            os.killpg(head.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                head.wait(5)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(head.pid, signal.SIGKILL)


def submit(
    cluster: Cluster, folder: Path, *entrypoint: str, **changes: str
) -> "subprocess.CompletedProcess[str]":
    command = [RAY, "job", "submit", "--address", cluster.dashboard]
    return subprocess.run(
        [*command, "--working-dir", str(folder), "--", *entrypoint],
        env=cluster.environment | changes,
        capture_output=True,
        text=True,
        timeout=240,
    )


@pytest.fixture
def shipped(tmp_path: Path) -> Path:
    """What a user ships: the code, without an installation, and nothing else."""
    folder = tmp_path / "shipped"
    for name in ("histo_ray", "jobs", "schemas"):
        shutil.copytree(
            ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.pyc")
        )
    return folder


def test_a_submitted_extraction_fills_the_store_and_its_log_and_exit_code_come_back(
    cluster: Cluster, shipped: Path, make_config: MakeConfig, tmp_path: Path
) -> None:
    config = make_config(tmp_path / "store")
    (shipped / "run.toml").write_text(
        f'manifest = "{config.manifest}"\nstore = "{config.store}"\n'
        f'encoder = ["{config.encoder[0]}"]\ntile_px = {config.tile_px}\nbatch_size = 16\n'
    )
    answer = submit(cluster, shipped, "python", "jobs/extract.py", "run.toml")
    told = answer.stdout + answer.stderr
    assert "6 slides x 1 encoder: 3 done, 1 empty, 2 failed" in told, told
    assert answer.returncode == 1, told  # two slides are broken on purpose
    assert open_store(config.store).verify() == (4, [])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "labels", "flags"),
    [
        ("expression", "expression.csv", ("--permutations", "100")),
        ("mutation", "mutations.csv", ("--genes", "driven.txt")),
    ],
)
def test_a_submitted_evaluation_prints_the_sentence_and_writes_its_tables(
    cluster: Cluster, shipped: Path, tmp_path: Path, task: str, labels: str, flags: tuple[str, ...]
) -> None:
    store = write_store(tmp_path)
    write_labels(tmp_path)
    (shipped / "driven.txt").write_text("TP53\n")
    (shipped / "run.toml").write_text(
        f'store = "{store}"\nlabels = "{tmp_path / labels}"\nencoder = ["dull", "sharp"]\n'
        "repeats = 2\nresamples = 200\n"
    )
    answer = submit(cluster, shipped, "python", f"jobs/evaluate_{task}.py", "run.toml", *flags)
    told = answer.stdout + answer.stderr
    assert answer.returncode == 0, told
    assert "2 x 5-fold cross-validation" in told, told
    (scores,) = Path(store).glob(f"evaluations/{task}/*/scores.parquet")
    assert pq.read_metadata(scores).num_rows


def test_jobs_that_cannot_start_say_why_in_one_line_each(
    cluster: Cluster, shipped: Path, tmp_path: Path
) -> None:
    """Of a manifest that is not there, and of what would be lost with the copy of the folder."""
    (shipped / "run.toml").write_text(
        f'manifest = "{tmp_path}/no.csv"\nstore = "{tmp_path}/s"\nencoder = ["resnet50"]\n'
    )
    run = "python jobs/extract.py run.toml"
    line = f"{run}; {run} --store s; {run} --manifest no.csv; test ! -e s"
    answer = submit(cluster, shipped, "sh", "-c", line)
    told = answer.stdout + answer.stderr
    assert answer.returncode == 0, told
    assert "no.csv: cannot be read" in told
    assert "store " in told
    assert "so what is written there is lost" in told
    assert "manifest no.csv: a relative path of a submitted job" in told
    assert "histo_ray/cli/main.py" not in told  # no traceback of ours


def test_without_the_token_nothing_is_run(cluster: Cluster, shipped: Path, tmp_path: Path) -> None:
    other = tmp_path / "other-token"
    other.write_text("f" * 64)
    marker = tmp_path / "was-run"
    answer = submit(cluster, shipped, "touch", str(marker), RAY_AUTH_TOKEN_PATH=str(other))
    assert answer.returncode != 0
    assert not marker.exists()
    command = [sys.executable, "-m", "histo_ray", "doctor", "--address", cluster.address]
    environment = cluster.environment | {"RAY_AUTH_TOKEN_PATH": str(other)}
    found = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    (told,) = (line for line in found.stdout.splitlines() if line.split()[1:2] == ["ray"])
    assert "Ray could not join the cluster" in told
    assert "its token is most often another: set RAY_AUTH_MODE=token" in told
