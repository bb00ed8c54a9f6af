"""What a process without a usable GPU says, with torch's answers patched."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from histo_ray.encoders import cuda_device
from histo_ray.encoders.cuda_device import check_cuda, runs_on, switch_tf32_off
from histo_ray.encoders.registry import resolve
from histo_ray.encoders.torch_encoder import load_encoder
from histo_ray.errors import ConfigError


def show_gpu(
    monkeypatch: pytest.MonkeyPatch,
    capability: tuple[int, int],
    architectures: tuple[str, ...] = ("sm_80", "sm_90", "compute_90"),
) -> None:
    """Have torch answer as on a machine with this GPU."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: list(architectures))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "NVIDIA T1")
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(
        torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation
    )


def hide_gpu(monkeypatch: pytest.MonkeyPatch, built_for: str | None, says: str = "") -> None:
    """Have torch answer as on a machine without a usable GPU."""

    def init() -> None:
        if says:
            raise RuntimeError(says)

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "init", init)
    monkeypatch.setattr(torch.version, "cuda", built_for)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.mark.parametrize(
    ("capability", "architectures", "runs"),
    [
        ((8, 0), ["sm_80"], True),
        ((8, 6), ["sm_80"], True),
        ((8, 0), ["sm_86"], False),
        ((9, 0), ["sm_80"], False),
        ((9, 0), ["sm_80", "compute_80"], True),
        ((7, 5), ["sm_80", "compute_80"], False),
        ((9, 0), ["sm_90a"], True),
        ((9, 1), ["sm_90a"], False),
        ((12, 0), ["sm_90", "sm_120"], True),
        ((12, 1), ["compute_120f"], True),
        ((13, 0), ["compute_120f"], False),
        ((9, 0), ["gfx90a"], False),
    ],
)
def test_a_build_runs_on_the_cards_it_has_code_for(
    capability: tuple[int, int], architectures: list[str], runs: bool
) -> None:
    assert runs_on(capability, architectures) is runs


def test_a_card_that_the_wheel_has_no_code_for_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    show_gpu(monkeypatch, (7, 0))
    with pytest.raises(
        ConfigError, match=r"was built for sm_80 sm_90 compute_90, and .*T1 is sm_70"
    ):
        check_cuda("net", "float16")


def test_emulated_bfloat16_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    show_gpu(monkeypatch, (7, 5), ("sm_75",))
    check_cuda("net", "float16")
    with pytest.raises(ConfigError, match=r"has no bfloat16 .*--precision float16"):
        check_cuda("net", "bfloat16")


@pytest.mark.parametrize(
    ("built_for", "says", "visible", "reason"),
    [
        (None, "", None, "was built without CUDA"),
        ("13.0", "Found no NVIDIA driver on your system. Please check", None, "no NVIDIA driver"),
        ("13.0", "The NVIDIA driver is too old (found version 12000)", "0", "driver is too old"),
        ("13.0", "", "", "CUDA_VISIBLE_DEVICES is empty"),
        ("13.0", "No CUDA GPUs are available", "MIG-1f", "names the MIG instance MIG-1f"),
        ("13.0", "No CUDA GPUs are available", "3", "CUDA_VISIBLE_DEVICES=3"),
        ("13.0", "", None, "MIG mode without an instance"),
    ],
)
def test_a_missing_gpu_is_told_with_the_reason(
    built_for: str | None,
    says: str,
    visible: str | None,
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hide_gpu(monkeypatch, built_for, says)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    with pytest.raises(ConfigError, match=f"torch sees none here .*{reason}.*--device cpu"):
        load_encoder(resolve("random:resnet10t?px=64"), device="cuda")


def test_a_cpu_plan_stays_on_the_cpu_where_a_gpu_is_visible(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    show_gpu(monkeypatch, (9, 0))
    encoder = load_encoder(resolve("random:resnet10t?px=64"), device="cpu", precision="float32")
    assert (encoder.device, encoder.precision, encoder.batch_norm_folded) == (
        "cpu",
        "float32",
        True,
    )


class Flags:
    """Settings of one operation; torch's own would stay changed for other tests."""

    fp32_precision = "tf32"
    allow_tf32 = True


def fake_backends(*, old: bool) -> Any:
    """`torch.backends` with the flags that switch TF32."""
    cudnn: Any = SimpleNamespace(allow_tf32=True)
    if not old:
        cudnn.conv, cudnn.rnn = Flags(), Flags()
    return SimpleNamespace(cuda=SimpleNamespace(matmul=Flags()), cudnn=cudnn)


def test_float32_means_ieee_in_matmuls_and_convolutions(monkeypatch: pytest.MonkeyPatch) -> None:
    new, old = fake_backends(old=False), fake_backends(old=True)
    monkeypatch.setattr(cuda_device, "_torch", SimpleNamespace(backends=new))
    switch_tf32_off()
    operations = (new.cuda.matmul, new.cudnn.conv, new.cudnn.rnn)
    assert [one.fp32_precision for one in operations] == ["ieee"] * 3
    monkeypatch.setattr(cuda_device, "_torch", SimpleNamespace(backends=old))
    switch_tf32_off()
    assert not old.cuda.matmul.allow_tf32
    assert not old.cudnn.allow_tf32
