"""Synthetic slides, made-up partitions, settings and one local Ray for all tests that need them.

Slides are not square, a few hundred micrometres wide, and are written once a session.
"""

import csv
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import tifffile
from hypothesis import settings

from histo_ray.config import ExtractConfig
from histo_ray.store.partition import PartitionFacts
from histo_ray.store.store import open_store
from histo_ray.synth.scene import SlideDesign
from histo_ray.synth.slide_writer import write_slide
from histo_ray.synth.tissue_looks import GLANDULAR, INFLAMED, SOLID
from histo_ray.types import PartitionKey, TileRows
from testing.object_server import FaultyServer, aws_environment, serve_faults, serve_s3
from tests.made_up import facts_of, rows_of

ENCODER = "random:resnet10t?seed=0&px=64"
"""Encodes a tile in a few milliseconds."""
TILE_PX = 64
GOOD = ("good-a", "good-b", "good-c")

Pixels = npt.NDArray[np.uint8]
settings.register_profile("shared machine", deadline=None)
settings.load_profile("shared machine")
WIDTH, HEIGHT = 700, 420

MakeConfig = Callable[..., ExtractConfig]
Vectors = dict[PartitionKey, bytes]
MakeFacts = Callable[..., PartitionFacts]
MakeRows = Callable[..., Iterator[TileRows]]


def pytest_configure() -> None:
    """Hear Ctrl-C: started in a shell's background, this and every process of ours would not."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@dataclass(frozen=True)
class Cohort:
    """A folder of slides and its manifests."""

    folder: Path
    manifest: Path
    """good-a, good-b, good-c, empty, truncated and dark."""
    good: Path
    """Only the good ones."""


@pytest.fixture(scope="session")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    folder = tmp_path_factory.mktemp("cohort")
    good_a = SlideDesign((900, 620), 0.5, GLANDULAR, seed=1, tissue_share=0.55)
    write_slide(folder / "good-a.svs", good_a)
    write_slide(folder / "good-b.svs", SlideDesign((1300, 980), 0.25, SOLID, 2, tissue_share=0.6))
    write_slide(folder / "good-c.svs", SlideDesign((700, 540), 0.5, INFLAMED, 3, tissue_share=0.6))
    write_slide(folder / "empty.svs", SlideDesign((640, 500), 0.5, SOLID, 4, tissue_share=0.0))
    whole = (folder / "good-a.svs").read_bytes()
    (folder / "truncated.svs").write_bytes(whole[: len(whole) // 3])
    night = np.zeros((500, 700, 3), np.uint8)
    cv2.circle(night, (350, 250), 120, (200, 40, 40), -1)
    cv2.imwrite(str(folder / "dark.png"), night)
    rows = [(name, f"{name}.svs", "") for name in (*GOOD, "empty", "truncated")]
    manifest = write_manifest(folder / "all.csv", [*rows, ("dark", "dark.png", "0.5")])
    return Cohort(folder, manifest, write_manifest(folder / "good.csv", rows[: len(GOOD)]))


def write_manifest(path: Path, rows: list[tuple[str, str, str]]) -> Path:
    """A manifest of (slide_id, path, mpp)."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([("slide_id", "path", "mpp"), *rows])
    return path


@pytest.fixture(scope="session")
def make_config(cohort: Cohort) -> MakeConfig:
    """Settings of a run over the cohort into a store; keyword arguments change them."""

    def make(store: Path, **changes: Any) -> ExtractConfig:
        settings: dict[str, Any] = {
            "manifest": str(cohort.manifest),
            "encoder": (ENCODER,),
            "tile_px": TILE_PX,
            "batch_size": 16,
            "device": "cpu",
            "encoder_threads": 1,
        }
        return ExtractConfig(store=str(store), **(settings | changes))

    return make


@pytest.fixture(scope="session")
def read_vectors() -> Callable[[Path | str], Vectors]:
    """Reads the bytes of all vectors of a store, by partition."""

    def read(store: Path | str) -> Vectors:
        opened = open_store(str(store))
        return {
            key: opened.bag(key.slide_id, key.encoder, key.tiling).embeddings.tobytes()
            for key in opened.list_keys()
        }

    return read


@pytest.fixture(scope="session")
def shared_ray() -> Iterator[None]:
    """One local Ray for the session; `ray_session` joins it."""
    from histo_ray.cluster.session import ray_session  # importing Ray takes seconds

    with ray_session("local", cpus=2):
        yield


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """A real S3-speaking server process, holding buckets named `bucket` and `slides`."""
    with serve_s3("bucket", "slides") as endpoint:
        yield endpoint


@pytest.fixture(scope="session")
def faulty_server(s3_endpoint: str) -> Iterator[FaultyServer]:
    """A process in front of it that can be told to fail."""
    with serve_faults(s3_endpoint) as server:
        yield server


@pytest.fixture
def s3(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The server's address, with the environment set to use it."""
    use_endpoint(s3_endpoint, monkeypatch)
    return s3_endpoint


@pytest.fixture
def faulty(faulty_server: FaultyServer, monkeypatch: pytest.MonkeyPatch) -> FaultyServer:
    """The server that fails, with the environment set to use it, so far without faults."""
    faulty_server.set_faults()
    use_endpoint(faulty_server.endpoint, monkeypatch)
    return faulty_server


def use_endpoint(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the environment of this test, and of its processes, to use a server."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in aws_environment(endpoint).items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, value)


@pytest.fixture(scope="session")
def gradient() -> Pixels:
    """(420, 700, 3): red rises with x, green with y, blue stays."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    blue = np.full_like(x, 40)
    return np.stack([x * 255 // (WIDTH - 1), y * 255 // (HEIGHT - 1), blue], -1).astype(np.uint8)


@pytest.fixture(scope="session")
def tiled_tiff(tmp_path_factory: pytest.TempPathFactory, gradient: Pixels) -> Path:
    """A two-level tiled TIFF that OpenSlide takes; 0.5 mpp along x and 0.25 along y."""
    path = tmp_path_factory.mktemp("tiff") / "pyramid.tif"
    options: dict[str, Any] = {"tile": (128, 128), "photometric": "rgb", "compression": "deflate"}
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(gradient, resolution=(20_000, 40_000), resolutionunit="CENTIMETER", **options)
        tiff.write(gradient[::4, ::4], subfiletype=1, **options)
    return path


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real slides and tiles."""
    folder = os.environ.get("HISTO_RAY_TEST_DATA")
    if not folder:
        pytest.skip("HISTO_RAY_TEST_DATA is unset: real slides are not at hand")
    return Path(folder)


@pytest.fixture(scope="session")
def make_facts() -> MakeFacts:
    return facts_of


@pytest.fixture(scope="session")
def make_rows() -> MakeRows:
    return rows_of
