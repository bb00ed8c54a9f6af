"""Whole runs against other tools: `python -m benchmarks.peers --tool NAME=PYTHON ... --slide FILE`.

From opening slides to vectors on disk, with a network that costs next to nothing, so that
reading decides, and with ResNet-18 with random weights. Each tool has its own environment (`--tool
lazyslide=/somewhere/bin/python`), finds tissue its own way, and gets two loader processes and two
threads; this library's runs are its own command, `histo-ray extract`. All take turns, round by
round. JSON on stdout, a table on stderr.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.__main__ import describe_machine
from benchmarks.bench import Options, ask_module, write_manifest
from benchmarks.free_encoder import FREE
from benchmarks.read_cost import read_together
from benchmarks.start import PROGRAM, run_command

NETWORKS = {
    "free": FREE,
    "resnet18": "random:resnet18?seed=0&px=224",
}
"""Ours, by the peers' names of them."""
GOALS = {"free": 5.0, "resnet18": 2.2}
TOOLS = ("lazyslide", "slide2vec", "tiatoolbox")
THREADS = WORKERS = 2
LIMIT_S = 900
TILES = 600
"""Read for the bound."""
OURS = "histo_ray"
OPTIONS = {
    f"{OURS}{more}": more.split()
    for more in ("", " --engine openvino", " --engine openvino --precision bfloat16")
}
"""Ours as it comes, and with what a user may ask for; the encoder that costs nothing has no use for
that."""


def main() -> None:
    """Run all tools in turn."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--tool", action="append", default=[], metavar="NAME=PYTHON")
    parser.add_argument("--slide", type=Path, required=True, action="append")
    parser.add_argument("--copies", type=int, default=1, help="each slide under so many names")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--network", action="append", choices=sorted(NETWORKS))
    parser.add_argument("--options", action="store_true", help="ours with other engines too")
    args = parser.parse_args()
    pythons = dict(text.split("=", 1) for text in args.tool)
    unknown = sorted(set(pythons) - set(TOOLS))
    if unknown:
        parser.error(f"{', '.join(unknown)}: no such tool; known: {', '.join(TOOLS)}")
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="histo-ray-peers-") as folder:
        options = Options(folder=Path(folder))
        slides = copy_names(options, args.slide, args.copies)
        manifest = write_manifest(options.fresh("manifest.csv"), slides)
        for number in range(args.rounds):
            for network in args.network or NETWORKS:
                ours = OPTIONS if args.options and network != "free" else {OURS: OPTIONS[OURS]}
                results = {
                    name: run_ours(options, manifest, network, settings)
                    for name, settings in ours.items()
                }
                for name, python in pythons.items():
                    results[name] = run_peer(options, name, python, slides, network)
                for name, result in results.items():
                    rows.append({"round": number, "network": network, "tool": name, **result})
                    print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
        bounds = {name: bound(manifest, name) for name in args.network or NETWORKS}
    ratios = {network: ratio(rows, network) for network in bounds}
    print(
        json.dumps(
            {"machine": describe_machine(), "bounds": bounds, "ratios": ratios, "runs": rows},
            indent=1,
        )
    )
    print(table(rows, bounds, ratios), file=sys.stderr)


def run_ours(options: Options, manifest: Path, network: str, more: Sequence[str]) -> dict[str, Any]:
    """One command of this library, which takes Ray or not by itself."""
    ran = run_command(
        [
            *PROGRAM, "extract", "--manifest", str(manifest),
            "--store", str(options.fresh("store")), "--encoder", NETWORKS[network], "--json", *more,
        ]
    )  # fmt: skip
    record = json.loads(ran.out)["record"]
    return {
        "tiles": record["tiles_encoded"],
        "extract_s": record["work_s"],
        "tiles_per_s": record["tiles_encoded"] / record["work_s"],
        "command_s": ran.seconds,
    }


def copy_names(options: Options, slides: Sequence[Path], copies: int) -> list[Path]:
    """Each slide under `copies` names of its own."""
    folder = options.fresh("slides")
    folder.mkdir()
    made = []
    for slide in slides:
        for number in range(copies):
            made.append(folder / f"{slide.stem}-{number}{slide.suffix}")
            made[-1].symlink_to(slide.absolute())
    return made


def run_peer(
    options: Options, name: str, python: str, slides: Sequence[Path], network: str
) -> dict[str, Any]:
    """One run of another tool; what went wrong, if it did."""
    out = options.fresh(name)
    out.mkdir()
    driver = Path(__file__).with_name(f"drive_{name}.py")
    command = [python, str(driver), network, out, THREADS, WORKERS, *slides]
    seen = options.fresh("path")  # this package alone: others' names are not ours to hide
    seen.mkdir()
    (seen / "benchmarks").symlink_to(Path(__file__).resolve().parents[1])
    environment = {**os.environ, "PYTHONPATH": str(seen)}
    began = time.monotonic()
    done = subprocess.run(
        [str(word) for word in command],
        env=environment,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
    )
    command_s = time.monotonic() - began
    if done.returncode:
        return {"problem": done.stderr.strip().splitlines()[-1:]}
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    result["tiles_per_s"] = result["tiles"] / result["extract_s"]
    result["command_s"] = command_s
    return result


def bound(manifest: Path, network: str) -> float:
    """Tiles/s that reading and encoding allow on the cores together.

    Reading costs what it does while every core reads: cores share caches and memory.
    """
    cores = os.cpu_count() or 1
    read = cores / read_together(manifest, TILES, "auto", cores)
    if NETWORKS[network] == FREE:
        return float(cores / read)
    encode = ask_module("benchmarks.bare_loop", NETWORKS[network], 32, 6, cores)
    return float(cores / (read + encode["cpu_s_per_image"]))


def middle(rows: list[dict[str, Any]], network: str, tool: str, name: str = "tiles_per_s") -> float:
    """The median over rounds; 0 where it never ran."""
    found = [r[name] for r in rows if r["tool"] == tool and r["network"] == network and name in r]
    return median(found) if found else 0.0


def ratio(rows: list[dict[str, Any]], network: str) -> float:
    """Ours as it comes over the fastest peer's."""
    peers = {row["tool"] for row in rows} - OPTIONS.keys()
    fastest = max((middle(rows, network, peer) for peer in peers), default=0.0)
    return middle(rows, network, OURS) / fastest if fastest else 0.0


def table(rows: list[dict[str, Any]], bounds: dict[str, float], ratios: dict[str, float]) -> str:
    """Medians, as Markdown."""
    lines = ["| network | tool | tiles | tiles/s | whole command, s |", "|---|---|---|---|---|"]
    for network in bounds:
        for tool in dict.fromkeys(row["tool"] for row in rows):
            tiles, speed, whole = (
                middle(rows, network, tool, name) for name in ("tiles", "tiles_per_s", "command_s")
            )
            lines.append(f"| {network} | {tool} | {tiles:.0f} | {speed:.1f} | {whole:.1f} |")
        lines.append(
            f"{network}: {ratios[network]:.2f} times the fastest peer (goal {GOALS[network]}); "
            f"{middle(rows, network, OURS) / bounds[network]:.2f} of what CPU seconds allow, "
            f"{bounds[network]:.1f} tiles/s (goal 0.92)"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
