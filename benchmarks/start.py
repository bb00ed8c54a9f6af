"""What a person waits for before small work, as whole commands, in turn with a bare script.

Each command runs in a new process of the program, as from a shell: a plan of one small slide, its
extraction in one process, the bare script (import, load, read as many tiles, encode, save; plain
torch, timm and OpenSlide), the same extraction on a Ray that is started for it, and an evaluation
of 36 patients and 24 genes. CPU seconds are those of the command's own process and of those that
it waits for, without Ray's.
"""

import csv
import json
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.bench import Figure, Options, Result, synthetic_slide, write_manifest
from histo_ray.store.store import open_store
from histo_ray.types import TileRows
from testing.partitions import facts_of

PROGRAM = (sys.executable, "-m", "histo_ray")
NETWORK = "resnet18"
PATIENTS, GENES, REPEATS, DIM, TILES = 36, 24, 10, 512, 60
BARE = """
import sys
import numpy as np, openslide, timm, torch
slide, count, out = openslide.OpenSlide(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
torch.manual_seed(0)
network = timm.create_model(sys.argv[4], num_classes=0).eval()
width, height = slide.dimensions
places = [(x, y) for y in range(0, height - 223, 224) for x in range(0, width - 223, 224)]
tiles = [slide.read_region(place, 0, (224, 224)).convert("RGB") for place in places[:count]]
pixels = torch.from_numpy(np.stack([np.asarray(tile) for tile in tiles]))
values = pixels.permute(0, 3, 1, 2).float() / 255
mean, std = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]]).reshape(2, 3, 1, 1)
with torch.inference_mode():
    vectors = [network((part - mean) / std) for part in values.split(32)]
np.save(out, torch.cat(vectors).half().numpy())
"""
"""What one writes without a library; its tiles are as many as the extraction's."""


@dataclass(frozen=True)
class Ran:
    """One command."""

    seconds: float
    cpu_s: float
    first_line_s: float
    """Until it first wrote anything."""
    out: str


def run_command(command: Sequence[str]) -> Ran:
    """Run a command to its end.

    Raises:
        SystemExit: It failed; what it wrote is printed.
    """
    environment = {**os.environ, "RAY_USAGE_STATS_ENABLED": "0"}
    began = time.monotonic()
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    )
    first, parts = 0.0, {"out": b"", "err": b""}
    with selectors.DefaultSelector() as waiting:
        for name, stream in (("out", process.stdout), ("err", process.stderr)):
            assert stream is not None
            waiting.register(stream, selectors.EVENT_READ, name)
        while waiting.get_map():
            for key, _ in waiting.select():
                data = os.read(key.fd, 1 << 16)
                first = first or time.monotonic() - began
                parts[key.data] += data
                if not data:
                    waiting.unregister(key.fileobj)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"benchmark: {command} failed: {parts['err'].decode()}")
    return Ran(seconds, usage.ru_utime + usage.ru_stime, first, parts["out"].decode())


def draw_cohort(folder: Path) -> tuple[Path, Path]:
    """Make a store of features and a table of expression; synthetic, with some signal."""
    rng, store, labels = np.random.default_rng(0), folder / "cohort", folder / "expression.csv"
    made, signal = open_store(str(store), create=True), rng.normal(size=(DIM, GENES)) / 20
    with labels.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(("patient_id", *(f"GENE{number}" for number in range(GENES))))
        for number in range(PATIENTS):
            own = rng.normal(size=DIM)
            vectors = own + 0.3 * rng.normal(size=(TILES, DIM))
            coords = np.stack([np.arange(TILES) * 448, np.zeros(TILES)], axis=1).astype(np.int32)
            ones = np.ones(TILES, np.float32)
            facts = facts_of(f"S{number}", "drawn", dim=DIM, patient_id=f"P{number}")
            rows = TileRows(coords, ones, ones, vectors.astype(np.float16), {})
            made.commit(facts.key, facts, [rows])
            writer.writerow((f"P{number}", *(own @ signal + rng.normal(size=GENES) / 2)))
    return store, labels


