"""Encoders of several tilings in one pass: the bits, names and outcomes of runs alone."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from histo_ray.api.extract import extract
from histo_ray.api.plan import plan
from histo_ray.config import ExtractConfig, TileSetConfig
from histo_ray.encoders.requested import resolve_encoders
from histo_ray.encoders.tile_groups import group_encoders, name_unused
from histo_ray.encoders.tile_request import split_tiles
from histo_ray.errors import ConfigError
from histo_ray.evaluate.patients.patient_cohort import StoredSlides, find_slides
from histo_ray.evaluate.tasks.mutation import MutationConfig
from histo_ray.extract.batch_size import largest_input
from histo_ray.extract.in_process import InProcessPipeline, open_in_process
from histo_ray.extract.interleave import interleave_spans
from histo_ray.extract.mixed_agenda import plan_groups
from histo_ray.extract.reader_queue import Backlog
from histo_ray.extract.resources import Node, plan_workers
from histo_ray.extract.run import run_extract
from histo_ray.extract.run_counts import Counts
from histo_ray.extract.run_workers import plan_run_workers
from histo_ray.extract.slide import plan_slide
from histo_ray.extract.source_cells import SourceTally, touched_cells
from histo_ray.extract.subject import TiledSlide
from histo_ray.extract.work import ReaderJob
from histo_ray.slides.manifest import read_manifest
from histo_ray.slides.reader import open_slide
from histo_ray.store.run_tables import read_run
from histo_ray.store.store import open_store
from histo_ray.types import Outcome
from tests.conftest import ENCODER, write_manifest

OTHER = "random:test_resnet?seed=1&px=32"
MIXED = (ENCODER, f"{OTHER}@px=96,mpp=1", f"{ENCODER}@px=112", f"{OTHER}@px=32,mpp=0.25,stride=48")
"""The last is too fine for slides of 0.5 mpp; the same encoders have several tilings."""
FOUND_BY: dict[str, dict[str, Any]] = {
    ENCODER: {},
    f"{OTHER} ": {"tile_px": 96, "mpp": 1.0},
    f"{ENCODER} ": {"tile_px": 112},
    OTHER: {"tile_px": 32, "mpp": 0.25, "stride_px": 48},
}
"""Settings of the same encoders, each in a run of its own."""

MakeConfig = Callable[..., ExtractConfig]
ReadVectors = Callable[[Path | str], dict[Any, bytes]]


def extract_apart(config: ExtractConfig) -> None:
    for encoder, own in FOUND_BY.items():
        alone = config.model_copy(update={"encoder": (encoder.strip(),), **own})
        run_extract(alone, open_in_process)


def read_receipts(store: Path | str) -> dict[Any, dict[str, Any]]:
    """Receipts of a store, but for which run wrote them and when."""
    opened = open_store(str(store))
    receipts = opened.receipts(opened.list_keys())
    return {
        key: receipt.model_dump(exclude={"run_id", "created_at"})
        for key, receipt in receipts.items()
    }


@pytest.fixture(scope="module")
def apart(make_config: MakeConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of runs alone; it must not be changed."""
    store = tmp_path_factory.mktemp("apart") / "store"
    extract_apart(make_config(store, address="none"))
    return store


def test_one_pass_leaves_what_runs_alone_leave(
    make_config: MakeConfig, read_vectors: ReadVectors, apart: Path, tmp_path: Path
) -> None:
    config = make_config(tmp_path / "store", encoder=MIXED, address="none")
    summary = run_extract(config, open_in_process)
    assert read_vectors(config.store) == read_vectors(apart)
    assert read_receipts(config.store) == read_receipts(apart)
    fates = {(row.slide_id, row.tiling): row.outcome for row in summary.rows}
    assert len(summary.rows) == len(fates) == 6 * 4  # no two rows are of one slide and tiling
    finest = group_encoders(config, resolve_encoders(config))[-1].tiling
    assert (fates["good-a", finest], fates["good-b", finest]) == (Outcome.FAILED, Outcome.DONE)
    assert summary.record.slides == summary.counts.slides_done == 6
    record, rows = read_run(config.store, summary.run_id)
    assert record.settings["encoder"] == list(MIXED)
    assert rows["tiling"].nunique() == 4


