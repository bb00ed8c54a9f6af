"""Deterministic algorithms are forced on a GPU, as far as they can be, and only there."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from histo_ray.encoders.weights import digest_weights
from histo_ray.finetune.checkpoint import NoKeeper
from histo_ray.finetune.compute import Compute
from histo_ray.finetune.determinism import deterministic_algorithms, try_pass
from histo_ray.finetune.loop import train


def modes() -> tuple[bool, bool, bool]:
    return (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.backends.cudnn.deterministic,
    )


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> Any:
    """As much of a GPU's `Compute` as is asked for."""
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    return SimpleNamespace(device=torch.device("cuda"), deterministic=None)


def test_on_a_cpu_nothing_is_changed() -> None:
    before = modes()
    with deterministic_algorithms(Compute("cpu", 1), lambda: pytest.fail("not on CPU")):
        assert modes() == before


def test_on_a_gpu_they_are_forced_and_let_go_again(
    card: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[bool, bool, bool]] = []
    before = modes()
    with deterministic_algorithms(card, lambda: seen.append(modes())):
        assert modes() == seen[0] == (True, False, True)
    assert card.deterministic is True
    assert modes() == before


def test_a_network_without_deterministic_kernels_is_trained_and_said_to_have_none(
    card: Any,
) -> None:
    def attempt() -> None:
        raise RuntimeError("adaptive_avg_pool2d_backward_cuda has no deterministic implementation")

    before = modes()
    with deterministic_algorithms(card, attempt):
        assert modes() == (True, True, True)
    assert card.deterministic is False
    assert modes() == before


@pytest.mark.parametrize("kind", [torch.OutOfMemoryError, torch.AcceleratorError])
def test_a_failing_card_is_no_missing_kernel(card: Any, kind: type[RuntimeError]) -> None:
    def attempt() -> None:
        raise kind("CUDA")

    before = modes()
    with pytest.raises(kind), deterministic_algorithms(card, attempt):
        pytest.fail("not reached")
    assert modes() == before


def test_the_attempt_leaves_weights_and_flags_alone(make_job: Callable[..., Any]) -> None:
    _, classifier = make_job()
    classifier.network.conv1[0].weight.requires_grad_(True)
    flags = [p.requires_grad for p in classifier.parameters()]
    digest = digest_weights(classifier.state_dict())
    classifier.train()
    try_pass(classifier, Compute("cpu", 1, "bfloat16"), 48)
    assert digest_weights(classifier.state_dict()) == digest
    assert [p.requires_grad for p in classifier.parameters()] == flags
    assert classifier.training
    assert all(p.grad is None for p in classifier.parameters())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
@pytest.mark.parametrize(
    "base", ["random:resnet10t?px=48&seed=1", "random:vit_tiny_patch16_224?img_size=48"]
)
def test_on_a_gpu_the_same_run_ends_with_the_same_bits(
    make_job: Callable[..., Any], base: str
) -> None:
    digests = set()
    for _ in range(2):
        compute = Compute("cuda")
        job, classifier = make_job(base=base)
        digests.add(digest_weights(train(job, classifier, compute, NoKeeper()).weights))
        assert compute.deterministic
    assert len(digests) == 1
