"""A step of MIL training against a plain PyTorch loop on the same bags.

    OMP_NUM_THREADS=1 python -m benchmarks.mil_step [--tiles 300 3000] [--dim 1024] [--steps 40]

Both train gated attention (`abmil`, default settings) on 16 bags of up to 512 drawn tiles a step:
the plain loop is what a script of one's own does, an `nn.Module` that standardises tiles, draws
with `torch.randperm` from tensors in memory (float16 as stored, or float32 in twice the memory)
and steps with `torch.optim.AdamW`. They are timed in turn, round by round, in one process of one
thread with fixed seeds; ratios are the plain loop's CPU seconds over ours (1 or more: ours is no
slower), medians over rounds. First it is checked that both networks say the same with the same
weights. JSON to stdout.
"""

import argparse
import json
import os
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

from histo_ray.learn.mil.bags import measure_bags
from histo_ray.learn.mil.draw import TileDraw
from histo_ray.learn.mil.mil_settings import MilSettings
from histo_ray.learn.mil.networks.abmil import AttentionNetwork
from histo_ray.learn.mil.optimizer import AdamW

BAGS = 64
Vectors = npt.NDArray[np.float16]
Step = Callable[[npt.NDArray[np.intp]], None]


class PlainAttention(nn.Module):
    """Gated attention as a script of one's own has it."""

    mean: torch.Tensor
    sd: torch.Tensor

    def __init__(
        self, settings: MilSettings, mean: npt.NDArray[np.float64], sd: npt.NDArray[np.float64]
    ) -> None:
        """Standardise by mean and sd, (D,) each."""
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32))
        self.register_buffer("sd", torch.tensor(sd, dtype=torch.float32))
        self.project = nn.Linear(len(mean), settings.hidden)
        self.content = nn.Linear(settings.hidden, settings.attention)
        self.gate = nn.Linear(settings.hidden, settings.attention)
        self.weigh = nn.Linear(settings.attention, 1, bias=False)
        self.dropout = nn.Dropout(settings.dropout)
        self.answer = nn.Linear(settings.hidden, 1)

    def forward(self, tiles: torch.Tensor, missing: torch.Tensor) -> torch.Tensor:
        """Take (B, N, D) tiles to (B, 1) log-odds; (B, N) true where a bag has no tile."""
        hidden = functional.relu(self.project((tiles - self.mean) / self.sd))
        hidden = self.dropout(hidden)
        scores = self.weigh(torch.tanh(self.content(hidden)) * torch.sigmoid(self.gate(hidden)))
        scores = scores.masked_fill(missing[..., None], -torch.inf)
        answer: torch.Tensor = self.answer((scores.softmax(1) * hidden).sum(1))
        return answer

    def take_weights(self, other: AttentionNetwork) -> None:
        """Take the weights of ours."""
        half = other.gates.out_features // 2
        with torch.no_grad():
            for mine, theirs in ((self.project, other.project), (self.answer, other.answer)):
                mine.weight.copy_(theirs.weight)
                mine.bias.copy_(theirs.bias)
            for mine, rows in ((self.content, slice(half)), (self.gate, slice(half, None))):
                mine.weight.copy_(other.gates.weight[rows])
                mine.bias.copy_(other.gates.bias[rows])
            self.weigh.weight.copy_(other.weigh.weight)


