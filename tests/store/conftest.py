"""Facts and rows of made-up partitions, and an S3-speaking server."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from histo_ray.store.partition import PartitionFacts
from histo_ray.store.store import Store, open_store
from histo_ray.types import EncoderFacts, SlideFacts, TileRows, TilingFacts

MakeFacts = Callable[..., PartitionFacts]
MakeRows = Callable[..., Iterator[TileRows]]


def facts_of(
    slide_id: str = "S1",
    encoder: str = "e",
    tiling: str = "abc123",
    dim: int = 5,
    dtype: Any = "float16",
    **changes: Any,
) -> PartitionFacts:
    slide = SlideFacts(
        slide_id=slide_id,
        patient_id=changes.pop("patient_id", f"P-{slide_id}"),
        site="",
        path=f"/slides/{slide_id}.svs",
        fingerprint="f" * 64,
        size_px=(1200, 700),
        mpp=(0.25, 0.26),
        mpp_source="file",
        reader="openslide",
        vendor="aperio",
    )
    grid = TilingFacts(
        fingerprint=tiling,
        settings={"mpp": 0.5},
        level=0,
        downsample=(1.0, 1.0),
        side=(448.0, 431.0),
        realised_mpp=(0.5, 0.5),
        tissue_method="otsu",
        tissue_digest="",
    )
    about = EncoderFacts(
        name=encoder,
        request=encoder,
        architecture="made up",
        weights_sha256=changes.pop("weights", "a" * 64),
        dim=dim,
        input_px=changes.pop("input_px", 224),
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        interpolation="bicubic",
        pool="avg",
        dtype=dtype,
        precision="float32",
        device="cpu",
        batch_norm_folded=True,
        contract_broken="",
    )
    return PartitionFacts(slide, grid, about, changes.pop("run_id", "run1"), **changes)


def rows_of(
    count: int, dim: int = 5, dtype: str = "float16", seed: int = 0, block: int = 37
) -> Iterator[TileRows]:
    """Rows whose coords reach both far edges of a 1200 x 700 slide."""
    random = np.random.default_rng(seed)
    for start in range(0, count, block):
        n = min(block, count - start)
        coords = random.integers(0, [1200, 700], (n, 2)).astype(np.int32)
        coords[-1] = 1199, 699
        vectors = random.standard_normal((n, dim)).astype(dtype)
        vectors[0, 0] = -0.0
        tissue, focus = random.random(n, dtype=np.float32), random.random(n, dtype=np.float32)
        yield TileRows(coords, tissue, focus * 900, vectors)


@pytest.fixture(scope="session")
def make_facts() -> MakeFacts:
    return facts_of


@pytest.fixture(scope="session")
def make_rows() -> MakeRows:
    return rows_of


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"), create=True)


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """A real S3-speaking server process, holding one bucket named `bucket`."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            _wait_for(port)
            endpoint = f"http://127.0.0.1:{port}"
            _make_bucket(endpoint)
            yield endpoint
        finally:
            server.terminate()


@pytest.fixture
def s3(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The server's address, with the environment set to use it."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "dummy")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "dummy")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    return s3_endpoint


def _wait_for(port: int) -> None:
    for _ in range(300):
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise TimeoutError(f"no server on port {port}")


def _make_bucket(endpoint: str) -> None:
    from pyarrow import fs

    system = fs.S3FileSystem(
        access_key="dummy",
        secret_key="dummy",
        region="us-east-1",
        scheme="http",
        endpoint_override=endpoint.removeprefix("http://"),
        allow_bucket_creation=True,
    )
    system.create_dir("bucket")
