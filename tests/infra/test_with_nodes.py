"""Asking for nodes and waiting for them, on a Ray that is made up."""

import os
import signal
import subprocess
import sys
from typing import Any

import pytest

from infra import with_nodes
from tests.infra.files import ROOT


class MadeUpRay:
    """A cluster that has grown to its size after some looks at it."""

    def __init__(self, cpus: int, gpus: int, looks: int) -> None:
        self.offer, self.looks, self.joined = {"CPU": cpus, "GPU": gpus}, looks, False

    def is_initialized(self) -> bool:
        return self.joined

    def init(self, **_: Any) -> None:
        self.joined = True

    def shutdown(self) -> None:
        self.joined = False

    def nodes(self) -> list[dict[str, bool]]:
        self.looks -= 1
        return [{"Alive": True}, {"Alive": self.looks <= 0}]

    def cluster_resources(self) -> dict[str, int]:
        return self.offer if self.looks <= 0 else {}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the autoscaler was told."""
    told: list[dict[str, Any]] = []
    monkeypatch.setattr(with_nodes, "request_resources", lambda **kind: told.append(kind))
    monkeypatch.setattr("infra.with_nodes.time.sleep", lambda _: None)
    return told


def test_it_waits_until_what_was_asked_for_is_there(
    monkeypatch: pytest.MonkeyPatch, asked: list[dict[str, Any]]
) -> None:
    monkeypatch.setattr(with_nodes, "ray", MadeUpRay(cpus=64, gpus=2, looks=3))
    assert with_nodes.wait_for_nodes(2, 64, 2, wait_s=60)
    assert asked == [{"num_cpus": 64, "bundles": [{"GPU": 1, "CPU": 1}] * 2}]


def test_only_gpus_of_the_kind_that_was_asked_for_count(
    monkeypatch: pytest.MonkeyPatch, asked: list[dict[str, Any]]
) -> None:
    made_up = MadeUpRay(cpus=64, gpus=3, looks=1)
    offers: list[dict[str, float]] = [{"GPU": 2, "accelerator_type:V100": 1}, {"CPU": 64}]
    monkeypatch.setattr(
        made_up, "nodes", lambda: [{"Alive": True, "Resources": offer} for offer in offers]
    )
    made_up.looks = 0
    monkeypatch.setattr(with_nodes, "ray", made_up)
    assert not with_nodes.wait_for_nodes(1, 0, 1, wait_s=0.2, kind="A100")
    assert asked[0]["bundles"] == [{"GPU": 1, "CPU": 1, "accelerator_type:A100": 0.001}]
    offers.append({"GPU": 1, "accelerator_type:A100": 1})
    assert with_nodes.wait_for_nodes(1, 0, 1, wait_s=60, kind="A100")


def test_a_cluster_of_fixed_size_is_asked_for_nothing(
    monkeypatch: pytest.MonkeyPatch, asked: list[dict[str, Any]]
) -> None:
    monkeypatch.setattr(with_nodes, "ray", MadeUpRay(cpus=4, gpus=0, looks=1))
    assert with_nodes.wait_for_nodes(2, 0, 0, wait_s=60)
    assert asked == []


def test_too_few_nodes_are_told_and_the_job_does_not_run(
    monkeypatch: pytest.MonkeyPatch,
    asked: list[dict[str, Any]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(with_nodes, "ray", MadeUpRay(cpus=4, gpus=0, looks=1))
    code = with_nodes.main(["--cpus", "4", "--gpus", "1", "--wait-s", "0.2", "job.py"])
    assert code == 2
    assert "4 of 4 CPUs, 0 of 1 GPUs" in capsys.readouterr().err
    assert asked[-1] == {"num_cpus": 0, "bundles": []}  # let go again


@pytest.mark.parametrize(
    ("program", "code"),
    [("raise SystemExit(1)", 1), ("import os; os.kill(os.getpid(), 9)", 137)],
)
def test_the_jobs_exit_code_is_handed_on(program: str, code: int) -> None:
    before = signal.getsignal(signal.SIGTERM)
    assert with_nodes.run_job([sys.executable, "-c", program]) == code
    assert signal.getsignal(signal.SIGTERM) is before


def test_stopped_with_its_group_it_waits_for_the_job_and_hands_on_its_exit_code() -> None:
    job = "import signal, time\ntry: print('up', flush=True); time.sleep(60)\n"
    job += "except KeyboardInterrupt: raise SystemExit(130)"
    runner = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    runner += f"from infra.with_nodes import run_job; job = {job!r}; "  # also below nohup and &
    runner += "sys.exit(run_job([sys.executable, '-c', job]))"
    with subprocess.Popen(
        [sys.executable, "-c", runner], stdout=subprocess.PIPE, start_new_session=True, cwd=ROOT
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == b"up\n"
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(60) == 130