def test_a_resumed_run_finishes_what_each_tiling_lacks(
    make_config: MakeConfig, read_vectors: ReadVectors, apart: Path, tmp_path: Path
) -> None:
    config = make_config(tmp_path / "store", encoder=MIXED, address="none")
    run_extract(config.model_copy(update={"encoder": MIXED[1:2]}), open_in_process)
    store = open_store(config.store)
    lost = next(key for key in store.list_keys() if key.slide_id == "good-b")
    for path in Path(config.store).glob(f"embeddings/*/tiling={lost.tiling}/good-b.parquet"):
        path.unlink()
    summary = run_extract(config, open_in_process)
    assert read_vectors(config.store) == read_vectors(apart)
    of_first = {row.slide_id: row.outcome for row in summary.rows if row.tiling == lost.tiling}
    assert (of_first["good-a"], of_first["good-b"]) == (Outcome.SKIPPED, Outcome.DONE)
    again = run_extract(config, open_in_process)
    assert {row.outcome for row in again.rows} == {"skipped", "empty", "failed"}


def test_a_run_that_ends_between_two_tilings_goes_on_from_there(
    make_config: MakeConfig,
    read_vectors: ReadVectors,
    apart: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    config = make_config(tmp_path / "store", encoder=MIXED, address="none")
    commit, commits = InProcessPipeline._commit, iter(range(3))

    def interrupted(*args: Any) -> None:
        if next(commits, None) is None:
            raise KeyboardInterrupt
        commit(*args)

    monkeypatch.setattr(InProcessPipeline, "_commit", interrupted)
    summary = run_extract(config, open_in_process)
    assert summary.interrupted
    assert 0 < len(open_store(config.store).list_keys()) < len(read_vectors(apart))
    monkeypatch.undo()
    run_extract(config, open_in_process)
    assert read_vectors(config.store) == read_vectors(apart)
    assert read_receipts(config.store) == read_receipts(apart)


@pytest.mark.parametrize(
    "kind",
    ["openslide", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("png", "resampled"))],
)
def test_bits_are_the_same_whatever_reads_the_slide(
    kind: str,
    cohort: Any,
    make_config: MakeConfig,
    read_vectors: ReadVectors,
    tmp_path: Path,
) -> None:
    path, mpp, reader = cohort.folder / "good-b.svs", "", "openslide"
    if kind == "png":
        with open_slide(str(path)) as opened:
            whole = opened.read((0, 0), 0, opened.size)
        path, mpp, reader = tmp_path / "good-b.png", "0.25", "auto"
        cv2.imwrite(str(path), whole[:, :, ::-1])
    elif kind == "resampled":
        mpp, reader = "0.21", "auto"  # no tile is a copy of what was read
    manifest = write_manifest(tmp_path / "m.csv", [("good-b", str(path), mpp)])
    common = {"manifest": str(manifest), "slide_reader": reader, "address": "none"}
    one = make_config(tmp_path / "one", encoder=MIXED, **common)
    run_extract(one, open_in_process)
    many = make_config(tmp_path / "many", **common)
    extract_apart(many)
    assert read_vectors(one.store) == read_vectors(many.store)
    assert read_receipts(one.store) == read_receipts(many.store)


def test_native_takes_each_encoders_own_tiles(make_config: MakeConfig, tmp_path: Path) -> None:
    config = make_config(
        tmp_path / "store", encoder=("uni2-h", "virchow2", OTHER), tiles="native", address="auto"
    )
    specs = resolve_encoders(config)
    groups = group_encoders(config, specs)
    asked = {spec.name: group.settings for group in groups for spec in group.specs}
    assert asked["uni2-h"].tile_px in (224, 256)
    assert asked["virchow2"].tile_px == 224
    assert asked["random-test_resnet-px32-seed1"].tile_px == config.tile_px
    assert all(not broken for group in groups for broken in group.broken.values())


