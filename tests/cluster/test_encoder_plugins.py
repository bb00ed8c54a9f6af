"""A package of a user's own brings an encoder, and goes through everything on two nodes."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from histo_ray.store.store import open_store
from histo_ray.synth.scene import SlideDesign
from histo_ray.synth.slide_writer import write_slide
from histo_ray.synth.tissue_looks import GLANDULAR, SOLID
from testing.plugin_package import write_module, write_package
from testing.raylets import BIN, RayCluster, ray_cluster
from testing.segmenter_package import write_segmenter

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(900)]
PATIENTS, OTHERS = 24, 4
WIDTHS = (640, 560)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Slides of two looks, a gene that follows the look, and the package."""
    folder = tmp_path_factory.mktemp("plugin")
    write_package(folder / "installed", "quarters96")
    (folder / "own").mkdir()
    loose = write_module(folder / "own", "loose_plugin", seed=1)
    told = '"optical density of each channel, clipped at 2"'
    loose.write_text(loose.read_text().replace(told, "__file__"))  # says where it runs from
    rows = []
    for number in range(PATIENTS + OTHERS):
        look = (GLANDULAR, SOLID)[number % 2]
        design = SlideDesign((WIDTHS[number % 2], 480), 0.5, look, seed=number, tissue_share=0.6)
        write_slide(folder / f"s{number}.svs", design)
        rows.append((f"s{number}", f"s{number}.svs", f"P{number}", "true"))
    columns = ["slide_id", "path", "patient_id", "synthetic"]
    frame = pd.DataFrame(rows, columns=columns)
    frame[:PATIENTS].to_csv(folder / "slides.csv", index=False)
    frame[PATIENTS:].to_csv(folder / "others.csv", index=False)
    labels = {
        "patient_id": [f"P{number}" for number in range(PATIENTS)],
        "TP53": [number % 2 for number in range(PATIENTS)],
    }
    pd.DataFrame(labels).to_csv(folder / "genes.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def cluster(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayCluster]:
    """A head without CPUs and two nodes, where the package is installed."""
    path = os.pathsep.join([str(folder / "installed"), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path}
    with ray_cluster(tmp_path_factory.mktemp("cluster"), environment) as cluster:
        cluster.start_head()
        cluster.add()
        cluster.add()
        yield cluster


def run(cluster: RayCluster, folder: Path, *words: str, own: dict[str, str] | None = None) -> str:
    """A command as a person types it in `folder`; what it prints. `own`: its environment alone."""
    done = subprocess.run(
        [str(BIN / "histo-ray"), *words],
        cwd=folder, env=cluster.environment | (own or {}), capture_output=True, text=True,
        timeout=400,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-1500:] + done.stderr[-1500:]
    return done.stdout


def extract(
    cluster: RayCluster, folder: Path, encoder: str, manifest: str = "slides.csv",
    store: str = "store", address: str = "", own: dict[str, str] | None = None,
    more: tuple[str, ...] = (),
) -> str:  # fmt: skip
    return run(
        cluster, folder, "extract", "--manifest", manifest, "--store", store, "--encoder",
        encoder, "--tile-px", "96", "--mpp", "0.5", "--device", "cpu", "--batch-size", "16",
        "--encoder-threads", "1", *(() if address else ("--encoder-workers", "2")),
        "--address", address or cluster.address, *more, own=own,
    )  # fmt: skip


def test_a_package_of_ones_own_goes_through_everything_on_two_nodes(
    cluster: RayCluster, folder: Path
) -> None:
    planned = run(
        cluster, folder, "plan", "--manifest", "slides.csv", "--store", "store", "--encoder",
        "quarters96", "--tile-px", "96", "--device", "cpu", "--address", cluster.address,
    )  # fmt: skip
    assert "24" in planned
    extract(cluster, folder, "quarters96")
    store = open_store(str(folder / "store"))
    keys = sorted(store.list_keys("quarters96"))
    assert len(keys) == PATIENTS
    facts = store.read_receipt(keys[0]).encoder
    assert (facts.dim, facts.input_px, facts.licence) == (20, 96, "mit")
    assert facts.plugin == "quarters_plugin:make_encoder of quarters_plugin 3.1"
    assert facts.preprocessing == "optical density of each channel, clipped at 2"
    assert len(facts.weights_sha256) == 64
    assert store.verify() == (PATIENTS, [])

    common = ("--store", "store", "--labels", "genes.csv", "--encoder", "quarters96")
    told = json.loads(
        run(cluster, folder, "evaluate", "mutation", *common, "--repeats", "2", "--json")
    )
    assert told
    run(cluster, folder, "fit", "mutation", *common, "--name", "by-quarters")
    extract(cluster, folder, "quarters96", manifest="others.csv", store="others", address="none")
    words = ("--predictor", "by-quarters", "--from-store", "store", "--store", "others")
    run(cluster, folder, "predict", *words)
    (found,) = (folder / "others" / "predictions" / "by-quarters").glob("*/patients.parquet")
    assert len(pd.read_parquet(found)) == OTHERS

    listed = run(cluster, folder, "encoders", "--licence", "MIT")
    assert "quarters96" in listed


def test_a_module_that_the_nodes_lack_is_sent_to_them(cluster: RayCluster, folder: Path) -> None:
    path = f"{folder / 'own'}{os.pathsep}{cluster.environment['PYTHONPATH']}"  # the driver's alone
    extract(cluster, folder, "loose_plugin:make_encoder", own={"PYTHONPATH": path})
    store = open_store(str(folder / "store"))
    keys = sorted(store.list_keys("loose_plugin-make_encoder"))
    assert len(keys) == PATIENTS
    facts = store.read_receipt(keys[0]).encoder
    assert facts.plugin == "loose_plugin:make_encoder"
    assert "py_modules" in facts.preprocessing  # Ray's folder of what was sent


def test_a_segmenter_that_the_nodes_lack_is_sent_to_them(cluster: RayCluster, folder: Path) -> None:
    write_segmenter(folder / "own", "loose_segmenter")
    path = f"{folder / 'own'}{os.pathsep}{cluster.environment['PYTHONPATH']}"  # the driver's alone
    words = ("--tissue", "loose_segmenter:make_segmenter", "--mask-classes", "tissue")
    extract(cluster, folder, "quarters96", store="masked", own={"PYTHONPATH": path}, more=words)
    store = open_store(str(folder / "masked"))
    keys = sorted(store.list_keys("quarters96"))
    assert len(keys) == PATIENTS
    facts = store.read_receipt(keys[0]).tiling.segmenter
    assert facts is not None
    assert facts.plugin == "loose_segmenter:make_segmenter"
    assert facts.taken == ("tissue",)
