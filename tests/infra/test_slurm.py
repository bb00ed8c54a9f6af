"""The SLURM script, on stand-ins for SLURM, Python and Ray: what it starts, and how it ends."""

import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.infra.files import INFRA, ROOT
from tests.infra.slurm import Slurm, ended

SHELL = [*sorted(INFRA.rglob("*.sh")), INFRA / "slurm/ray.sbatch", INFRA / "container/histo-ray"]
JOB = ("jobs/extract.py", "run.toml")


@pytest.fixture
def slurm(tmp_path: Path) -> Slurm:
    return Slurm(tmp_path).install(stand_ins=True)


@pytest.mark.parametrize("script", SHELL, ids=lambda path: path.name)
def test_bash_can_read_it(script: Path) -> None:
    subprocess.run(["bash", "-n", script], check=True)


def test_shellcheck_finds_nothing() -> None:
    if not shutil.which("shellcheck"):
        pytest.skip("shellcheck is not installed (Debian: apt-get install shellcheck)")
    subprocess.run(["shellcheck", "-x", "-P", ROOT, *SHELL], cwd=ROOT, check=True)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Slurm:
    """A job on one node that has come to its end."""
    slurm = Slurm(tmp_path_factory.mktemp("done")).install(stand_ins=True)
    code, output = ended(slurm.start(*JOB, FAKE_EXIT="0"))
    assert code == 0, output
    return slurm


def test_the_first_node_is_a_head_whose_dashboard_is_on_loopback(done: Slurm) -> None:
    (ray,) = done.lines("ray")
    assert "start --block" in ray
    assert "--head --port=40001" in ray
    assert "--dashboard-host=127.0.0.1 --dashboard-port=40002" in ray
    assert "--num-cpus=2 --num-gpus=0" in ray
    assert done.lines("job") == [
        "infra/with_nodes.py --nodes 1 --wait-s 300 jobs/extract.py run.toml"
    ]


def test_ports_are_the_systems_choice_so_that_two_jobs_on_a_node_never_meet(done: Slurm) -> None:
    (ray,) = done.lines("ray")
    ports = [word.split("=") for word in ray.split() if "-port=" in word]
    chosen = {"--port", "--dashboard-port", "--ray-client-server-port"}
    assert {value for name, value in ports if name not in chosen} == {"0"}
    assert len(ports) == 11


def test_ray_gets_the_memory_that_slurm_granted(done: Slurm) -> None:
    (ray,) = done.lines("ray")
    options = dict(word.split("=") for word in ray.split() if "memory=" in word)
    store, heap = int(options["--object-store-memory"]), int(options["--memory"])
    assert 0 < store <= 600 * 1024**2
    assert store + heap == 1800 * 1024**2


def test_the_token_is_made_for_the_job_and_only_its_user_can_read_it(done: Slurm) -> None:
    assert done.lines("modes") == ["600", "700"]
    assert done.lines("length") == ["64"]


@pytest.mark.parametrize("code", [1, 2])
def test_the_jobs_exit_code_is_the_scripts_and_nothing_is_left(slurm: Slurm, code: int) -> None:
    found, output = ended(slurm.start(*JOB, FAKE_EXIT=str(code)))
    assert found == code, output
    assert slurm.leftovers() == []
    assert slurm.lines("requeued") == []


def test_ray_that_does_not_start_is_tried_again(slurm: Slurm) -> None:
    code, output = ended(slurm.start(*JOB, FAKE_EXIT="0", FAKE_FAILURES="1"))
    assert code == 0, output
    assert len(slurm.lines("ray")) == 2


def test_ray_that_never_starts_is_told(slurm: Slurm) -> None:
    process = slurm.start(*JOB, FAKE_FAILURES="99", HISTO_RAY_START_S="0")
    assert process.stdout
    assert any("Ray ended by itself (exit code 1)" in line for line in process.stdout)
    ended(process, signal.SIGUSR1)


