"""What the drivers share: arguments, the two networks, the clock. Run by a peer's own Python."""

import json
import os
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

TILE_PX, MPP = 224, 0.5
BATCH = 32


class Job(NamedTuple):
    """What one driver is asked to do."""

    slides: tuple[Path, ...]
    network: str
    """`free` or `resnet18`."""
    out: Path
    """An empty folder."""
    threads: int
    workers: int
    """Settings of the tool's own loader."""


def build_network(name: str) -> Any:
    """A torch module, (B, 3, 224, 224) to (B, D): one that costs nothing, or random ResNet-18."""
    import torch
    from torch import nn

    class Slice(nn.Module):
        """Looks at 64 pixels of a tile."""

        def forward(self, tiles: torch.Tensor) -> torch.Tensor:
            return tiles[:, :, ::28, ::28].reshape(len(tiles), -1).float()

    torch.manual_seed(0)
    if name == "free":
        return Slice().eval()
    import timm

    return timm.create_model(name, pretrained=False, num_classes=0).eval()


def drive(package: str, load: Callable[[Job], Callable[[], int]]) -> None:
    """Run `python -m benchmarks.peers.drive_... NETWORK OUT THREADS WORKERS SLIDE ...`.

    Args:
        package: Package whose version is reported.
        load: Imports the tool and builds the network; gives back what runs the whole pipeline,
            from opening the slides to vectors on disk, and returns the number of tiles.
    """
    began = time.monotonic()
    network, out, threads, workers, *slides = sys.argv[1:]
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = threads
    paths = tuple(Path(slide) for slide in slides)
    run = load(Job(paths, network, Path(out), int(threads), int(workers)))
    import torch

    torch.set_num_threads(int(threads))
    loaded, cpu = time.monotonic(), _cpu_s()
    tiles = run()
    ended = time.monotonic()
    result = {
        "version": version(package),
        "torch": torch.__version__,
        "tiles": tiles,
        "load_s": loaded - began,
        "extract_s": ended - loaded,
        "cpu_s": _cpu_s() - cpu,
    }
    print(json.dumps(result), flush=True)


def _cpu_s() -> float:
    """CPU seconds of this process and of its children that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
