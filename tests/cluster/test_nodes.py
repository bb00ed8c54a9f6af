"""Nodes join and leave in mid-run, on a cluster of several raylets with addresses of their own."""

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from histo_ray.store.extraction_record import RunRecord
from histo_ray.store.run_tables import list_runs
from histo_ray.store.store import open_store
from testing import extraction_runs as runs
from testing.raylets import BIN, RayCluster, RayNode, ray_cluster
from tests.cluster.patients import write_labels, write_store
from tests.made_up import draw_tiles

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(900)]
TRIAL_S = 300


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayCluster]:
    """A head that gives no CPU."""
    with ray_cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        cluster.start_head()
        yield cluster


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return runs.write_slides(tmp_path_factory.mktemp("slides"))


@pytest.fixture
def one_node(cluster: RayCluster) -> Iterator[RayNode]:
    """The only node of the cluster that gives a CPU; others of the test leave with it."""
    yield cluster.add()
    for node in list(cluster.workers):
        cluster.remove(node)


def await_that(is_so: Callable[[], Any]) -> None:
    deadline = time.monotonic() + TRIAL_S
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def titles(node: RayNode) -> list[str]:
    return [runs.title_of(process) for process in runs.tree(node)]


def last_record(store: Path) -> RunRecord:
    (record,) = list_runs(str(store), 1).records
    return record