def test_a_heterogeneous_job_has_one_head_and_its_gpus(slurm: Slurm) -> None:
    components = {
        "SLURM_HET_SIZE": "2",
        "SLURM_JOB_NUM_NODES_HET_GROUP_0": "1",
        "SLURM_JOB_NUM_NODES_HET_GROUP_1": "3",
        "SLURM_CPUS_PER_TASK_HET_GROUP_0": "4",
        "SLURM_CPUS_PER_TASK_HET_GROUP_1": "8",
        "CUDA_VISIBLE_DEVICES": "0,3",
    }
    process = slurm.start(*JOB, **components)
    slurm.lines("ray", wait_for=2)
    slurm.lines("job", wait_for=1)
    ended(process, signal.SIGUSR1)
    first, second = sorted(slurm.lines("srun"), key=lambda line: "--het-group=1" in line)
    assert "--nodes=1 --ntasks=1" in first
    assert "--cpus-per-task=4 --het-group=0" in first
    assert "--nodes=3 --ntasks=3" in second
    assert "--cpus-per-task=8 --het-group=1" in second
    heads = [line for line in slurm.lines("ray") if "--head" in line]
    workers = [line for line in slurm.lines("ray") if "--address=127.0.0.1:40001" in line]
    assert (len(heads), len(workers)) == (1, 1)
    assert "--num-cpus=8 --num-gpus=2" in workers[0]
    assert "--nodes 4 " in slurm.lines("job")[0]


@pytest.mark.parametrize(
    ("variables", "gpus"),
    [
        ({}, 0),
        ({"SLURM_GPUS_ON_NODE": "2"}, 2),
        ({"CUDA_VISIBLE_DEVICES": "0,3", "SLURM_GPUS_ON_NODE": "4"}, 2),
        ({"CUDA_VISIBLE_DEVICES": "NoDevFiles", "SLURM_GPUS_ON_NODE": "4"}, 0),
        ({"CUDA_VISIBLE_DEVICES": "", "SLURM_GPUS_ON_NODE": "4"}, 0),
        ({"CUDA_VISIBLE_DEVICES": "MIG-6c4b8ad3-0,MIG-77f2d0c1-1,MIG-b1"}, 3),
        ({"CUDA_VISIBLE_DEVICES": "GPU-1f2e,GPU-3a4b"}, 2),
    ],
)
def test_ray_gets_the_cards_that_slurm_granted(
    slurm: Slurm, variables: dict[str, str], gpus: int
) -> None:
    code, output = ended(slurm.start(*JOB, FAKE_EXIT="0", **variables))
    assert code == 0, output
    (ray,) = slurm.lines("ray")
    assert f"--num-gpus={gpus} " in ray


def test_near_the_time_limit_the_job_is_interrupted_and_goes_back_into_the_queue(
    slurm: Slurm,
) -> None:
    process = slurm.start(*JOB)
    slurm.lines("job", wait_for=1)
    code, output = ended(process, signal.SIGUSR1)
    assert code == 0
    assert "back into the queue (restart 1 of at most 20)" in output
    assert slurm.lines("requeued") == [slurm.job_id]
    assert slurm.leftovers() == []


def test_it_does_not_go_back_for_ever(slurm: Slurm) -> None:
    process = slurm.start(*JOB, SLURM_RESTART_COUNT="2", HISTO_RAY_RESTARTS="2")
    slurm.lines("job", wait_for=1)
    code, output = ended(process, signal.SIGUSR1)
    assert code == 130
    assert "the same sbatch command finishes what is missing" in output
    assert slurm.lines("requeued") == []


def test_cancelled_it_ends_and_stays_out_of_the_queue(slurm: Slurm) -> None:
    process = slurm.start(*JOB)
    slurm.lines("job", wait_for=1)
    code, output = ended(process, signal.SIGTERM)
    assert code == 130
    assert "asked to stop" in output
    assert slurm.lines("requeued") == []
    assert slurm.leftovers() == []


@pytest.mark.parametrize(
    ("job", "variables", "told"),
    [
        ((), {}, "no job file"),
        (("jobs/nothing.py",), {}, "jobs/nothing.py: no such job file"),
        (JOB, {"SLURM_JOB_ID": ""}, "start it with: sbatch"),
        (JOB, {"SLURM_SUBMIT_DIR": "/tmp"}, "run sbatch in the root of the repository"),
        (JOB, {"HISTO_RAY_PYTHON": "/nowhere/python"}, "run make setup here"),
    ],
)
def test_what_is_missing_is_told_before_anything_starts(
    slurm: Slurm, job: tuple[str, ...], variables: dict[str, str], told: str
) -> None:
    code, output = ended(slurm.start(*job, **variables))
    assert code == 2
    assert told in output
    assert slurm.lines("srun") == []
