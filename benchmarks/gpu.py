"""One GPU: `python -m benchmarks.gpu --slide FILE`; JSON on stdout, a table on stderr.

Images/s of this library's encoder, from uint8 tiles in host memory to vectors there, two batches at
once as in a run, against timm's benchmark loop, whose one batch lies on the device; in turn. Then a
whole run with the same encoder: tiles/s, how long the GPU computed, and what held it up.
`--device cpu` only shows that this runs.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from benchmarks.__main__ import describe_machine
from benchmarks.bench import Options, make_runs, run_settings, write_manifest
from histo_ray.cluster.pool import BATCHES_AT_ONCE
from histo_ray.encoders.registry import resolve
from histo_ray.encoders.timm_network import build_network
from histo_ray.encoders.torch_encoder import load_encoder

NETWORKS = ("random:legacy_xception?seed=0&px=299", "random:vit_large_patch16_224?seed=0")
GOAL = 0.95
Pass = Callable[[int], None]
"""Encodes so many batches."""


def main() -> None:
    """Measure each network."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--slide", type=Path, action="append", required=True)
    parser.add_argument("--network", action="append", help="a request, as --encoder takes it")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--batches", type=int, default=20, help="of a round")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    args = parser.parse_args()
    result: dict[str, Any] = {"machine": describe_machine()}
    if args.device == "cuda":
        result["gpu"] = torch.cuda.get_device_name()
    for request in args.network or NETWORKS:
        result[request] = measure(request, args)
        print(describe(request, result[request]), file=sys.stderr, flush=True)
    print(json.dumps(result, indent=1))


def measure(request: str, args: argparse.Namespace) -> dict[str, Any]:
    """Both loops in turn, and a whole run."""
    ways = {"ours": load_ours(request, args), "timm": load_timm(request, args)}
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for encode in ways.values():
        encode(2)
    for _ in range(args.rounds):
        for name, encode in ways.items():
            began = time.perf_counter()
            encode(args.batches)
            rates[name].append(args.batch * args.batches / (time.perf_counter() - began))
    ways.clear()
    with tempfile.TemporaryDirectory(prefix="histo-ray-gpu-") as folder:
        options = Options(folder=Path(folder))
        manifest = write_manifest(options.fresh("manifest.csv"), args.slide)
        more = {"precision": "bfloat16", "device": args.device, "batch_size": args.batch}
        (run,), _ = make_runs(options, [run_settings(options, manifest, [request], **more)])
    pairs = zip(rates["ours"], rates["timm"], strict=True)
    return {"images_per_s": rates, "ratio": median(a / b for a, b in pairs), "run": run}


def load_ours(request: str, args: argparse.Namespace) -> Pass:
    """As an encoder process does it: so many batches at once."""
    encoder = load_encoder(resolve(request), device=args.device, precision="bfloat16")
    side = encoder.spec.input_px or 224
    pixels = np.random.default_rng(0).integers(0, 256, (args.batch, side, side, 3), np.uint8)
    callers = ThreadPoolExecutor(BATCHES_AT_ONCE)

    def encode(batches: int) -> None:
        for vectors in callers.map(encoder.encode, [pixels] * batches):
            vectors.sum()

    return encode


def load_timm(request: str, args: argparse.Namespace) -> Pass:
    """As timm's benchmark.py does it with --amp and --channels-last."""
    network, spec = build_network(resolve(request))
    network = network.to(args.device).to(memory_format=torch.channels_last)
    side = spec.input_px or 224
    batch = torch.randn(args.batch, 3, side, side, device=args.device)
    batch = batch.contiguous(memory_format=torch.channels_last)

    def encode(batches: int) -> None:
        with torch.inference_mode(), torch.autocast(args.device, torch.bfloat16):
            for _ in range(batches):
                network(batch)
        if args.device == "cuda":
            torch.cuda.synchronize()

    return encode


def describe(request: str, result: dict[str, Any]) -> str:
    """One network in words."""
    rates = {name: round(median(values)) for name, values in result["images_per_s"].items()}
    run = result["run"]
    return (
        f"{request}: {rates['ours']} images/s, timm's loop {rates['timm']}: {result['ratio']:.3f} "
        f"(goal {GOAL}); whole run {run['tiles'] / run['work_s']:.0f} tiles/s; {run['verdict']}"
    )


if __name__ == "__main__":
    main()
