"""What the plan decides for encoder processes, and that they keep to it."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from histo_ray.config import ExtractConfig
from histo_ray.encoders.requested import resolve_encoders
from histo_ray.errors import ConfigError
from histo_ray.extract.encoder_plan import EncoderPlan, plan_encoders
from histo_ray.extract.loading import check_alike, load_run_encoders
from testing.partitions import facts_of

FACTS = facts_of(encoder="net").encoder.model_copy(
    update={"device": "cuda (NVIDIA A100) (x86_64)", "precision": "float16"}
)


def config(**settings: object) -> ExtractConfig:
    return ExtractConfig.model_validate(
        {"manifest": "m.csv", "store": "s", "encoder": ("random:resnet10t?px=64",), **settings}
        | {"tile_px": 64}
    )


def share(gpus: float) -> Any:
    return SimpleNamespace(encoder_gpus=gpus, threads=2, batch_size=32, batch_sizes=())


@pytest.mark.parametrize(
    ("gpus", "asked", "device", "precision"),
    [
        (0, "auto", "cpu", "float32"),
        (1, "auto", "cuda", "float16"),
        (0.5, "bfloat16", "cuda", "bfloat16"),
        (0, "bfloat16", "cpu", "bfloat16"),
        (1, "float32", "cuda", "float32"),
    ],
)
def test_device_and_precision_are_decided_once(
    gpus: float, asked: str, device: str, precision: str
) -> None:
    plan = plan_encoders(config(precision=asked), share(gpus))
    assert (plan.device, plan.precision, plan.threads, plan.batch_size) == (
        device,
        precision,
        2,
        32,
    )


def test_a_process_keeps_to_a_cpu_plan_though_it_sees_a_gpu(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    asked = config()
    ((encoder, facts),) = load_run_encoders(
        asked, resolve_encoders(asked), EncoderPlan("cpu", "float32", 1, 16)
    )
    assert (facts.engine, facts.precision, encoder.batch_norm_folded) == ("cpu", "float32", True)


def test_a_process_without_a_gpu_refuses_a_plan_for_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    asked = config()
    with pytest.raises(ConfigError, match="asks for a GPU, and torch sees none here"):
        load_run_encoders(asked, resolve_encoders(asked), EncoderPlan("cuda", "float16", 1, 16))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"weights_sha256": "b" * 64}, "weights .*the same file"),
        ({"precision": "float32"}, r"precision \(float16, float32\)"),
        ({"batch_norm_folded": not FACTS.batch_norm_folded}, "folding of batch norms"),
        ({"device": "cpu (x86_64)"}, r"engine \(cuda, cpu\)"),
        ({"device": "cpu, OpenVINO 2026.1.0-1 (x86_64)"}, r"engine \(cuda, OpenVINO\)"),
    ],
)
def test_processes_that_compute_otherwise_are_refused(change: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=f"encoder net: processes of one run differ in {told}"):
        check_alike(FACTS, FACTS.model_copy(update=change))


def test_another_card_is_taken() -> None:
    check_alike(FACTS, FACTS.model_copy(update={"device": "cuda (NVIDIA H100, 80GB) (aarch64)"}))
