"""Time and memory of MIL networks on bags of 100 to 100,000 tiles.

`OMP_NUM_THREADS=1 python -m benchmarks.mil_bags [--tiles 100,10000,100000] [--dim 1024]`. Each
network and size has a process of its own, which is given one bag of float16 and reports CPU seconds
of predicting it, and of a step of training on 16 such bags with default settings, and by how much
its peak memory rose above what it had with the bag alone.
"""

import argparse
import json
import resource
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import NamedTuple

import numpy as np

from histo_ray.learn.mil.mil_settings import MilSettings
from histo_ray.learn.mil.networks.registry import network_names

STEPS = 3


class Cost(NamedTuple):
    """What a network takes on bags of one size."""

    network: str
    tiles: int
    predict_cpu_s: float
    step_cpu_s: float
    """Mean over `STEPS`, the first one, which makes memory, before them."""
    bag_mb: float
    peak_above_bag_mb: float


def measure(network: str, tiles: int, dim: int) -> Cost:
    """Measure one network on bags of one size, in this process."""
    import torch
    from torch.nn import functional

    from histo_ray.learn.mil.draw import TileDraw
    from histo_ray.learn.mil.networks.registry import load_network
    from histo_ray.learn.mil.optimizer import AdamW

    torch.set_num_threads(1)
    random = np.random.default_rng(0)
    bag = np.empty((tiles, dim), np.float16)
    for at in range(0, tiles, 1000):  # so that the peak before is that of the bag
        bag[at : at + 1000] = random.standard_normal((len(bag[at : at + 1000]), dim), np.float32)
    settings = MilSettings(network=network)
    made = load_network(network)(settings, np.zeros(dim), np.ones(dim), 1)
    warm = np.ones((1, dim), np.float16)
    made.eval().predict(warm)
    before = _peak_mb()
    began = time.process_time()
    made.predict(bag)
    predicted = time.process_time() - began
    draw, optimizer = TileDraw([bag] * settings.batch, settings), AdamW(made.parameters(), settings)
    labels = torch.tensor([[float(at % 2)] for at in range(settings.batch)])
    made.train()
    for step in range(STEPS + 1):
        if step == 1:
            began = time.process_time()
        drawn, missing = draw(np.arange(settings.batch), random)
        loss = functional.binary_cross_entropy_with_logits
        optimizer.step(made.training_loss(drawn, missing, labels, loss))
    steps = (time.process_time() - began) / STEPS
    above = _peak_mb() - before
    return Cost(
        network, tiles, round(predicted, 3), round(steps, 3), round(bag.nbytes / 1e6, 1),
        round(above, 1),
    )  # fmt: skip


def _peak_mb() -> float:
    """Peak resident memory of this process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6


def main() -> None:
    """Print the costs as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mil_bags", description=__doc__)
    parser.add_argument("--tiles", default="100,10000,100000")
    parser.add_argument("--dim", type=int, default=1024)
    args = parser.parse_args()
    found = []
    for tiles in map(int, args.tiles.split(",")):
        for network in network_names():
            with ProcessPoolExecutor(1, get_context("spawn")) as pool:
                found.append(pool.submit(measure, network, tiles, args.dim).result()._asdict())
    print(json.dumps({**vars(args), "costs": found}, indent=1))


if __name__ == "__main__":
    main()
