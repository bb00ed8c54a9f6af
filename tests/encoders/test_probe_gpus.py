"""What doctor says of GPUs, with the driver's and torch's answers made up: none is at hand."""

import ctypes
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from histo_ray.encoders import probe, probe_gpus
from histo_ray.encoders.nvidia_driver import (
    LIBRARY,
    NOT_LOADED,
    Driver,
    find_driver,
    list_free_memory,
)
from histo_ray.encoders.probe_gpus import ProbedCard, assess_cards, compute_on

GB = 10**9
OLD = ProbedCard("T1", (7, 0), 9, 9, "no code for it")
GOOD = ProbedCard("NVIDIA T1", (8, 0), 38.2, 40.0)
DRIVER = Driver("580.65", (13, 0), cards=1)


def made_up_library(init: int = 0, cuda: int = 12040, cards: int = 2) -> Any:
    """An NVML that fills in what it is asked for."""

    def version(text: Any, length: ctypes.c_uint) -> None:
        assert length.value == 96
        text.value = b"550.54.14"

    def set_cuda(number: Any) -> None:
        number._obj.value = cuda

    def set_cards(number: Any) -> None:
        number._obj.value = cards

    def find_card(index: ctypes.c_uint, card: Any) -> int:
        card._obj.value = 100 + index.value
        return 0

    def fill_memory(card: ctypes.c_void_p, memory: Any) -> int:
        number = (card.value or 0) - 100
        memory._obj.total, memory._obj.free, memory._obj.used = 24 * GB, number * GB, 1
        return number % 2  # NVML's code of every other card's answer is an error

    class Explain:
        restype: Any = None

        def __call__(self, code: int) -> bytes:
            return b"Driver/library version mismatch"

    return SimpleNamespace(
        nvmlInit_v2=lambda: init,
        nvmlSystemGetDriverVersion=version,
        nvmlSystemGetCudaDriverVersion_v2=set_cuda,
        nvmlDeviceGetCount_v2=set_cards,
        nvmlErrorString=Explain(),
        nvmlShutdown=lambda: 0,
        nvmlDeviceGetHandleByIndex_v2=find_card,
        nvmlDeviceGetMemoryInfo=fill_memory,
    )


def test_the_driver_is_what_nvml_says() -> None:
    asked = []

    def load(name: str) -> Any:
        asked.append(name)
        return made_up_library()

    assert find_driver(load) == Driver("550.54.14", (12, 4), 2)
    assert asked == [LIBRARY]


def test_free_memory_is_that_of_the_cards_that_can_tell() -> None:
    assert list_free_memory(lambda name: made_up_library(cards=5)) == [0, 2 * GB, 4 * GB]
    assert list_free_memory(lambda name: made_up_library(init=NOT_LOADED)) == []

    def missing(name: str) -> Any:
        raise OSError(name)

    assert list_free_memory(missing) == []


def test_no_library_or_no_driver_below_it_is_no_gpu() -> None:
    def missing(name: str) -> Any:
        raise OSError(name)

    assert find_driver(missing) is None
    assert find_driver(lambda name: made_up_library(init=NOT_LOADED)) is None


