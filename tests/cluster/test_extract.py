"""Whole runs on a real local Ray, over real slide files."""

import csv
import shutil
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import cv2
import numpy as np
import pandas as pd
import pytest
import ray
from prometheus_client.parser import text_string_to_metric_families

from histo_ray.cluster.plan_on_ray import PlanOnRay
from histo_ray.cluster.run_extract import run_extract
from histo_ray.config import ExtractConfig
from histo_ray.encoders.requested import resolve_encoders
from histo_ray.encoders.torch_encoder import load_encoder
from histo_ray.errors import StoreError
from histo_ray.extract import run
from histo_ray.extract.bottleneck import Bottleneck
from histo_ray.extract.dry_run import Pictures, PlanListener, run_plan
from histo_ray.extract.in_process import open_in_process
from histo_ray.extract.metric_samples import METRICS
from histo_ray.extract.recorder import RunSummary
from histo_ray.extract.slide import extract_slide
from histo_ray.report.slides.slide_picture import draw_or_problem
from histo_ray.slides.manifest import read_manifest
from histo_ray.store.run_tables import read_run
from histo_ray.store.store import open_store

pytestmark = pytest.mark.ray

GOOD = {"good-a", "good-b", "good-c"}
SCRAPE_S = 200
"""Longest wait for metrics on a busy machine."""
OTHER = "random:resnet10t?seed=1&px=64"

MakeConfig = Callable[..., ExtractConfig]
ReadVectors = Callable[[Path | str], dict[Any, bytes]]


@pytest.fixture
def copied(first: tuple[ExtractConfig, RunSummary], tmp_path: Path) -> ExtractConfig:
    """The same run with a copy of its store."""
    config, _ = first
    shutil.copytree(config.store, tmp_path / "store")
    return config.model_copy(update={"store": str(tmp_path / "store")})


def outcomes(summary: RunSummary) -> dict[str, str]:
    return {row.slide_id: row.outcome for row in summary.rows}


def partitions(store: str) -> list[Path]:
    return sorted(Path(store).glob("embeddings/*/*/*"))


def test_every_slide_ends_with_an_outcome_and_lost_ones_with_a_reason(
    first: tuple[ExtractConfig, RunSummary],
) -> None:
    _, summary = first
    assert outcomes(summary) == {
        **dict.fromkeys(GOOD, "done"),
        "empty": "empty",
        "truncated": "failed",
        "dark": "failed",
    }
    for row in summary.rows:
        assert (row.n_tiles > 0) == (row.outcome == "done")
        assert bool(row.reason) == (row.outcome != "done"), row


def test_the_run_table_says_what_the_summary_says(
    first: tuple[ExtractConfig, RunSummary],
) -> None:
    config, summary = first
    (path,) = Path(config.store).glob("runs/*.parquet")
    table = pd.read_parquet(path)
    assert path.stem == summary.run_id
    assert dict(zip(table["slide_id"], table["outcome"], strict=True)) == outcomes(summary)
    assert set(table["reason"]) == {row.reason for row in summary.rows}


def test_the_run_says_what_its_processes_did_and_what_held_it_up(
    first: tuple[ExtractConfig, RunSummary],
) -> None:
    config, summary = first
    record, rows = read_run(config.store, summary.run_id)
    assert record == summary.record
    tiles = sum(row.n_tiles for row in summary.rows)
    assert (record.state, record.outcomes, record.slides) == ("finished", summary.outcomes, 6)
    assert record.tiles_read == record.tiles_encoded == tiles == rows["n_tiles"].sum()
    assert summary.counts.vectors == {record.encoders[0]: tiles}
    good = [config.manifest.replace("all.csv", f"{name}.svs") for name in GOOD]
    assert 0 < record.file_bytes <= 2 * sum(Path(path).stat().st_size for path in good)
    for share in (record.reader_busy, record.encoder_busy, record.cores_busy):
        assert 0 < share <= 1
    assert record.gpu_busy == 0 <= record.storage_wait <= 1
    assert record.startup_s + record.work_s <= record.seconds
    assert (record.cores, record.readers, record.encoder_workers) == (2, 2, 1)
    assert record.bottleneck in get_args(Bottleneck)
    assert record.hint
    assert record.settings["manifest"] == config.manifest


