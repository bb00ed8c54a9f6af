"""One pass for two tilings against two passes: `python -m benchmarks.one_pass SLIDE`.

Encoders are free, so reading is what is measured. Each run is the product's own, in a process of
its own, without Ray; the three of a round follow each other, as other work comes and goes.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

ENCODERS = "random:test_resnet?seed=1&px=32", "random:test_resnet?seed=2&px=32"


def run_once(manifest: Path, store: Path, reader: str, encoders: Sequence[str]) -> dict[str, float]:
    """Extract in this process: CPU and wall seconds, peak memory in MB, tiles."""
    import histo_ray as hr
    from histo_ray.encoders.torch_encoder import TorchEncoder

    def encode_free(self: Any, pixels: Any) -> Any:
        return np.zeros((len(pixels), self.dim), np.float32)

    cpu, wall = os.times(), time.monotonic()
    with patch.object(TorchEncoder, "encode", encode_free):
        run = hr.extract(
            manifest, store, encoder=encoders, slide_reader=reader, encoder_threads=1, device="cpu"
        )
    done = os.times()
    return {
        "cpu_s": done.user + done.system - cpu.user - cpu.system,
        "wall_s": time.monotonic() - wall,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "tiles": int(run.outcomes["n_tiles"].sum()),
    }


def run_apart(manifest: Path, reader: str, encoders: Sequence[str]) -> dict[str, float]:
    """The same in a process of its own, into a store of its own."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "benchmarks.one_pass", str(manifest), "--reader", reader]
        command += ["--store", f"{folder}/store", "--encoders", *encoders]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    measured: dict[str, float] = json.loads(done.stdout)
    return measured


def compare(slide: str, reader: str, tiles: Sequence[str], copies: int, rounds: int) -> None:
    """Print what each round measured: each tiling alone, both in one pass, and the ratios."""
    asked = [f"{name}@{own}" for name, own in zip(ENCODERS, tiles, strict=True)]
    with tempfile.TemporaryDirectory() as folder:
        manifest = Path(folder) / "slides.csv"
        rows = [f"S{at},{Path(slide).absolute()},P{at}" for at in range(copies)]
        manifest.write_text("\n".join(["slide_id,path,patient_id", *rows]), encoding="utf-8")
        for _ in range(rounds):
            first, second, both = (
                run_apart(manifest, reader, own) for own in (asked[:1], asked[1:], asked)
            )
            told = {
                "alone": [first, second],
                "one_pass": both,
                "cpu_ratio": both["cpu_s"] / (first["cpu_s"] + second["cpu_s"]),
                "wall_ratio": both["wall_s"] / (first["wall_s"] + second["wall_s"]),
                "peak_ratio": both["peak_mb"] / max(first["peak_mb"], second["peak_mb"]),
                "load": os.getloadavg()[0],
            }
            print(json.dumps(told), flush=True)


def main() -> None:
    """Compare, or be one of the runs that are compared."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("slide", help="a slide that states its mpp")
    parser.add_argument("--tiles", nargs=2, default=["px=224,mpp=0.5", "px=256,mpp=0.5"])
    parser.add_argument("--reader", default="auto")
    parser.add_argument("--copies", type=int, default=20, help="times that it is in the manifest")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--store", help=argparse.SUPPRESS)
    parser.add_argument("--encoders", nargs="+", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.store:
        print(json.dumps(run_once(Path(args.slide), Path(args.store), args.reader, args.encoders)))
    else:
        compare(args.slide, args.reader, args.tiles, args.copies, args.rounds)


if __name__ == "__main__":
    main()
