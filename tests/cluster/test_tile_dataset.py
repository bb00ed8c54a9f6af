"""Ray Data reads a store: by its own reader of Parquet, and by `store.to_ray`."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import histo_ray as hr
from histo_ray.cluster import session
from histo_ray.store.layout import Form
from tests.made_up import facts_of, rows_of

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of Ray Data's own settings
COUNTS = {"S1": 30, "S2": 7}
WIDTHS = {"narrow": 5, "wide": 9}
FORMS: list[Form] = ["parquet", "zarr"]


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Two slides of two encoders, as Parquet, and one of them as Zarr."""
    made: dict[str, Any] = {}
    for name in FORMS:
        store = hr.open_store(str(tmp_path_factory.mktemp(name) / "store"), create=True)
        for encoder, dim in WIDTHS.items():
            for number, (slide_id, count) in enumerate(COUNTS.items()):
                facts = facts_of(slide_id, encoder, dim=dim)
                form: Form = "zarr" if name == "zarr" and number else "parquet"
                store.commit(facts.key, facts, rows_of(count, dim, seed=number), format=form)
        made[name] = store
    return made


def check_table(table: Any, store: Any, encoder: str) -> None:
    """Hold a materialised table of all tiles against the store's own bags."""
    assert dict(table["slide_id"].value_counts()) == COUNTS
    for slide_id, rows in table.sort_values("tile_id").groupby("slide_id"):
        own = store.bag(slide_id, encoder)
        vectors = np.stack([np.asarray(vector, np.float16) for vector in rows["embedding"]])
        assert vectors.shape == (COUNTS[slide_id], WIDTHS[encoder])
        assert np.array_equal(vectors, own.embeddings)
        assert np.array_equal(rows[["x", "y"]].to_numpy(), own.coords)


@pytest.mark.ray
@pytest.mark.parametrize("encoder", WIDTHS)
def test_ray_reads_the_parquet_files_of_an_encoder(
    shared_ray: None, stores: dict[str, Any], encoder: str
) -> None:
    import ray.data

    store = stores["parquet"]
    folder = Path(store.root.path) / f"embeddings/encoder={encoder}"
    files = sorted(map(str, folder.glob("*/*.parquet")))
    check_table(ray.data.read_parquet(files).materialize().to_pandas(), store, encoder)


@pytest.mark.ray
@pytest.mark.parametrize("name", FORMS)
def test_to_ray_gives_every_tile_with_its_vector(
    shared_ray: None, stores: dict[str, Any], name: str
) -> None:
    store = stores[name]
    for encoder, width in WIDTHS.items():
        dataset = store.to_ray(encoder).materialize()
        check_table(dataset.to_pandas(), store, encoder)
        batch = next(iter(dataset.iter_batches(batch_size=4)))
        assert batch["embedding"].shape == (4, width)
        assert batch["embedding"].dtype == np.float16
        assert set(batch["patient_id"]) <= {"P-S1", "P-S2"}


@pytest.mark.ray
def test_to_ray_leaves_vectors_out_and_takes_some_slides(
    shared_ray: None, stores: dict[str, Any]
) -> None:
    dataset = stores["zarr"].to_ray("wide", slide_ids=["S2"], vectors=False)
    assert dataset.count() == COUNTS["S2"]
    columns = ["slide_id", "patient_id", "tile_id", "x", "y", "tissue", "focus"]
    assert dataset.schema().names == columns


_ON_ITS_OWN = """
import sys
import histo_ray as hr
dataset = hr.open_store(sys.argv[1]).to_ray("narrow")
import ray
print(dataset.count(), ray.get_runtime_context().gcs_address)
"""


@pytest.mark.ray
def test_to_ray_starts_a_ray_of_its_own_beside_one_that_was_left_behind(
    stores: dict[str, Any],
) -> None:
    with tempfile.TemporaryDirectory(prefix="r-", dir="/tmp") as scratch:  # sockets: short paths
        left = Path(scratch) / "ray/ray_current_cluster"
        left.parent.mkdir()
        left.write_text("127.0.0.1:6399")
        environment = {k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"}
        done = subprocess.run(
            [sys.executable, "-c", _ON_ITS_OWN, stores["parquet"].root.path],
            env=environment | {"RAY_TMPDIR": scratch},
            capture_output=True, text=True, check=False, timeout=240,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        count, address = done.stdout.split()[-2:]
        assert int(count) == sum(COUNTS.values())
        assert address.startswith("127.0.0.1:")
        assert address != "127.0.0.1:6399"
        assert "Connecting to existing" not in done.stderr
        assert not list(Path(scratch).glob("ray/session_2*"))  # it went with its process


def test_to_ray_connects_where_other_calls_do(
    stores: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    class StoppedError(Exception):
        pass

    def start(address: str, cpus: int | None) -> None:
        asked.append(address)
        raise StoppedError

    monkeypatch.setattr(session, "_start_or_join", start)
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    for settings in ({}, {"address": "auto"}, {"address": "ray://head:10001"}):
        with pytest.raises(StoppedError):
            stores["parquet"].to_ray("narrow", **settings)
    monkeypatch.setenv("RAY_ADDRESS", "head:6379")
    with pytest.raises(StoppedError):
        stores["parquet"].to_ray("narrow")
    assert asked == ["local", "auto", "ray://head:10001", "auto"]


def test_to_ray_refuses_an_encoder_that_is_not_there(stores: dict[str, Any]) -> None:
    with pytest.raises(hr.StoreError, match="encoder other is not in the store"):
        stores["parquet"].to_ray("other")
