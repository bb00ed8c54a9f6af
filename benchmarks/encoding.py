"""Encoding on CPU: this library's encoder against timm's network in eager mode, in turn."""

import json
import os
import subprocess
import sys
from statistics import median
from typing import IO, Any, cast

import numpy as np

from benchmarks.bench import Figure, Options, Result, cosines
from histo_ray.encoders.heap import ENVIRONMENT
from histo_ray.encoders.probe import computes_bfloat16

GOALS = {
    "random:legacy_xception?seed=0&px=299": (0.0, 0.0),
    "random:resnet50?seed=0&px=224": (1.9, 3.0),
    "random:legacy_xception?seed=0&px=224": (3.3, 4.4),
    "random:resnet18?seed=0&px=224": (0.0, 0.0),
}
"""Networks, and how many times faster than eager torch and OpenVINO should be; 0: reported."""
QUICK = {"random:resnet10t?seed=0&px=64": (0.0, 0.0)}
EAGER = "eager"
FLOAT32 = "torch", "openvino"
BFLOAT16 = "torch bfloat16", "openvino bfloat16"
"""Measured where the CPU computes in it; its vectors are its own, so no goal holds for them."""
BATCH = 32
LEAST_COSINE = 0.9999


class Way:
    """One way to encode, loaded in its own process."""

    def __init__(self, way: str, request: str, batch: int) -> None:
        command = [sys.executable, "-m", "benchmarks.encode_worker", way, request, str(batch)]
        environment = {**os.environ, **({} if way == EAGER else ENVIRONMENT)}
        self._process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.batch = batch
        self.vectors = np.array(self._answer()["vectors"])
        self.turns: list[dict[str, float]] = []

    def turn(self) -> None:
        """One pass over the tiles."""
        stdin = cast("IO[str]", self._process.stdin)
        stdin.write("\n")
        stdin.flush()
        self.turns.append(self._answer())

    def rate(self, key: str) -> float:
        """Images/s (`s`), or images a CPU second (`cpu_s`), median."""
        return self.batch / median(turn[key] for turn in self.turns)

    def close(self) -> None:
        """End the process."""
        cast("IO[str]", self._process.stdin).close()
        self._process.wait()

    def _answer(self) -> dict[str, Any]:
        line = cast("IO[str]", self._process.stdout).readline()
        if not line:
            raise RuntimeError(f"{self._process.args!r}: ended without a result; see above")
        return cast("dict[str, Any]", json.loads(line))


def compare_ways(request: str, ways: tuple[str, ...], rounds: int, batch: int) -> dict[str, Any]:
    """Rates of each way, passes in turn, and the least cosine to the first way's vectors."""
    loaded = [Way(way, request, batch) for way in ways]
    for _ in range(rounds):
        for way in loaded:
            way.turn()
    for way in loaded:
        way.close()
    reference = loaded[0].vectors
    result: dict[str, Any] = {}
    for name, way in zip(ways, loaded, strict=True):
        cosine = float(cosines(way.vectors, reference).min())
        result[name] = {"per_s": way.rate("s"), "per_cpu_s": way.rate("cpu_s"), "cosine": cosine}
        result[name]["seconds"] = [turn["s"] for turn in way.turns]
    return result


def measure_encoding(options: Options) -> Result:
    """Images/s of each network, ours against eager."""
    goals = QUICK if options.quick else GOALS
    if options.encoder:
        goals = {options.encoder: (0.0, 0.0)}
    ways = (EAGER, *FLOAT32, *(BFLOAT16 if computes_bfloat16() else ()))
    figures, detail = [], {}
    for request, asked in goals.items():
        found = compare_ways(request, ways, 1 if options.quick else options.rounds, BATCH)
        detail[request] = found
        for way, goal in zip(ways[1:], (*asked, 0.0, 0.0), strict=False):
            pairs = zip(found[EAGER]["seconds"], found[way]["seconds"], strict=True)
            times = median(eager / ours for eager, ours in pairs)
            figures.append(
                Figure(
                    f"{request}, {way}: times eager ({found[way]['per_s']:.1f} images/s)",
                    times,
                    f">= {goal}" if goal else "",
                    times >= goal if goal else None,
                )
            )
        cosine = min(found[way]["cosine"] for way in FLOAT32)
        figures.append(
            Figure(
                f"{request}: least cosine to eager, float32",
                cosine,
                f"> {LEAST_COSINE}",
                cosine > LEAST_COSINE,
            )
        )
    return Result(figures, detail)
