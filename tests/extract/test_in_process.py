"""A whole run in this process, without Ray."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from histo_ray.config import ExtractConfig, TileSetConfig
from histo_ray.encoders.gpu_queue import GpuQueue, Lane
from histo_ray.encoders.requested import resolve_encoders
from histo_ray.encoders.torch_encoder import TorchEncoder, load_encoder
from histo_ray.errors import ConfigError, StoreError
from histo_ray.extract.batch_ladder import load_ladders
from histo_ray.extract.in_process import MOST_READERS, _explained_errors, open_in_process
from histo_ray.extract.plan_processes import count_cores
from histo_ray.extract.recorder import RunSummary
from histo_ray.extract.run import extract_tilesets, run_extract
from histo_ray.extract.slide import extract_slide
from histo_ray.slides.manifest import read_manifest
from histo_ray.store.extraction_record import ExtractionState
from histo_ray.store.run_tables import read_run
from histo_ray.store.store import open_store
from histo_ray.synth.tile_writer import write_demo_tiles
from histo_ray.tilesets.read import read_tileset
from histo_ray.types import Outcome
from tests.encoders.fake_card import FakeCard

GOOD = {"good-a", "good-b", "good-c"}
TINY = "random:test_resnet?seed=1&px=32"
OTHER = "random:resnet10t?seed=1&px=64"

MakeConfig = Callable[..., ExtractConfig]
ReadVectors = Callable[[Path | str], dict[Any, bytes]]
Run = tuple[ExtractConfig, RunSummary]


@pytest.fixture(scope="module")
def first(make_config: MakeConfig, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """One run over the whole cohort; its store must not be changed."""
    config = make_config(tmp_path_factory.mktemp("first") / "store", address="none")
    return config, run_extract(config, open_in_process)


def outcomes(summary: RunSummary) -> dict[str, str]:
    return {row.slide_id: row.outcome for row in summary.rows}


def test_every_slide_ends_with_an_outcome_and_lost_ones_with_a_reason(first: Run) -> None:
    config, summary = first
    assert outcomes(summary) == {
        **dict.fromkeys(GOOD, Outcome.DONE),
        "empty": Outcome.EMPTY,
        "truncated": Outcome.FAILED,
        "dark": Outcome.FAILED,
    }
    for row in summary.rows:
        assert (row.n_tiles > 0) == (row.outcome == Outcome.DONE)
        assert bool(row.reason) == (row.outcome != Outcome.DONE), row
    assert open_store(config.store).verify() == (len(GOOD) + 1, [])


def test_its_record_says_what_this_process_did(first: Run) -> None:
    config, summary = first
    record, rows = read_run(config.store, summary.run_id)
    assert record == summary.record
    tiles = sum(row.n_tiles for row in summary.rows)
    assert (record.state, record.slides) == (ExtractionState.FINISHED, 6)
    assert record.tiles_read == record.tiles_encoded == tiles == rows["n_tiles"].sum()
    threads = min(count_cores(), MOST_READERS)
    assert (record.nodes, record.readers, record.encoder_workers) == (1, threads, 1)
    assert 0 < record.reader_busy <= 1.01
    assert 0 < record.encoder_busy <= 1.01
    assert 0 < record.cores_busy <= 1.01
    assert record.file_bytes > 0
    assert "Ray" not in record.hint
    assert record.settings["address"] == "none"


def test_the_bits_are_those_of_one_slide_alone(
    first: Run, read_vectors: ReadVectors, tmp_path: Path
) -> None:
    config, _ = first
    alone = config.model_copy(update={"store": str(tmp_path / "alone")})
    store = open_store(alone.store, create=True)
    (spec,) = resolve_encoders(alone)
    encoder = load_encoder(spec, device="cpu", threads=1)
    for slide in read_manifest(alone.manifest):
        if slide.slide_id in GOOD | {"empty"}:
            extract_slide(slide, alone, [encoder], store)
    assert read_vectors(alone.store) == read_vectors(config.store)


def test_a_second_run_redoes_only_failures_and_what_was_removed(
    make_config: MakeConfig, tmp_path: Path
) -> None:
    config = make_config(tmp_path / "store", encoder=(make_config(tmp_path).encoder[0], OTHER))
    run_extract(config, open_in_process)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("store/embeddings/*/*/*")}
    assert len(before) == 2 * (len(GOOD) + 1)
    gone = next(path for path in before if path.stem == "good-b")
    gone.unlink()
    summary = run_extract(config, open_in_process)
    assert [r.slide_id for r in summary.rows if r.outcome == Outcome.DONE] == ["good-b"]
    assert summary.kept[""] == 2 * len(GOOD) - 1
    after = {path: path.stat().st_mtime_ns for path in tmp_path.glob("store/embeddings/*/*/*")}
    assert {path for path in after if after[path] != before[path]} == {gone}


def test_an_encoder_that_fails_on_a_slide_leaves_the_other_to_go_on(
    make_config: MakeConfig, cohort: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode = TorchEncoder.encode

    def overflow(self: TorchEncoder, pixels: Any) -> Any:
        vectors = encode(self, pixels)
        if self.spec.seed == 1:
            vectors[-1, 0] = np.inf
        return vectors

    monkeypatch.setattr(TorchEncoder, "encode", overflow)
    config = make_config(
        tmp_path / "store", encoder=(make_config(tmp_path).encoder[0], OTHER),
        manifest=str(cohort.good),
    )  # fmt: skip
    summary = run_extract(config, open_in_process)
    found = {(row.slide_id, row.encoder): row for row in summary.rows}
    for (_, encoder), row in found.items():
        assert row.outcome == (Outcome.FAILED if "seed1" in encoder else Outcome.DONE)
    assert "not a finite float16 vector" in found["good-a", "random-resnet10t-px64-seed1"].reason
    assert len(open_store(config.store).list_keys()) == len(GOOD)


def test_on_a_gpu_tiles_are_copied_once_for_all_encoders(
    make_config: MakeConfig, cohort: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = FakeCard()
    lane = Lane(card)

    def load_on_card(*arguments: Any) -> Any:
        loaded = load_ladders(*arguments)
        for ladder, _ in loaded:
            encoder: Any = ladder._encoder
            encoder._gpu, encoder.fixed_tiles = GpuQueue(lane), None
        card.log.clear()
        return loaded

    monkeypatch.setattr("histo_ray.extract.in_process.load_ladders", load_on_card)
    first = tmp_path / "first.csv"
    first.write_text(f"slide_id,path\nS1,{read_manifest(str(cohort.good))[0].path}\n")
    config = make_config(
        tmp_path / "store", encoder=("random:test_resnet?seed=0&px=32", TINY), manifest=str(first)
    )
    summary = run_extract(config, open_in_process)
    size = summary.record.batch_size
    batches = sum(-(-row.n_tiles // size) for row in summary.rows)
    assert card.log.count("download in work") == batches
    assert card.log.count("upload in copies") == batches // 2


def test_an_error_that_is_no_slides_fate_ends_the_run_which_its_table_says(
    make_config: MakeConfig, cohort: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config(tmp_path / "store", manifest=str(cohort.good))
    commit = type(open_store(config.store, create=True)).commit

    def refuse(self: Any, key: Any, *args: Any, **kwargs: Any) -> Any:
        if key.slide_id == "good-b":
            raise StoreError("the store has gone")
        return commit(self, key, *args, **kwargs)

    monkeypatch.setattr("histo_ray.store.store.Store.commit", refuse)
    with pytest.raises(StoreError, match="has gone"):
        run_extract(config, open_in_process)
    (path,) = (tmp_path / "store" / "runs").glob("*.parquet")
    record, rows = read_run(config.store, path.stem)
    assert (record.state, rows["slide_id"].tolist()) == (ExtractionState.STOPPED, ["good-a"])


def test_a_run_that_is_interrupted_keeps_what_is_done_and_goes_on(
    make_config: MakeConfig, read_vectors: ReadVectors, cohort: Any, tmp_path: Path
) -> None:
    config = make_config(tmp_path / "store", manifest=str(cohort.good))

    def interrupt(counts: Any) -> None:
        if counts.slides_done == 1:
            os.kill(os.getpid(), signal.SIGTERM)  # as schedulers send it

    assert threading.current_thread() is threading.main_thread()
    summary = run_extract(config, open_in_process, interrupt)
    assert summary.interrupted
    assert (summary.record.state, summary.unfinished) == (ExtractionState.INTERRUPTED, 2)
    assert outcomes(summary) == {"good-a": Outcome.DONE}
    again = run_extract(config, open_in_process)
    assert outcomes(again)["good-a"] == Outcome.SKIPPED
    whole = config.model_copy(update={"store": str(tmp_path / "whole")})
    run_extract(whole, open_in_process)
    assert read_vectors(config.store) == read_vectors(whole.store)


def test_labelled_tile_sets_take_the_same_way(tmp_path: Path) -> None:
    table = write_demo_tiles(tmp_path / "tiles", per_class=5, seed=2, tile_px=48)
    tiles = read_tileset(str(table), name="set")
    config = TileSetConfig(
        store=str(tmp_path / "store"), encoder=(OTHER,), batch_size=16, device="cpu"
    )
    assert extract_tilesets(config, [tiles], open_in_process).outcomes == {"done": 1}
    bag = open_store(config.store).labelled("set", "random-resnet10t-px64-seed1")
    assert (bag.labels, bag.groups) == (tiles.label_names, tiles.groups)
    encoder = load_encoder(resolve_encoders(config)[0], device="cpu", threads=1)
    assert extract_tilesets(config, [tiles], open_in_process).outcomes == {"skipped": 1}
    assert encoder.dim == bag.embeddings.shape[1]


def test_the_program_imports_neither_ray_nor_pandas_without_an_address(
    make_config: MakeConfig, cohort: Any, tmp_path: Path
) -> None:
    config = make_config(tmp_path / "store", manifest=str(cohort.good))
    flags = [
        "extract", "--manifest", config.manifest, "--store", config.store, "--tile-px", "64",
        "--encoder", config.encoder[0], "--device", "cpu", "--json",
    ]  # fmt: skip
    code = (
        "import sys, histo_ray.cli\n"
        f"code = histo_ray.cli.main({flags!r})\n"
        "print(code, sorted({'ray', 'sklearn', 'pandas'} & set(sys.modules)), file=sys.stderr)"
    )
    environment = {key: value for key, value in os.environ.items() if key != "RAY_ADDRESS"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment
    )
    assert done.stderr.splitlines()[-1] == "0 []", done.stderr
    (said,) = [line for line in done.stderr.splitlines() if "in this process" in line]
    assert said.startswith("extract: so little is to be read that starting Ray would take longer")
    result = json.loads(done.stdout)
    assert result["outcomes"] == {"done": 3}
    assert "address" not in result["record"]["settings"]
    assert pd.DataFrame(result["slides"])["outcome"].tolist() == ["done"] * 3


def test_a_full_disk_and_a_full_gpu_are_told_in_one_line() -> None:
    with pytest.raises(ConfigError, match="disk full"), _explained_errors():
        raise OSError(28, "No space left on device", "/store")
    with pytest.raises(ConfigError, match="lower --batch-size"), _explained_errors():
        raise torch.OutOfMemoryError("CUDA out of memory")