@pytest.mark.slow
def test_a_plan_counts_each_tiling_and_what_is_decoded_once(
    make_config: MakeConfig, cohort: Any, tmp_path: Path
) -> None:
    config = make_config(
        tmp_path / "store", manifest=str(cohort.good), encoder=MIXED[:3], address="none"
    )
    planned = plan(config)
    run = extract(config)
    both = planned.slides.merge(
        run.outcomes.groupby(["slide_id", "tiling"], as_index=False).n_tiles.sum(),
        on=["slide_id", "tiling"],
    )
    assert len(both) == 3 * 3
    assert (both.n_tiles_x == both.n_tiles_y).all()
    assert planned.tiles == run.outcomes.n_tiles.sum()
    saved, decoded = planned.source_tiles_saved, planned.summary.source_tiles
    assert saved is not None
    assert decoded is not None
    assert 0 < decoded <= saved <= 2 * decoded
    assert set(plan(config).slides.status) == {"stored"}
    assert set(plan(config, open_slides=False).slides.tiles_of) == {
        "64 px at 0.5 mpp", "96 px at 1 mpp", "112 px at 0.5 mpp",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x@px=", "names no tiles"),
        ("x@pxx=3", "did you mean px"),
        ("x@px=3", r"px = 3: must be 16 or more"),
        ("x@px=9.5", r"px = 9\.5: must be a whole number"),
        ("x@px=96mpp=1", "'px=96mpp=1' holds two settings of tiles"),
        ("x@", "nothing follows the @"),
        ("x?seed=0@", "nothing follows the @"),
        ("x@px", "'px' names no tiles"),
        ("x@px=96@mpp=1", "more than one @"),
        ("x@px=96?seed=0@mpp=1", "more than one @"),
        ("hf-hub:a/b@", "nothing follows the @"),
        ("hf-hub:a/b@main@px", "'px' names no tiles"),
        ("@px=96", "no encoder is named before the @"),
        ("x@px=96,px=96", "given twice"),
        ("x@mpp=fine", "mpp"),
    ],
)
def test_tiles_that_no_tiling_has_are_refused(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        split_tiles(text)


def test_a_request_keeps_what_is_no_tiling() -> None:
    for text in ("resnet18", "hf-hub:a/b@v1.0", "w/run@lr=3/x.safetensors?arch=resnet18"):
        assert split_tiles(text).encoder == text
        assert not split_tiles(text).settings
    asked = split_tiles("hf-hub:a/b@v1@px=256,mpp=0.5?name=mine")
    assert (asked.encoder, asked.tile_px, asked.mpp) == ("hf-hub:a/b@v1?name=mine", 256, 0.5)


def test_an_encoder_twice_in_one_tiling_and_tiles_of_a_tile_set_are_refused(
    make_config: MakeConfig, tmp_path: Path
) -> None:
    config = make_config(tmp_path / "store", encoder=(ENCODER, f"{ENCODER}@px=64"))
    with pytest.raises(ConfigError, match="asked for twice with tiles of 64 px"):
        resolve_encoders(config)
    labelled = TileSetConfig(store=str(tmp_path), encoder=(f"{ENCODER}@px=64",), tile_px=64)
    with pytest.raises(ConfigError, match="encoded as they are given"):
        resolve_encoders(labelled)


def test_a_setting_that_no_encoder_takes_is_named(make_config: MakeConfig, tmp_path: Path) -> None:
    own = (f"{ENCODER}@px=64,mpp=0.5", f"{OTHER}@px=96,mpp=0.5")
    config = make_config(tmp_path / "store", encoder=own, tile_px=64, address="none")
    said: list[str] = []
    run_extract(config, open_in_process, notify=said.append)
    unused = "--tile-px 64 is not used: every encoder states its own px after the @"
    assert [line for line in said if "not used" in line] == [unused]
    assert name_unused(config.model_copy(update={"encoder": (own[0], OTHER)})) == ()  # it takes it


class Taker:
    """A reader as the queue sees it."""

    def __init__(self) -> None:
        self.slide_id = ""
        self.calls: set[Any] = set()


def test_a_reader_walks_down_a_slide_with_all_its_tilings(
    make_config: MakeConfig, cohort: Any, tmp_path: Path
) -> None:

    config = make_config(
        tmp_path / "store", manifest=str(cohort.good), encoder=MIXED[:3], batch_size=4
    )
    specs = resolve_encoders(config)
    slides = list(read_manifest(config.manifest))[:2]
    agenda = plan_groups(slides, group_encoders(config, specs), None)
    workers = plan_run_workers([Node(2, 0, 2**30)], config, specs)
    backlog, counts = Backlog(), Counts(0)
    backlog.extend(agenda.todo)
    takers = [Taker(), Taker()]
    tops: dict[str, list[int]] = {slide.slide_id: [] for slide in slides}
    spans: Counter[tuple[str, int]] = Counter()
    planned_by: dict[str, set[int]] = {slide.slide_id: set() for slide in slides}
    for _ in range(200):
        for at, taker in enumerate(takers):
            job = backlog.next_job(taker, takers, 0, workers)
            if not isinstance(job, ReaderJob):
                continue
            work, taker.slide_id = job.work, job.work.slide_id
            if job.kind == "plan":
                assert isinstance(work.subject, TiledSlide)
                assert work.subject.tiling is not None
                planned_by[work.slide_id].add(at)
                with open_slide(work.subject.path, slide_id=work.slide_id) as opened:
                    plan_of = plan_slide(opened, work.subject, work.subject.tiling)
                work.begin(plan_of, None, taker)
                backlog.note_plan(work, counts)
            else:
                assert work.plan is not None
                assert len(job.span) <= 4
                spans[work.slide_id, work.group] += len(job.span)
                tops[work.slide_id].append(int(work.plan.grid.coords[job.span.start, 1]))
    assert counts.slides_planned == 2
    assert all(len(by) == 1 for by in planned_by.values())  # who opened it plans all its tilings
    assert sum(spans.values()) == counts.tiles_planned
    for of_slide in tops.values():  # never further back than the tallest tile reaches
        assert max(np.maximum.accumulate(of_slide) - of_slide) <= 2 * 224


def test_source_tiles_are_those_that_some_tile_lies_on(
    make_config: MakeConfig, cohort: Any, tmp_path: Path
) -> None:
    config = make_config(tmp_path / "store", manifest=str(cohort.good))
    slide = next(s for s in read_manifest(config.manifest) if s.slide_id == "good-b")
    tally, seen, apart = SourceTally(), set(), 0
    with open_slide(slide.path, slide_id="good-b") as opened:
        for tile_px in (64, 112):
            tiling = config.tiling.model_copy(update={"tile_px": tile_px})
            plan_of = plan_slide(opened, slide, tiling)
            assert plan_of.level_read is not None
            width, height = plan_of.level_read.read_size
            cells = {
                (px // 256, py // 256)
                for x, y in plan_of.grid.coords.tolist()
                for px in range(x, x + width)
                for py in (y, y + height - 1)
            }
            assert int(touched_cells(plan_of).sum()) == len(cells)
            assert all(touched_cells(plan_of)[row, column] for column, row in cells)
            tally.add(plan_of)
            seen |= cells
            apart += len(cells)
    assert (tally.shared, tally.apart) == (len(seen), apart)


def test_spans_go_down_together_and_lose_no_tile() -> None:
    rng = np.random.default_rng(0)
    grids = [
        np.array([(x, y) for y in range(0, 4000, side) for x in range(0, 9000, side)], np.int32)
        for side in (448, 512, 2048)
    ]
    grids = [grid[np.sort(rng.permutation(len(grid))[: len(grid) // 2])] for grid in grids]
    spans = list(interleave_spans([*grids, np.empty((0, 2), np.int32)], [16, 16, 4, 16]))
    for at, grid in enumerate(grids):
        own = [tile for which, span in spans if which == at for tile in span]
        assert own == list(range(len(grid)))
    tops = [int(grids[at][span.start, 1]) for at, span in spans]
    assert tops == sorted(tops)


def test_on_a_gpu_each_tiling_has_the_batch_that_it_has_alone(tmp_path: Path) -> None:
    config = ExtractConfig(
        manifest="m.csv", store=str(tmp_path), encoder=(f"{OTHER}@px=1024,mpp=1", ENCODER)
    )
    specs = resolve_encoders(config)
    nodes = [Node(16, 1, 40 * 2**30, gpu_memory_bytes=40 * 2**30)]
    together = plan_run_workers(nodes, config, specs)
    alone = [
        plan_workers(nodes, group.settings, largest_input(group.specs))
        for group in group_encoders(config, specs)
    ]
    assert together.batch_sizes == tuple(plan_of.batch_size for plan_of in alone)
    assert together.batch_sizes[0] < together.batch_sizes[1]
    assert together.blocks_in_flight == alone[0].blocks_in_flight  # of the largest tiles
    assert (together.batch_size, together.batches_a_call) == (alone[0].batch_size, 1)


def test_an_evaluation_finds_each_encoder_in_its_own_tiling(apart: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text("patient_id,kras\n")

    def find(*encoders: str) -> list[StoredSlides]:
        config = MutationConfig(store=str(apart), labels=str(labels), encoder=encoders)
        return find_slides(open_store(str(apart)), config)

    name = "random-test_resnet-px32-seed1"
    first, second = find(f"{ENCODER}@px=112", f"{OTHER}@px=96")
    assert first.encoder == "random-resnet10t-px64-seed0"
    assert second.encoder == name
    assert next(iter(first.receipts.values())).tiling.settings["tile_px"] == 112
    assert next(iter(second.receipts.values())).tiling.settings["mpp"] == 1.0
    with pytest.raises(ConfigError, match="several tilings; name one with --tiling, or its tiles"):
        find(name)
    with pytest.raises(ConfigError, match="evaluate its tilings one by one"):
        find(f"{name}@px=96", f"{name}@px=32")
