"""One card: `python -m benchmarks.gpu` writes histo-ray-gpu.json in ten minutes at most.

Two encoders (Xception, ViT-L/16) in bfloat16 and float16: images/s of this library's encoder, from
uint8 tiles in host memory to vectors there, against timm's benchmark loop, whose one batch lies on
the card, in turn, each with the card's memory to itself; and how busy the card was. Then a whole
run with both encoders: tiles/s, busy, and what held it up. `--dry-run` goes through all of it on
CPU with tiny networks, and measures nothing.
"""

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import torch

from benchmarks.__main__ import describe_machine
from benchmarks.bench import Options, run_settings, start_runs, synthetic_slide
from benchmarks.gpu_loops import (
    LoopSettings,
    build_bare,
    free_memory,
    load_ours,
    load_timm,
    measure_busy,
    measure_turn,
)
from histo_ray._version import __version__
from histo_ray.encoders.base import Device, Precision
from histo_ray.errors import ConfigError

OUT = Path("histo-ray-gpu.json")
NETWORKS = ("random:legacy_xception?seed=0&px=299", "random:vit_large_patch16_224?seed=0")
TINY = ("random:test_resnet?seed=0&px=32", "random:test_vit?seed=0&img_size=32&px=32")
PRECISIONS: tuple[Precision, ...] = ("bfloat16", "float16")
WAYS = ("ours", "timm --amp", "timm --precision")
GOAL = 0.95
BUSY_BATCHES, RUN_COPIES = 20, 24
"""Batches that are profiled; how often a run reads its slides, each time under another name."""
LOOPS_S, RUN_S = 70.0, 150.0
"""Seconds that one network in one precision, and a whole run, are given."""


@dataclass
class Benchmark:
    """Settings, and what has been measured so far."""

    dry: bool
    batch: int
    turns: int
    seconds: float
    slides: Sequence[Path]
    ends: float
    """time.monotonic() after which nothing new is begun."""
    out: Path
    found: dict[str, Any] = field(default_factory=lambda: {"loops": {}, "left_out": []})

    def has(self, seconds: float, what: str) -> bool:
        """Whether there is time for `what`; else it is noted as left out."""
        if time.monotonic() + seconds <= self.ends:
            return True
        self.leave_out(what, "no time left; give more --minutes")
        return False

    def leave_out(self, what: str, why: str) -> None:
        """Note what was not measured."""
        self.found["left_out"].append(f"{what}: {why}")
        print(self.found["left_out"][-1], file=sys.stderr, flush=True)

    def save(self) -> None:
        """Write all that has been measured: what comes later may fail."""
        self.out.write_text(json.dumps(self.found, indent=1) + "\n", encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and write the file; 2 without a GPU."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--slide", type=Path, action="append", default=[], help="a real one")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--turns", type=int, default=3, help="of each loop (default: 3)")
    parser.add_argument("--minutes", type=float, default=10.0, help="at most (default: 10)")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--dry-run", action="store_true", help="on CPU, tiny: does it run")
    args = parser.parse_args(arguments)
    if not args.dry_run and not torch.cuda.is_available():
        print("benchmarks.gpu: torch sees no GPU here; --dry-run needs none", file=sys.stderr)
        return 2
    ends = time.monotonic() + 60 * args.minutes
    batch, turns, seconds = (2, 2, 0.01) if args.dry_run else (args.batch, args.turns, 2.0)
    bench = Benchmark(args.dry_run, batch, turns, seconds, args.slide, ends, args.out)
    bench.found = {
        "machine": describe_machine() | describe_card(), "dry_run": args.dry_run,
        "settings": {"batch": batch, "turns": turns, "seconds": seconds}, **bench.found,
    }  # fmt: skip
    measure_all(bench)
    print(f"written to {args.out}", file=sys.stderr)
    return 0


def describe_card() -> dict[str, Any]:
    """The card and the libraries that drive it."""
    cudnn: Any = torch.backends.cudnn
    facts: dict[str, Any] = {
        "histo_ray": __version__, "torch": torch.__version__, "cuda": torch.version.cuda,
        "cudnn": cudnn.version(),
    }  # fmt: skip
    if torch.cuda.is_available():
        card: Any = torch.cuda.get_device_properties(0)
        facts["gpu"] = card.name
        facts["gpu_gib"] = round(card.total_memory / 2**30, 1)
        facts["capability"] = f"{card.major}.{card.minor}"
        query = ["nvidia-smi", "--query-gpu=driver_version,power.limit,clocks.max.sm", "-i", "0"]
        try:
            said = subprocess.run(
                [*query, "--format=csv,noheader"], capture_output=True, text=True, timeout=20
            )
            facts["nvidia_smi"] = said.stdout.strip()
        except (OSError, subprocess.TimeoutExpired) as error:
            facts["nvidia_smi"] = f"not there ({type(error).__name__})"
    return facts