def make_bags(tiles: int, dim: int) -> list[Vectors]:
    """Make bags of half to one and a half times so many tiles."""
    rng = np.random.default_rng(0)
    counts = rng.integers(tiles // 2, tiles * 3 // 2, BAGS)
    return [rng.standard_normal((int(n), dim), np.float32).astype(np.float16) for n in counts]


def start_ours(bags: Sequence[Vectors], settings: MilSettings, labels: torch.Tensor) -> Step:
    """Make the step of `learn.mil.training`."""
    torch.manual_seed(0)
    network = AttentionNetwork(settings, *measure_bags(bags).moments(), 1).train()
    draw, optimizer = TileDraw(bags, settings), AdamW(network.parameters(), settings)
    random = np.random.default_rng(0)

    def step(rows: npt.NDArray[np.intp]) -> None:
        tiles, missing = draw(rows, random)
        loss = functional.binary_cross_entropy_with_logits
        optimizer.step(network.training_loss(tiles, missing, labels[torch.from_numpy(rows)], loss))

    return step


def start_wide(bags: Sequence[Vectors], settings: MilSettings, labels: torch.Tensor) -> Step:
    """Make the step of a plain loop that holds bags as float32, which takes twice the memory."""
    return start_plain([bag.astype(np.float32) for bag in bags], settings, labels)


def start_plain(
    bags: Sequence[npt.NDArray[np.floating]], settings: MilSettings, labels: torch.Tensor
) -> Step:
    """Make the step of the plain loop, which pads bags and masks what it added."""
    torch.manual_seed(0)
    network = PlainAttention(settings, *measure_bags(bags).moments()).train()
    optimizer = torch.optim.AdamW(
        network.parameters(), settings.rate, weight_decay=settings.weight_decay
    )
    tensors = [torch.from_numpy(bag) for bag in bags]
    most = settings.tiles_per_bag

    def step(rows: npt.NDArray[np.intp]) -> None:
        drawn = [
            tensors[row][torch.randperm(len(tensors[row]))[:most]].float() for row in rows.tolist()
        ]
        tiles = nn.utils.rnn.pad_sequence(drawn, batch_first=True)
        counts = torch.tensor([len(some) for some in drawn])
        missing = torch.arange(tiles.shape[1]) >= counts[:, None]
        wanted = labels[torch.from_numpy(rows)]
        loss = functional.binary_cross_entropy_with_logits(network(tiles, missing), wanted)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step


def check_same(settings: MilSettings, dim: int) -> float:
    """Compare what both networks say with the same weights; the largest difference."""
    rng = np.random.default_rng(1)
    mean, sd = rng.normal(size=dim), rng.random(dim) + 0.5
    ours = AttentionNetwork(settings, mean, sd, 1).eval()
    plain = PlainAttention(settings, mean, sd).eval()
    plain.take_weights(ours)
    tiles, missing = (
        torch.randn(4, 50, dim),
        torch.arange(50) >= torch.tensor([[50], [9], [1], [30]]),
    )
    with torch.no_grad():
        return float((ours(tiles, missing) - plain(tiles, missing)).abs().max())


def measure(tiles: int, dim: int, steps: int, rounds: int) -> dict[str, Any]:
    """Time both in turn."""
    settings = MilSettings()
    bags = make_bags(tiles, dim)
    labels = torch.arange(BAGS).remainder(2).float()[:, None]
    loops = {name: start(bags, settings, labels) for name, start in STARTS.items()}
    order = np.random.default_rng(0)
    spent: dict[str, list[float]] = {name: [] for name in loops}
    for turn in range(rounds + 1):  # the first makes memory
        batches = [order.permutation(BAGS)[: settings.batch] for _ in range(steps)]
        for name in sorted(loops, reverse=turn % 2 == 1):
            began = time.process_time()
            for rows in batches:
                loops[name](rows)
            if turn:
                spent[name].append((time.process_time() - began) / steps)
    found: dict[str, Any] = {"tiles": tiles}
    for name, own in spent.items():
        found[f"{name}_cpu_ms"] = round(1000 * float(np.median(own)), 2)
        if name != "ours":
            ratios = np.array(own) / np.array(spent["ours"])
            found[f"{name}_over_ours"] = round(float(np.median(ratios)), 3)
            found[f"{name}_each_round"] = ratios.round(2).tolist()
    return found


STARTS = {"ours": start_ours, "plain": start_plain, "plain_float32": start_wide}


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mil_step", description=__doc__)
    parser.add_argument("--tiles", type=int, nargs="+", default=[300, 3000], help="mean of a bag")
    parser.add_argument("--dim", type=int, default=1024)
    parser.add_argument("--steps", type=int, default=40, help="of a round")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    torch.set_num_threads(1)
    answer = {
        **vars(args),
        "load": round(os.getloadavg()[0], 1),
        "largest_difference": check_same(MilSettings(), args.dim),
        "bags": [measure(tiles, args.dim, args.steps, args.rounds) for tiles in args.tiles],
    }
    print(json.dumps(answer, indent=1))


if __name__ == "__main__":
    main()
