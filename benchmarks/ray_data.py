"""The same readers and encoder in a Ray Data pipeline: `python -m benchmarks.ray_data`.

Decision 0001 took actors and a loop of our own; this is what it is held against. Both get one
slide, the same functions, two readers and one encoder with a thread a core. The pipeline makes
vectors only: no partition, receipt, focus kept, or slide that fails alone. JSON on stdout.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.__main__ import describe_machine
from benchmarks.bench import Options, run_settings, write_manifest
from benchmarks.free_encoder import FREE, FreeEncoder
from benchmarks.one_run import measure_run
from histo_ray.cluster.session import ray_session
from histo_ray.config import TilingConfig
from histo_ray.encoders.base import Encoder, encode_fixed
from histo_ray.encoders.heap import ENVIRONMENT
from histo_ray.encoders.registry import resolve
from histo_ray.encoders.torch_encoder import load_encoder
from histo_ray.extract.slide import open_manifest_slide, plan_slide, read_block
from histo_ray.types import Slide

Rows = dict[str, Any]
CORES = os.cpu_count() or 1
READERS = 2
SPAN = 16 * CORES
"""Tiles of a block, as the product's own batch."""


class DataReader:
    """Reads spans of one slide; begins once the encoder is there, or it would be ahead."""

    def __init__(self, slide: Slide, flag: Path) -> None:
        tiling = TilingConfig()
        self._flag = flag
        self._opened = open_manifest_slide(slide, None)
        self._plan = plan_slide(self._opened, slide, tiling)
        self._tile_px = tiling.tile_px

    def __call__(self, spans: Rows) -> Rows:
        """One row a span to one row a tile."""
        while not self._flag.exists():
            time.sleep(0.01)
        pixels = [
            read_block(self._opened, self._plan, self._tile_px, range(start, stop)).pixels
            for start, stop in zip(spans["start"], spans["stop"], strict=True)
        ]
        return {"pixels": np.concatenate(pixels)}


class DataEncoder:
    """Encodes tiles."""

    def __init__(self, request: str, flag: Path) -> None:
        self._encoder: Encoder | FreeEncoder = (
            FreeEncoder()
            if request == FREE
            else load_encoder(resolve(request), device="cpu", threads=CORES)
        )
        flag.touch()

    def __call__(self, tiles: Rows) -> Rows:
        """Vectors of a batch."""
        encoder: Any = self._encoder
        return {"vectors": encode_fixed(encoder, tiles["pixels"], SPAN).astype(np.float16)}


def run_data(slide: Slide, request: str, tiles: int, flag: Path) -> float:
    """Vectors/s from when the encoder is there to the last."""
    import ray

    spans = [{"start": start, "stop": min(tiles, start + SPAN)} for start in range(0, tiles, SPAN)]
    vectors = (
        ray.data.from_items(spans, override_num_blocks=len(spans))
        .map_batches(
            DataReader,
            fn_constructor_args=(slide, flag),
            batch_size=1,
            concurrency=READERS,
            num_cpus=0.5,
        )
        .map_batches(
            DataEncoder,
            fn_constructor_args=(request, flag),
            batch_size=SPAN,
            concurrency=1,
            num_cpus=1,
            runtime_env={"env_vars": ENVIRONMENT},
        )
    )
    count = sum(
        len(batch["vectors"]) for batch in vectors.iter_batches(batch_size=None, prefetch_batches=0)
    )
    if count != tiles:
        raise SystemExit(f"benchmark: {count} vectors instead of {tiles}")
    return count / (time.time() - flag.stat().st_mtime)


def main() -> None:
    """Both in turn, in one Ray session."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--slide", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--encoder", default="random:resnet18?seed=0&px=224")
    args = parser.parse_args()
    slide = Slide(args.slide.stem, str(args.slide.absolute()), args.slide.stem)
    with open_manifest_slide(slide, None) as opened:
        tiles = len(plan_slide(opened, slide, TilingConfig()).grid)
    rates: dict[str, list[float]] = {"ours": [], "ray_data": []}
    with tempfile.TemporaryDirectory() as folder, ray_session("local"):
        options = Options(folder=Path(folder))
        manifest = write_manifest(options.fresh("manifest.csv"), [args.slide])
        for _ in range(args.rounds):
            ours = measure_run(run_settings(options, manifest, [args.encoder]))
            rates["ours"].append(ours["tiles"] / ours["work_s"])
            flag = options.fresh("encoder-is-there")
            rates["ray_data"].append(run_data(slide, args.encoder, tiles, flag))
            print({name: rate[-1] for name, rate in rates.items()}, file=sys.stderr, flush=True)
    ratio = median(a / b for a, b in zip(*rates.values(), strict=True))
    result = {"machine": describe_machine(), "encoder": args.encoder, "rates": rates}
    print(json.dumps({**result, "ours_over_ray_data": ratio}, indent=1))


if __name__ == "__main__":
    main()