def test_a_driver_that_does_not_answer_says_why() -> None:
    found = find_driver(lambda name: made_up_library(init=18))
    assert found == Driver(problem="Driver/library version mismatch")


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A machine whose driver and wheel a test sets; torch sees no GPU at first."""
    monkeypatch.delenv(probe_gpus.VISIBLE, raising=False)
    set_up = SimpleNamespace(driver=DRIVER, cards=[], available=False)
    monkeypatch.setattr(probe, "find_driver", lambda: set_up.driver)
    monkeypatch.setattr(probe, "inspect_cards", lambda: set_up.cards)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: set_up.available)
    monkeypatch.setattr(torch.version, "cuda", "13.0")

    def init() -> None:
        raise RuntimeError("The NVIDIA driver on your system is too old")

    monkeypatch.setattr(torch.cuda, "init", init)
    return set_up


def test_no_driver_is_no_gpu_and_nothing_bad(machine: SimpleNamespace) -> None:
    machine.driver = None
    found, state, _ = probe.check_devices()
    assert state == "note"
    assert found.startswith("none, encoders run on")


def test_a_driver_and_a_torch_without_cuda_is_bad(
    machine: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.version, "cuda", None)
    found, state, remedy = probe.check_devices()
    assert state == "bad"
    assert "1 GPU(s) with driver 580.65 (CUDA 13.0), and torch sees none" in found
    assert "built without CUDA" in found
    assert "install a build of torch for CUDA 13.0 or older" in remedy


def test_a_driver_too_old_for_the_wheel_is_bad(machine: SimpleNamespace) -> None:
    machine.driver = Driver("535.1", (12, 2), cards=2)
    found, state, remedy = probe.check_devices()
    assert state == "bad"
    assert "2 GPU(s) with driver 535.1 (CUDA 12.2), and torch sees none" in found
    assert "driver to one for CUDA 13.0, or install torch for CUDA 12.2" in remedy


def test_a_driver_that_does_not_answer_is_bad(machine: SimpleNamespace) -> None:
    machine.driver = Driver(problem="Driver/library version mismatch")
    found, state, remedy = probe.check_devices()
    assert state == "bad"
    assert "does not answer (Driver/library version mismatch)" in found
    assert "nvidia-smi" in remedy


@pytest.mark.parametrize("visible", ["", "-1"])
def test_gpus_hidden_on_purpose_are_no_problem(
    machine: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, visible: str
) -> None:
    monkeypatch.setenv(probe_gpus.VISIBLE, visible)
    assert probe.check_devices().state == "note"


def test_a_sound_card_is_ok(machine: SimpleNamespace) -> None:
    machine.available, machine.cards = True, [GOOD]
    found, state, remedy = probe.check_devices()
    assert (state, remedy) == ("ok", "")
    assert "NVIDIA T1 (sm_80, 38.2 of 40.0 GB free): computes" in found
    assert "CUDA 13.0, driver 580.65" in found


@pytest.mark.parametrize(
    ("card", "driver", "state", "said", "remedy"),
    [
        (
            ProbedCard("T1", (7, 0), 9, 9, "no code for it"),
            DRIVER,
            "bad",
            "",
            "CUDA_VISIBLE_DEVICES",
        ),
        (GOOD, Driver("580", (13, 0), 4), "bad", "has 4 cards, torch sees 1", "nvidia-smi -L"),
        (GOOD, Driver("535", (12, 2), 1), "note", "for CUDA 12.2, torch for 13.0", "update the"),
        (ProbedCard("T1", (8, 0), 0.5, 40), DRIVER, "note", "", "end other processes"),
        (GOOD, None, "ok", "", ""),
    ],
)
def test_what_is_wrong_with_cards_is_told_with_a_remedy(
    monkeypatch: pytest.MonkeyPatch,
    card: ProbedCard,
    driver: Driver | None,
    state: str,
    said: str,
    remedy: str,
) -> None:
    monkeypatch.delenv(probe_gpus.VISIBLE, raising=False)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    found = assess_cards([card], driver)
    assert found[0] == state
    assert said in found[1]
    assert remedy in found[2]


def test_fewer_cards_than_the_driver_has_are_right_where_some_are_hidden(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(probe_gpus.VISIBLE, "1")
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    assert assess_cards([GOOD], Driver("580", (13, 0), 4)) == ("ok", "", "")


@pytest.fixture
def one_card(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: "NVIDIA T1")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda index: (8, 6))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda index: (38_200_000_000, 40_000_000_000))
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: ["sm_80", "sm_90"])
    monkeypatch.setattr(torch.version, "cuda", "13.0")


@pytest.mark.usefixtures("one_card")
def test_a_card_that_the_wheel_has_no_code_for_is_not_computed_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: ["sm_90", "sm_100"])
    monkeypatch.setattr(probe_gpus, "compute_on", lambda device: pytest.fail("computed"))
    (card,) = probe_gpus.inspect_cards()
    assert card.problem.endswith("has no code for it, only sm_90 sm_100")


@pytest.mark.usefixtures("one_card")
def test_a_card_that_fails_says_what_cuda_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(device: str) -> str:
        raise RuntimeError("CUDA error: uncorrectable ECC error\nencountered")

    monkeypatch.setattr(probe_gpus, "compute_on", fail)
    (card,) = probe_gpus.inspect_cards()
    assert card == ProbedCard(
        "NVIDIA T1", (8, 6), 38.2, 40.0, "CUDA error: uncorrectable ECC error encountered"
    )


def test_what_is_computed_is_compared_with_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    assert compute_on("cpu") == ""
    plain = torch.nn.functional.conv2d
    monkeypatch.setattr(
        probe_gpus, "conv2d", lambda x, w: plain(x, w) * (1.1 if x.dtype == torch.half else 1)
    )
    assert compute_on("cpu").startswith("a convolution is wrong by 0.1")
