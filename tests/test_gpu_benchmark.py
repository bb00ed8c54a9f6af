"""The benchmark of a card goes its whole way on CPU, with tiny networks."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import gpu
from benchmarks.gpu_loops import LoopSettings, build_bare, covered_s, load_timm

KEYS = {"machine", "dry_run", "settings", "loops", "left_out"}


@pytest.mark.slow
def test_loops_are_measured_in_turn_and_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(gpu, "measure_run", lambda bench, networks: None)
    out = tmp_path / "gpu.json"
    assert gpu.main(["--dry-run", "--out", str(out)]) == 0
    found: dict[str, Any] = json.loads(out.read_text())
    assert set(found) == KEYS
    assert found["dry_run"] is True
    assert list(found["loops"]) == [f"{n} {p}" for n in gpu.TINY for p in gpu.PRECISIONS]
    for result in found["loops"].values():
        assert {way: len(rates) for way, rates in result["images_per_s"].items()} == dict.fromkeys(
            gpu.WAYS, 2
        )
        assert set(result["ratio"]) == set(gpu.WAYS[1:])
        assert all(ratio > 0 for ratio in result["ratio"].values())
        assert result["busy"]["ours"]["of_events"] is None  # no card
    said = capsys.readouterr().err
    assert said.count("images/s; timm's loop") == 4
    assert f"written to {out}" in said


@pytest.mark.ray
@pytest.mark.slow
def test_a_whole_run_is_measured_with_both_encoders(tmp_path: Path) -> None:
    bench = gpu.Benchmark(True, 2, 1, 0.01, (), time.monotonic() + 250, tmp_path / "gpu.json")
    run = gpu.measure_run(bench, gpu.TINY)
    assert run is not None, bench.found["left_out"]
    assert run["tiles"] > 0
    assert run["kernels_busy"] is None
    assert "whole run: " in gpu.describe_run(run)


def test_what_there_is_no_time_for_or_no_memory_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(gpu, "measure_loops", fail)
    monkeypatch.setattr(gpu, "measure_run", lambda bench, networks: None)
    out = tmp_path / "gpu.json"
    gpu.main(["--dry-run", "--out", str(out)])
    assert all("out of memory" in text for text in json.loads(out.read_text())["left_out"])
    gpu.main(["--dry-run", "--minutes", "0", "--out", str(out)])
    left = json.loads(out.read_text())["left_out"]
    assert len(left) == 5
    assert left[-1] == "whole run: no time left; give more --minutes"


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_without_a_card_it_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert gpu.main([]) == 2
    assert "--dry-run needs none" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("spans", "seconds"),
    [
        ([], 0),
        ([(1, 3)], 2),
        ([(4, 5), (1, 3)], 3),  # a gap between launches is not busy
        ([(1, 3), (2, 4), (2.5, 3)], 3),  # kernels side by side count once
    ],
)
def test_gaps_between_kernels_are_not_busy(
    spans: list[tuple[float, float]], seconds: float
) -> None:
    assert covered_s(spans) == pytest.approx(seconds)


def test_a_runs_busy_share_is_corrected_by_the_kernels_share() -> None:
    loops = {name: {"busy": {"ours": {"of_events": share}}} for name, share in
             (("a", 0.8), ("b", 0.6), ("c", None))}  # fmt: skip
    assert gpu.estimate_busy(0.9, loops) == pytest.approx(0.63)
    assert gpu.estimate_busy(0.9, {}) is None


@pytest.mark.parametrize("cast", [False, True])
def test_timms_loop_has_cudnn_look_for_the_fastest_kernel_and_leaves_no_trace(cast: bool) -> None:
    cudnn: Any = torch.backends.cudnn
    assert not cudnn.benchmark
    bare = build_bare(gpu.TINY[0])
    settings = LoopSettings(gpu.TINY[0], "bfloat16", "cpu", 2, 0.01)
    with load_timm(settings, bare, cast=cast) as loop:
        assert cudnn.benchmark
        loop.encode(1)
    assert not cudnn.benchmark
    assert all(p.dtype == torch.float32 for p in bare.parameters())
