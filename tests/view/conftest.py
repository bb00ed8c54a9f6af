"""A store of real small slides with drawn vectors, and a viewer of it that is served."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from histo_ray.config import TilingConfig
from histo_ray.predict.heat.score_record import ScoreRecord
from histo_ray.schema import arrow_schema
from histo_ray.slides.levels import choose_level
from histo_ray.slides.reader import open_slide
from histo_ray.store.partition import PartitionFacts
from histo_ray.store.store import Store, open_store
from histo_ray.tiles.grid import plan_tiles
from histo_ray.tiles.pixels import locate_tissue
from histo_ray.types import Outcome, PartitionKey, RunRow, SlideFacts, TileRows, TilingFacts
from histo_ray.view.server import ViewServer
from histo_ray.view.view_settings import ViewConfig
from tests.conftest import GOOD, Cohort
from tests.made_up import facts_of

TILING = TilingConfig(tile_px=64, mpp=0.5)
DIM = 6


def commit_slide(store: Store, slide_id: str, path: str, opened_from: Path) -> PartitionKey:
    """A partition of a real slide's own tiles with drawn vectors; its receipt names `path`."""
    with open_slide(str(opened_from), slide_id=slide_id) as slide:
        mask, _, _ = locate_tissue(slide, TILING)
        grid = plan_tiles(slide.pyramid, mask, TILING)
        read = choose_level(slide.pyramid, TILING.mpp, TILING.tile_px)
        made_up = facts_of(slide_id, tiling=TILING.fingerprint(), dim=DIM)
        size, mpp, fingerprint = slide.size, slide.mpp, slide.fingerprint
    facts = PartitionFacts(
        SlideFacts(
            **{
                **made_up.slide.model_dump(),
                "path": path,
                "fingerprint": fingerprint,
                "size_px": size,
                "mpp": tuple(mpp),
            }
        ),
        TilingFacts(
            **{
                **made_up.tiling.model_dump(),
                "settings": TILING.model_dump(mode="json"),
                "side": grid.side,
                "level": read.level,
            }
        ),
        made_up.encoder,
        "run1",
    )
    rng = np.random.default_rng(len(grid))
    vectors = rng.standard_normal((len(grid), DIM)).astype(np.float16)
    focus = rng.random(len(grid), dtype=np.float32) * 900
    store.commit(facts.key, facts, [TileRows(grid.coords, grid.tissue, focus, vectors)])
    return facts.key


@pytest.fixture(scope="session")
def viewed(cohort: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of three slides, one that is gone, one in a bucket, and one that failed."""
    root = tmp_path_factory.mktemp("viewed") / "store"
    store = open_store(str(root), create=True)
    for name in GOOD:
        path = cohort.folder / f"{name}.svs"
        commit_slide(store, name, str(path), path)
    path = cohort.folder / "good-a.svs"
    commit_slide(store, "gone", str(cohort.folder / "gone.svs"), path)
    commit_slide(store, "far & 'b'", "s3://bucket/far.svs", path)
    rows = [RunRow("bad", "e", Outcome.FAILED, "no <pyramid>", 0, 1.0, "P-bad", True)]
    store.write_run("2026-01-01", rows)
    return root


@pytest.fixture(scope="session")
def key(viewed: Path) -> PartitionKey:
    """The partition of good-a."""
    return PartitionKey("e", TILING.fingerprint(), "good-a")


@pytest.fixture(scope="session")
def scores(viewed: Path, key: PartitionKey, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of tile scores of good-a, as heat maps are written."""
    folder = tmp_path_factory.mktemp("scores")
    coords = open_store(str(viewed)).bag("good-a", "e").coords
    count = len(coords)
    record = ScoreRecord(
        kind="scores", slide_id="good-a", patient_id="P-good-a", encoder="e",
        weights_sha256="a" * 64, tiling=key.tiling, side=(64.0, 64.0), source="run-1",
        target="KRAS", out_of_fold=True, neutral=-1.0, tiles=count,
    )  # fmt: skip
    columns = {
        "slide_id": ["good-a"] * count, "patient_id": ["P-good-a"] * count,
        "tile_id": np.arange(count), "x": coords[:, 0], "y": coords[:, 1],
        "target": ["KRAS"] * count, "score": np.linspace(-3, 2, count),
        "weight": np.full(count, 1 / count), "contribution": np.linspace(-2, 1, count),
    }  # fmt: skip
    table = pa.table(columns, arrow_schema("tile_scores"))
    marks = {b"histo_ray": json.dumps(record.model_dump(mode="json")).encode()}
    pq.write_table(table.replace_schema_metadata(marks), folder / "good-a.KRAS.parquet")
    (folder / "other.parquet").write_bytes(b"no table")
    return folder


@pytest.fixture
def make_config(viewed: Path) -> Callable[..., ViewConfig]:
    """Settings of a viewer of the store."""
    return lambda **changes: ViewConfig(store=str(viewed), **changes)


@pytest.fixture(scope="session")
def served(viewed: Path, scores: Path) -> Iterator[ViewServer]:
    """A viewer that is served by a thread."""
    started = threading.Event()
    made = list[ViewServer]()

    def serve() -> None:
        with asyncio.Runner() as runner:
            asyncio.set_event_loop(runner.get_loop())
            made.append(ViewServer(ViewConfig(store=str(viewed), scores=(str(scores),))))
            started.set()
            made[0].run()

    thread = threading.Thread(target=serve)
    thread.start()
    assert started.wait(30)
    yield made[0]
    made[0].stop()
    thread.join(30)
    assert not thread.is_alive()