def test_prometheus_gets_the_run_from_a_node_of_ray(
    first: tuple[ExtractConfig, RunSummary],
) -> None:
    _, summary = first
    (node,) = ray.nodes()  # type: ignore[no-untyped-call]
    page = f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"
    absent = {"histo_ray_gpu_busy_share", "histo_ray_process_deaths_total"}  # no GPU, no death
    wanted = {f"ray_{name}" for name in METRICS.keys() - absent}
    (encoder,) = summary.record.encoders
    found: dict[str, list[Any]] = {}
    told: dict[str, float] = {}  # of all runs of this process
    deadline = time.monotonic() + SCRAPE_S  # Ray hands metrics over every ten seconds
    shares = [f"ray_histo_ray_{side}_busy_share" for side in ("reader", "encoder")]
    while not (
        wanted <= found.keys()
        and told.keys() >= summary.outcomes.keys()
        and all(sample.value == 0 for name in shares for sample in found[name])  # the last ones
    ):
        if time.monotonic() > deadline:
            break
        time.sleep(0.5)
        try:
            with urllib.request.urlopen(page, timeout=10) as answer:
                families = text_string_to_metric_families(answer.read().decode())
        except OSError as error:
            pytest.skip(f"this Ray has no metrics agent that answers at {page}: {error}")
        found = {}
        for sample in (sample for family in families for sample in family.samples):
            found.setdefault(sample.name, []).append(sample)
        told = {
            sample.labels["outcome"]: sample.value
            for sample in found.get("ray_histo_ray_slides_total", [])
            if sample.labels["encoder"] == encoder
        }
    assert wanted <= found.keys()  # gauges for twenty seconds after they were set
    assert all(told.get(outcome, 0) >= count for outcome, count in summary.outcomes.items())
    assert found["ray_histo_ray_tiles_read_total"][0].value >= summary.record.tiles_read
    for name in shares:
        (share,) = found[name]
        assert (share.labels["node_kind"], share.value) == ("cpu", 0)  # the run is over


def test_a_store_written_by_a_run_is_whole(first: tuple[ExtractConfig, RunSummary]) -> None:
    config, _ = first
    store = open_store(config.store)
    checked, problems = store.verify()
    assert (checked, problems) == (len(GOOD) + 1, [])
    assert {key.slide_id for key in store.list_keys()} == GOOD | {"empty"}
    assert not list(Path(config.store).glob(".staging/*"))


def test_a_second_run_redoes_only_failures_and_what_was_removed(copied: ExtractConfig) -> None:
    before = {path: path.stat().st_mtime_ns for path in partitions(copied.store)}
    gone = next(path for path in before if path.stem == "good-b")
    gone.unlink()
    summary = run_extract(copied)
    assert outcomes(summary) == {
        "good-a": "skipped",
        "good-b": "done",
        "good-c": "skipped",
        "empty": "empty",
        "truncated": "failed",
        "dark": "failed",
    }
    after = {path: path.stat().st_mtime_ns for path in partitions(copied.store)}
    assert {path for path in after if after[path] != before[path]} == {gone}


