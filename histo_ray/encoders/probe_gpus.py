"""Check the GPUs of this machine: what driver, wheel and cards say, and whether they compute."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch.nn.functional import conv2d

from histo_ray.encoders.cuda_device import explain_missing_gpu, runs_on
from histo_ray.encoders.nvidia_driver import Driver

LEAST_FREE_GB = 4.0
"""Less free memory of a card is worth a word: large encoders and a batch take some GB."""
TOLERANCE = 0.02
"""Relative; float16 has 11 bits, and sums of some hundred products are compared."""
State = Literal["ok", "note", "bad"]
VISIBLE = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True)
class ProbedCard:
    """One GPU as torch sees it, and whether it computes."""

    name: str
    capability: tuple[int, int]
    free_gb: float
    total_gb: float
    problem: str = ""
    """Why no encoder can run on it; empty if one can."""

    def describe(self) -> str:
        """One phrase on the card."""
        major, minor = self.capability
        memory = f"{self.free_gb:.1f} of {self.total_gb:.1f} GB free"
        return f"{self.name} (sm_{major}{minor}, {memory}): {self.problem or 'computes'}"


def explain_idle_driver(driver: Driver | None) -> tuple[str, str]:
    """Describe GPUs that the driver sees and torch does not; twice empty if there are none.

    Args:
        driver: From `find_driver`.

    Returns:
        What is wrong, and the remedy.
    """
    if driver is None or not (driver.cards or driver.problem):
        return "", ""
    if driver.problem:
        return (
            f"NVIDIA's driver does not answer ({driver.problem})",
            "reboot, or load the driver again; nvidia-smi must list the cards",
        )
    serves = ".".join(map(str, driver.cuda))
    found = (
        f"{driver.cards} GPU(s) with driver {driver.version} (CUDA {serves}), and torch sees none: "
        f"{explain_missing_gpu()}"
    )
    built = torch.version.cuda
    if built is None:
        remedy = f"install a build of torch for CUDA {serves} or older; requirements.lock has one"
    elif _major(built) > driver.cuda[0]:
        remedy = f"update the driver to one for CUDA {built}, or install torch for CUDA {serves}"
    else:
        remedy = f"see nvidia-smi -L and {VISIBLE}"
    return found, remedy


def inspect_cards() -> list[ProbedCard]:
    """Look at each GPU that torch sees, and compute on it."""
    return [_inspect(index) for index in range(torch.cuda.device_count())]


def _inspect(index: int) -> ProbedCard:
    name, capability = f"cuda:{index}", (0, 0)
    free = total = 0
    try:
        name = torch.cuda.get_device_name(index)
        capability = torch.cuda.get_device_capability(index)
        free, total = torch.cuda.mem_get_info(index)
        built = torch.cuda.get_arch_list()
        problem = ""
        if torch.version.cuda is not None and not runs_on(capability, built):
            problem = f"torch {torch.__version__} has no code for it, only {' '.join(built)}"
        problem = problem or compute_on(f"cuda:{index}")
    except (AssertionError, RuntimeError) as error:  # also out of memory and CUDA's own
        problem = " ".join(str(error).split())[:200] or type(error).__name__
    return ProbedCard(name, capability, free / 1e9, total / 1e9, problem)


def compute_on(device: str) -> str:
    """Multiply matrices and convolve on a device in float16, against float32 on the CPU.

    Returns:
        What went wrong; empty if the numbers are right.

    Raises:
        RuntimeError: The device failed.
    """
    values = torch.arange(3 * 40 * 56, dtype=torch.float32).sin()
    image, kernel = values.reshape(1, 3, 40, 56), values[: 16 * 27].reshape(16, 3, 3, 3)
    left, right = values[:6000].reshape(60, 100), values[:5000].reshape(100, 50)
    expected = (left @ right, conv2d(image, kernel))
    moved = [part.to(device, torch.float16) for part in (left, right, image, kernel)]
    found = (moved[0] @ moved[1], conv2d(moved[2], moved[3]))
    for what, one, other in zip(("matmul", "convolution"), found, expected, strict=True):
        error = (one.float().cpu() - other).abs().max() / other.abs().max()
        if not error < TOLERANCE:  # nor if it is nan
            return f"a {what} is wrong by {float(error):.2g} of the largest number"
    return ""


def assess_cards(cards: Sequence[ProbedCard], driver: Driver | None) -> tuple[State, str, str]:
    """Sum up what is wrong with the GPUs that torch sees.

    Args:
        cards: From `inspect_cards`.
        driver: From `find_driver`.

    Returns:
        `ok`, `note` or `bad`; what is wrong between driver and torch; the remedy.
    """
    said: list[str] = []
    remedies: list[str] = []
    state: State = "ok"
    built = torch.version.cuda
    if driver is not None and driver.cards > len(cards) and VISIBLE not in os.environ:
        said.append(f"the driver has {driver.cards} cards, torch sees {len(cards)}")
        remedies.append("nvidia-smi -L names a card that failed, or is in MIG mode; reset it")
        state = "bad"
    if any(card.problem for card in cards):
        remedies.append(f"leave cards that cannot compute out with {VISIBLE}, or change torch")
        state = "bad"
    if driver is not None and built is not None and driver.cuda[0] < _major(built):
        serves = ".".join(map(str, driver.cuda))
        said.append(f"driver {driver.version} is for CUDA {serves}, torch for {built}")
        remedies.append(f"update the driver to one for CUDA {built}")
        state = "bad" if state == "bad" else "note"
    short = [card for card in cards if not card.problem and card.free_gb < LEAST_FREE_GB]
    if short:
        remedies.append("end other processes on cards with little free memory (nvidia-smi)")
        state = "bad" if state == "bad" else "note"
    return state, "; ".join(said), "; ".join(remedies)


def _major(version: str) -> int:
    """Major number of torch's `13.0`."""
    return int(version.partition(".")[0])
