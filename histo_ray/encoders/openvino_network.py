"""OpenVINO in place of torch for a network on CPU; an extra, `histo-ray[openvino]`."""

import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from histo_ray.errors import ConfigError

_HINTS = {"float32": "f32", "bfloat16": "bf16"}
_TELEMETRY = "openvino_telemetry"


class OpenVinoNetwork:
    """A network compiled for one batch shape. Threads may call it side by side."""

    def __init__(
        self, network: nn.Module, shape: tuple[int, int, int, int], precision: str, threads: int
    ) -> None:
        """Convert and compile `network`, which is not needed afterwards.

        Args:
            network: In eval mode, on CPU.
            shape: Shape of the batches, (B, 3, height, width).
            precision: `float32` or `bfloat16`.
            threads: Callers at once, each with a core of its own.

        Raises:
            ConfigError: OpenVINO is not installed, cannot convert the network, or the CPU has no
                such arithmetic.
        """
        if precision not in _HINTS:
            raise ConfigError(
                f"--engine openvino: CPUs compute in float32 or bfloat16, not in {precision}; "
                "choose one of them with --precision"
            )
        ov = _import()
        if precision == "bfloat16":
            _check_bfloat16(ov)
        try:
            # torch.jit, which it converts by, warns
            with _root_logger_kept(), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model = ov.convert_model(
                    network, example_input=torch.zeros(2, *shape[1:]), input=list(shape)
                )
            self._compiled = ov.compile_model(
                model,
                "CPU",
                {
                    "INFERENCE_PRECISION_HINT": _HINTS[precision],
                    "INFERENCE_NUM_THREADS": threads,
                    "NUM_STREAMS": threads,
                    "ENABLE_CPU_PINNING": False,  # encoders of one machine would share a core
                },
            )
        except _failures(ov) as error:
            reason = " ".join(str(error).split())[:200]
            raise ConfigError(
                f"--engine openvino: OpenVINO cannot run this network in {precision} ({reason}); "
                "use --engine torch, or --precision float32"
            ) from None
        self._own = threading.local()

    def __call__(self, values: torch.Tensor) -> npt.NDArray[np.float32]:
        """Encode tiles of the shape compiled for, float32 and normalised; (B, dim)."""
        request = getattr(self._own, "request", None)
        if request is None:
            request = self._own.request = self._compiled.create_infer_request()
        request.infer({0: values.numpy()}, share_inputs=True)
        vectors: npt.NDArray[np.float32] = request.get_output_tensor(0).data.copy()
        return vectors


def openvino_version() -> str:
    """Version of the installed OpenVINO.

    Raises:
        ConfigError: There is none.
    """
    return str(_import().__version__).split("-")[0]


def _failures(ov: Any) -> tuple[type[Exception], ...]:
    """What it raises for a network that it cannot trace, convert or compile."""
    names = ("General", "Initialization", "NotImplemented", "OpConversion", "OpValidation")
    return RuntimeError, *(getattr(ov.frontend, f"{name}Failure") for name in names)


def _check_bfloat16(ov: Any) -> None:
    """Refuse it where the CPU has no instructions for it: it would be imitated, or fail."""
    able = ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    if "BF16" not in able:
        raise ConfigError(
            f"--engine openvino: --precision bfloat16 needs a CPU with BF16, and this one computes "
            f"in {', '.join(able)}; use --precision float32"
        )


@contextmanager
def _root_logger_kept() -> Iterator[None]:
    """Give the root logger back as it was.

    OpenVINO raises its level while it converts, and leaves it so where it fails: warnings of
    everybody in this process would then go unheard.
    """
    root = logging.getLogger()
    level, filters, handlers = root.level, list(root.filters), list(root.handlers)
    try:
        yield
    finally:
        root.setLevel(level)
        root.filters, root.handlers = filters, handlers


def _import() -> Any:
    """OpenVINO, without its telemetry: it would report each import to its makers."""
    if find_spec("openvino") is None:
        raise ConfigError(
            "--engine openvino: OpenVINO is not installed where the encoder runs; "
            "pip install 'histo-ray[openvino]' there, or use --engine torch"
        )
    before = sys.modules.get(_TELEMETRY)
    sys.modules[_TELEMETRY] = None  # type: ignore[assignment]  # it then takes its own stub
    try:
        import openvino
    finally:
        if before is None:
            del sys.modules[_TELEMETRY]
        else:
            sys.modules[_TELEMETRY] = before
    return openvino