def test_a_node_that_joins_in_mid_run_encodes_and_one_that_leaves_costs_no_slide(
    cluster: RayCluster, one_node: RayNode, manifest: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    driver = runs.run(cluster, manifest, store)
    runs.await_work(driver)
    newcomer = cluster.add()
    await_that(lambda: driver.poll() is not None or "EncoderWorker.encode" in titles(newcomer))
    one_node.kill()
    code, told, _ = runs.watch(driver)
    assert code == 0, told
    record = last_record(store)
    head_and_two = 3
    assert (record.nodes, record.encoder_workers, record.deaths >= 1) == (head_and_two, 2, True)
    assert record.outcomes == {"done": runs.SLIDES}
    assert open_store(str(store)).verify() == (runs.SLIDES, [])


def test_a_node_that_died_a_moment_ago_does_not_hold_up_a_run(
    cluster: RayCluster, one_node: RayNode, manifest: Path, tmp_path: Path
) -> None:
    """Ray takes it for alive for 40 s, and the run's processes for it never get another node."""
    cluster.add().kill()
    code, told, _ = runs.watch(runs.run(cluster, manifest, tmp_path / "store"))
    assert code == 0, told
    assert last_record(tmp_path / "store").outcomes == {"done": runs.SLIDES}


def test_encoders_go_to_nodes_with_a_gpu_and_readers_to_all(
    cluster: RayCluster, one_node: RayNode, manifest: Path, tmp_path: Path
) -> None:
    """Ray only counts the GPU: the encoder finds none there, and does not fall back to the CPU."""
    gpu_node = cluster.add(cpus=1, gpus=1)
    driver = runs.run(cluster, manifest, tmp_path / "store", device="auto", readers=2)
    with_gpu, without = set[str](), set[str]()

    def both_seen() -> bool:
        for node, seen in ((gpu_node, with_gpu), (one_node, without)):
            seen.update(name.partition(".")[0] for name in titles(node))
        return driver.poll() is not None or ("EncoderWorker" in with_gpu and "Reader" in without)

    await_that(both_seen)
    assert "EncoderWorker" in with_gpu
    assert "EncoderWorker" not in without
    assert "Reader" in without
    code, told, _ = runs.watch(driver)
    assert code == 2, told
    assert "asks for a GPU, and torch sees none here" in told
    assert "--device cpu" in told


def test_a_head_that_is_lost_ends_the_run_and_a_new_one_completes_it(
    cluster: RayCluster, one_node: RayNode, manifest: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    driver = runs.run(cluster, manifest, store)
    await_that(lambda: list(store.glob("embeddings/*/*/*.parquet")))
    assert cluster.head
    cluster.head.kill()
    code, told, _ = runs.watch(driver)
    assert code == 2, told
    assert "start the cluster again, and the same command finishes" in told
    assert last_record(store).state == "stopped"
    cluster.stop()
    cluster.start_head()
    cluster.add()
    assert runs.watch(runs.run(cluster, manifest, store))[0] == 0
    assert open_store(str(store)).verify() == (runs.SLIDES, [])


def submit(cluster: RayCluster, folder: Path, job: str) -> "subprocess.CompletedProcess[str]":
    """Ship a folder, run a job file with its `run.toml`, wait."""
    path = Path(__file__).resolve().parents[2] / "jobs" / job
    command = [str(BIN / "ray"), "job", "submit", "--address", cluster.dashboard]
    return subprocess.run(
        [*command, "--working-dir", str(folder), "--", "python", str(path), "run.toml"],
        env=cluster.environment,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("task", ["expression", "mutation"])
def test_submitted_evaluations_of_patients_run_on_several_nodes(
    cluster: RayCluster, one_node: RayNode, tmp_path: Path, task: str
) -> None:
    cluster.add()
    store = write_store(tmp_path)
    write_labels(tmp_path)
    labels = tmp_path / {"expression": "expression.csv", "mutation": "mutations.csv"}[task]
    (tmp_path / "genes.txt").write_text("TP53\n" if task == "mutation" else "G0\n")
    (tmp_path / "run.toml").write_text(
        f'store = "{store}"\nlabels = "{labels}"\nencoder = ["dull", "sharp"]\n'
        'genes = "genes.txt"\nrepeats = 2\nresamples = 200\n'
        + ("permutations = 100\n" if task == "expression" else "")
    )
    answer = submit(cluster, tmp_path, f"evaluate_{task}.py")
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert list(Path(store).glob(f"evaluations/{task}/*/scores.parquet"))


def test_submitted_training_and_its_evaluation_run_on_several_nodes(
    cluster: RayCluster, one_node: RayNode, tmp_path: Path
) -> None:
    cluster.add()
    store, tiles, base = tmp_path / "store", tmp_path / "tiles", "random:resnet10t?seed=0&px=64"
    draw_tiles(tiles, 24, seed=0)
    (tmp_path / "run.toml").write_text(
        f'store = "{store}"\ntiles = "{tiles}"\nencoder = "{base}"\nname = "tuned"\n'
        'device = "cpu"\nworkers = 2\nthreads = 1\nset = ["network.epochs=1", "batch_size=16"]\n'
    )
    answer = submit(cluster, tmp_path, "finetune.py")
    assert answer.returncode == 0, answer.stdout + answer.stderr
    (tmp_path / "run.toml").write_text(
        f'store = "{store}"\ntiles = "{tiles}"\nencoder = ["{base}", "tuned"]\ndevice = "cpu"\n'
        "folds = 3\nrepeats = 2\nresamples = 200\nallow_contract_break = true\n"
    )
    answer = submit(cluster, tmp_path, "evaluate_tissue.py")
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert list(store.glob("evaluations/tissue/*/scores.parquet"))


def test_a_submitted_job_runs_on_several_nodes_and_stops_when_told(
    cluster: RayCluster, one_node: RayNode, manifest: Path, tmp_path: Path
) -> None:
    cluster.add()
    store = tmp_path / "store"
    (tmp_path / "run.toml").write_text(
        f'manifest = "{manifest}"\nstore = "{store}"\nencoder = ["{runs.ENCODER}"]\n'
        'tile_px = 64\nbatch_size = 16\ndevice = "cpu"\nencoder_threads = 1\n'
    )
    job = Path(__file__).resolve().parents[2] / "jobs/extract.py"
    first = [str(BIN / "ray"), "job", "submit", "--address", cluster.dashboard, "--no-wait"]
    first += ["--submission-id", "stopped", "--working-dir", str(tmp_path), "--"]
    first += ["python", str(job), "run.toml"]

    def ray(*arguments: str) -> str:
        answer = subprocess.run(
            [str(BIN / "ray"), "job", *arguments, "--address", cluster.dashboard],
            env=cluster.environment,
            capture_output=True,
            text=True,
        )
        return answer.stdout + answer.stderr

    subprocess.run(first, env=cluster.environment, check=True, capture_output=True)
    await_that(lambda: list(store.glob("embeddings/*/*/*.parquet")))
    told = ray("stop", "stopped") + ray("logs", "stopped")
    assert "Job 'stopped' was stopped" in told
    assert "Traceback" not in told
    await_that(lambda: not runs.processes("EncoderWorker") and not runs.processes("Reader"))
    assert last_record(store).state == "interrupted"
    again = submit(cluster, tmp_path, "extract.py")
    assert again.returncode == 0, again.stdout + again.stderr
    assert last_record(store).nodes == 3
    assert open_store(str(store)).verify() == (runs.SLIDES, [])