def measure_all(bench: Benchmark) -> None:
    """Both encoders in both precisions, then a whole run."""
    networks = TINY if bench.dry else NETWORKS
    for request in networks:
        for precision in PRECISIONS:
            what = f"{request} {precision}"
            if not bench.has(0 if bench.dry else LOOPS_S, what):
                continue
            try:
                result = measure_loops(bench, request, precision)
            except (torch.OutOfMemoryError, ConfigError) as error:
                bench.leave_out(what, " ".join(str(error).split())[:200])
                continue
            bench.found["loops"][what] = result
            print(describe_loops(what, result), file=sys.stderr, flush=True)
            bench.save()
    if bench.has(0 if bench.dry else RUN_S, "whole run"):
        run = measure_run(bench, networks)
        if run is not None:
            bench.found["run"] = run
            print(describe_run(run), file=sys.stderr, flush=True)
    bench.save()


def measure_loops(bench: Benchmark, request: str, precision: Precision) -> dict[str, Any]:
    """The loops in turn, one at a time on the card."""
    device: Device = "cpu" if bench.dry else "cuda"
    warm_up = {"warm_up": 1} if bench.dry else {}
    settings = LoopSettings(request, precision, device, bench.batch, bench.seconds, **warm_up)
    bare = build_bare(request)
    rates: dict[str, list[float]] = {way: [] for way in WAYS}
    memory: dict[str, float] = {}
    busy: dict[str, Any] = {}
    for turn in range(bench.turns):
        for way in WAYS:
            cast = way == "timm --precision"
            free_memory(settings.device)
            with (
                load_ours(settings) if way == "ours" else load_timm(settings, bare, cast=cast)
            ) as loop:
                rates[way].append(measure_turn(loop, settings))
                if turn == 0:
                    busy[way] = asdict(
                        measure_busy(loop, settings, 2 if bench.dry else BUSY_BATCHES)
                    )
            del loop
            memory[way] = round(free_memory(settings.device), 2)
    ratios = {
        way: median(a / b for a, b in zip(rates["ours"], rates[way], strict=True))
        for way in WAYS[1:]
    }
    return {"images_per_s": rates, "ratio": ratios, "busy": busy, "memory_gib": memory}


def measure_run(bench: Benchmark, networks: Sequence[str]) -> dict[str, Any] | None:
    """A whole run with both encoders in one pass; None, and noted why, if it came to no end."""
    with tempfile.TemporaryDirectory(prefix="histo-ray-gpu-") as folder:
        options = Options(folder=Path(folder))
        side, copies = (1500, 1) if bench.dry else (8000, RUN_COPIES)
        slides = bench.slides or [synthetic_slide(Path(folder) / "S.svs", side, 0.5)]
        manifest = options.fresh("manifest.csv")
        rows = [f"S{at},{slide.absolute()}" for at, slide in enumerate([*slides] * copies)]
        manifest.write_text("slide_id,path\n" + "\n".join(rows) + "\n", encoding="utf-8")
        device = "cpu" if bench.dry else "cuda"
        precision = "float32" if bench.dry else PRECISIONS[0]
        more = {"precision": precision, "device": device, "batch_size": bench.batch}
        process = start_runs(options, [run_settings(options, manifest, networks, **more)])
        try:
            text, _ = process.communicate(timeout=max(1.0, bench.ends - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)  # so that it takes its cluster along
            process.communicate(timeout=60)
            bench.leave_out("whole run", "not done when the time was over; give more --minutes")
            return None
        if process.returncode:
            bench.leave_out("whole run", f"failed with {process.returncode}; it said why above")
            return None
    runs: list[dict[str, Any]] = json.loads(text)
    return runs[0] | {"kernels_busy": estimate_busy(runs[0]["gpu_busy"], bench.found["loops"])}


def estimate_busy(by_events: float, loops: dict[str, Any]) -> float | None:
    """Share of a run in which kernels ran, without the gaps between launches.

    Args:
        by_events: Share between the events around each batch, as the run counts it.
        loops: Results of `measure_loops`, which know the kernels' share between such events.
    """
    shares = [found["busy"]["ours"]["of_events"] for found in loops.values()]
    known = [share for share in shares if share is not None]
    return by_events * median(known) if known else None


def describe_loops(what: str, result: dict[str, Any]) -> str:
    """One network in one precision, in words."""
    rates = {way: round(median(found)) for way, found in result["images_per_s"].items()}
    amp, cast = (result["ratio"][way] for way in WAYS[1:])
    busy = result["busy"]["ours"]["kernels"]
    return (
        f"{what}: {rates['ours']} images/s; timm's loop {rates[WAYS[1]]} with --amp ({amp:.3f}, "
        f"goal {GOAL}), {rates[WAYS[2]]} with --precision ({cast:.3f}); card busy {busy:.2f}"
    )


def describe_run(run: dict[str, Any]) -> str:
    """The whole run in words."""
    busy = run["kernels_busy"]
    share = "not known" if busy is None else f"{busy:.2f}"
    return f"whole run: {run['tiles_per_s']:.0f} tiles/s, card busy {share}; {run['verdict']}"


if __name__ == "__main__":
    sys.exit(main())