def test_a_complete_store_is_not_worked_on_and_starts_no_process(
    copied: ExtractConfig, cohort: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(address: str) -> None:
        raise AssertionError("Ray was asked for")

    monkeypatch.setattr("histo_ray.cluster.run_extract.ray_session", refuse)
    rows = list(csv.reader(cohort.manifest.read_text().splitlines()))
    manifest = cohort.folder / "complete.csv"
    with manifest.open("w", newline="") as stream:
        csv.writer(stream).writerows(row for row in rows if row[0] not in ("truncated", "dark"))
    summary = run_extract(copied.model_copy(update={"manifest": str(manifest)}))
    assert outcomes(summary) == {**dict.fromkeys(GOOD, "skipped"), "empty": "empty"}
    assert next(row.reason for row in summary.rows if row.slide_id == "empty")


def test_a_slide_alone_without_ray_gives_the_same_bits_as_the_run(
    first: tuple[ExtractConfig, RunSummary], read_vectors: ReadVectors, tmp_path: Path
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


def test_a_run_in_one_process_gives_the_same_bits_receipts_and_table(
    first: tuple[ExtractConfig, RunSummary], read_vectors: ReadVectors, tmp_path: Path
) -> None:
    config, summary = first
    here = config.model_copy(update={"store": str(tmp_path / "here"), "address": "none"})
    alone = run.run_extract(here, open_in_process)
    assert read_vectors(here.store) == read_vectors(config.store)
    assert comparable_receipts(here.store) == comparable_receipts(config.store)
    told = [
        {row.slide_id: (row.outcome, row.reason, row.n_tiles, row.patient_id) for row in s.rows}
        for s in (summary, alone)
    ]
    assert told[0] == told[1]


def comparable_receipts(store: str) -> dict[Any, Any]:
    """All that receipts say but for the run's name and the time."""
    told = {"run_id", "created_at"}
    receipts = open_store(store).receipts()
    return {key: receipt.model_dump(exclude=told) for key, receipt in receipts.items()}


def test_two_encoders_from_one_read_stored_as_zarr_equal_two_runs_stored_as_parquet_bit_for_bit(
    first: tuple[ExtractConfig, RunSummary],
    make_config: MakeConfig,
    read_vectors: ReadVectors,
    tmp_path: Path,
) -> None:
    config, _ = first
    encoders = (*config.encoder, OTHER)
    both = make_config(tmp_path / "both", encoder=encoders, format="zarr")
    other = make_config(tmp_path / "other", encoder=(OTHER,))
    summary = run_extract(both)
    assert summary.outcomes == {"done": 2 * len(GOOD), "empty": 2, "failed": 4}
    run.run_extract(other, open_in_process)
    apart = read_vectors(other.store) | read_vectors(config.store)
    assert read_vectors(both.store) == apart
    assert len(set(apart.values())) == 2 * len(GOOD) + 1  # nothing of the empty slide
    assert {path.suffix for path in partitions(both.store)} == {".zarr"}
    assert open_store(both.store).verify() == (2 * len(GOOD) + 2, [])


def test_a_changed_file_fails_with_the_remedy_and_is_replaced_on_request(
    copied: ExtractConfig, cohort: Any, read_vectors: ReadVectors, tmp_path: Path
) -> None:
    for name in ("good-a", "good-c"):
        shutil.copy(cohort.folder / f"{name}.svs", tmp_path)
    shutil.copy(cohort.folder / "good-b.svs", tmp_path / "good-c.svs")  # another slide by that name
    manifest = tmp_path / "changed.csv"
    manifest.write_text("slide_id,path\ngood-a,good-a.svs\ngood-c,good-c.svs\n")
    changed = copied.model_copy(update={"manifest": str(manifest)})
    before = read_vectors(changed.store)
    summary = run.run_extract(changed, open_in_process)
    assert outcomes(summary) == {"good-a": "skipped", "good-c": "failed"}
    reason = next(row.reason for row in summary.rows if row.slide_id == "good-c")
    assert "changed" in reason
    assert "--replace-changed" in reason
    assert read_vectors(changed.store) == before
    summary = run_extract(changed.model_copy(update={"replace_changed": True}))
    assert outcomes(summary) == {"good-a": "skipped", "good-c": "done"}
    after = {key.slide_id: bits for key, bits in read_vectors(changed.store).items()}
    assert after["good-c"] == after["good-b"]
    assert open_store(changed.store).verify() == (len(before), [])


def test_a_name_is_not_given_to_other_weights(copied: ExtractConfig) -> None:
    (name,) = {key.encoder for key in open_store(copied.store).list_keys()}
    impostor = copied.model_copy(update={"encoder": (f"{OTHER}&name={name}",)})
    with pytest.raises(StoreError, match="name="):
        run_extract(impostor)


def test_another_engine_gives_the_same_features_and_the_receipt_names_it(
    first: tuple[ExtractConfig, RunSummary], make_config: MakeConfig, tmp_path: Path
) -> None:
    pytest.importorskip("openvino", reason="the extra histo-ray[openvino] is not installed")
    config, _ = first
    again = make_config(tmp_path / "store", engine="openvino")
    summary = run.run_extract(again, open_in_process)
    assert set(outcomes(summary).values()) == {"done", "failed", "empty"}
    ours, compiled = open_store(config.store), open_store(again.store)
    (name,) = {key.encoder for key in ours.receipts()}
    for slide_id in GOOD:
        a, b = (
            store.bag(slide_id, name).embeddings.astype(np.float32) for store in (ours, compiled)
        )
        assert np.abs(a - b).max() <= 2e-3 * np.abs(a).max()
    found = compiled.receipts().values()
    assert {receipt.encoder.device[:17] for receipt in found if receipt.tile_count} == {
        "cpu, OpenVINO 202"
    }


@pytest.mark.slow
def test_given_masks_and_no_mask_choose_the_tiles(
    shared_ray: None, make_config: MakeConfig, cohort: Any, tmp_path: Path
) -> None:
    for slide in read_manifest(str(cohort.good)):
        mask = np.zeros((62, 90), np.uint8)
        mask[:, :45] = 255  # the left half
        cv2.imwrite(str(tmp_path / f"{slide.slide_id}.png"), mask)
    manifest = tmp_path / "one.csv"
    manifest.write_text(f"slide_id,path\ngood-a,{cohort.folder / 'good-a.svs'}\n")
    given = make_config(
        tmp_path / "given",
        manifest=str(manifest),
        tissue=f"{tmp_path}/{{slide_id}}.png",
        min_tissue=0.99,
    )
    free = make_config(tmp_path / "free", manifest=str(manifest), tissue="none")
    halves, all_tiles = run_extract(given), run_extract(free)
    columns, rows, left = 900 // 64, 620 // 64, 450 // 64
    assert [row.n_tiles for row in halves.rows] == [left * rows]
    assert [row.n_tiles for row in all_tiles.rows] == [columns * rows]
    (receipt,) = open_store(given.store).receipts().values()
    assert len(receipt.tiling.tissue_digest) == 64


def test_a_plan_counts_the_tiles_of_the_run_and_writes_nothing(
    first: tuple[ExtractConfig, RunSummary], tmp_path: Path
) -> None:
    config, summary = first
    planned = config.model_copy(update={"store": str(tmp_path / "store")})
    plan = run_plan(planned, PlanOnRay, measure=True)
    assert not (tmp_path / "store").exists()
    assert {row.slide_id: row.n_tiles for row in plan.rows} == {
        row.slide_id: row.n_tiles for row in summary.rows
    }
    assert plan.tiles == sum(row.n_tiles for row in summary.rows)
    assert {row.slide_id: row.status for row in plan.rows} == {
        slide_id: "todo" if outcome == "done" else outcome
        for slide_id, outcome in outcomes(summary).items()
    }
    assert plan.seconds is not None
    assert plan.seconds > 0


def test_a_plan_is_the_same_in_this_process_and_on_ray(
    first: tuple[ExtractConfig, RunSummary], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = first[0].model_copy(update={"store": str(tmp_path / "store")})
    here = run_plan(config, PlanOnRay, Pictures(tmp_path / "here", draw_or_problem), measure=True)
    monkeypatch.setattr("histo_ray.extract.dry_run.SLIDES_HERE", 0)
    told: list[str] = []
    pictured = Pictures(tmp_path / "ray", draw_or_problem)
    listener = PlanListener(notify=told.append)
    on_ray = run_plan(config, PlanOnRay, pictured, listener, measure=True)
    assert told[0] == "starting Ray"
    assert here.rows == on_ray.rows
    assert {"todo", "empty", "failed"} <= {row.status for row in here.rows}
    assert here.undrawn == on_ray.undrawn
    assert (here.tiles, here.vectors, here.bytes) == (on_ray.tiles, on_ray.vectors, on_ray.bytes)
    assert here.bytes
    for seconds in (here.seconds, on_ray.seconds):
        assert seconds is not None
        assert seconds > 0
    pictures = {path.name: path.read_bytes() for path in (tmp_path / "here").iterdir()}
    assert pictures == {path.name: path.read_bytes() for path in (tmp_path / "ray").iterdir()}
    assert pictures