def measure_start(options: Options) -> Result:
    """Whole commands of small work; medians, all commands of a round in turn."""
    slide = (options.slides or (synthetic_slide(options.folder / "small.svs", 2_000),))[0]
    manifest = write_manifest(options.folder / "slides.csv", [slide])
    store, labels = draw_cohort(options.folder)
    rounds = 1 if options.quick else options.rounds
    network = options.encoder or NETWORK
    took: dict[str, list[Ran]] = {}
    starts: list[dict[str, Any]] = []
    tiles = 0
    for _ in range(rounds):

        def work(verb: str, *more: str) -> list[str]:
            target = str(options.fresh("store"))
            return [
                *PROGRAM, verb, "--manifest", str(manifest), "--store", target,
                "--encoder", f"random:{network}", "--json", *more,
            ]  # fmt: skip

        took.setdefault("plan", []).append(run_command(work("plan")))
        here = run_command(work("extract"))
        took.setdefault("extract", []).append(here)
        tiles = json.loads(here.out)["record"]["tiles_encoded"]
        saved = str(options.fresh("vectors.npy"))
        bare = [sys.executable, "-c", BARE, str(slide), str(tiles), saved, network]
        took.setdefault("bare", []).append(run_command(bare))
        on_ray = run_command(work("extract", "--address", "local"))
        took.setdefault("on_ray", []).append(on_ray)
        starts.append(json.loads(on_ray.out)["record"])
        evaluate = [
            *PROGRAM, "evaluate", "expression", "--store", str(store), "--labels", str(labels),
            "--encoder", "drawn", "--repeats", str(REPEATS), "--json",
            "--seed", str(len(starts)),
        ]  # fmt: skip
        took.setdefault("evaluate", []).append(run_command(evaluate))
    return Result(make_figures(took, starts), {"tiles": tiles, "runs": describe(took, starts)})


def make_figures(took: dict[str, list[Ran]], starts: Sequence[dict[str, Any]]) -> list[Figure]:
    """Medians beside their goals, and what a start of Ray consists of."""

    def seconds(name: str) -> float:
        return median(ran.seconds for ran in took[name])

    def cpu_s(name: str) -> float:
        return median(ran.cpu_s for ran in took[name])

    def part(name: str) -> float:
        return median(float(record[name]) for record in starts)

    def held(what: str, value: float, most: float, sign: str = "<") -> Figure:
        return Figure(what, value, f"{sign} {most:g}", value <= most)

    first = median(record["seconds"] - _encoding_s(record) for record in starts)
    ratio = median(
        ours.seconds / bare.seconds
        for ours, bare in zip(took["extract"], took["bare"], strict=True)
    )
    return [
        held("plan: s to its first line", median(r.first_line_s for r in took["plan"]), 0.5),
        held("plan: s", seconds("plan"), 1.5),
        Figure("plan: CPU s", cpu_s("plan")),
        held("extract: s", seconds("extract"), 4),
        Figure("extract: CPU s", cpu_s("extract")),
        Figure("bare script: s", seconds("bare")),
        Figure("bare script: CPU s", cpu_s("bare")),
        held("extract / bare script, s", ratio, 1.15, "<="),
        Figure("extract on a local Ray: s", seconds("on_ray")),
        held("its start to the first batch: s", first, 3, "<="),
        Figure("of these Ray itself: s", part("ray_start_s")),
        Figure("of these processes: s", part("process_start_s")),
        Figure("of these loading encoders: s", part("loading_s")),
        held("evaluate: s", seconds("evaluate"), 5),
        Figure("evaluate: CPU s", cpu_s("evaluate")),
    ]


def _encoding_s(record: dict[str, Any]) -> float:
    """Seconds from the first batch to the last of a run."""
    return float(record["tiles_encoded"] / record["tiles_per_s"])


def describe(took: dict[str, list[Ran]], starts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """All rounds."""
    names = ("startup_s", "ray_start_s", "process_start_s", "loading_s", "work_s")
    return {
        **{
            name: [(round(r.seconds, 2), round(r.cpu_s, 2)) for r in r_]
            for name, r_ in took.items()
        },
        "starts": [{name: round(record[name], 2) for name in names} for record in starts],
    }
