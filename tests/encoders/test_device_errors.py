"""Errors of a GPU as a process names them."""

import os
import pickle
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, NoReturn

import numpy as np
import pytest
import torch

from histo_ray.encoders.device_errors import name_device_errors
from histo_ray.encoders.registry import resolve
from histo_ray.encoders.torch_encoder import load_encoder
from histo_ray.errors import ConfigError, DeviceError, DeviceMemoryError

OUT_OF_MEMORY = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
SICK = torch.AcceleratorError("CUDA error: uncorrectable ECC error\nCUDA kernel errors might ...")
LIBRARY = RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling cublasSgemm")


def raiser(error: Exception) -> Callable[..., NoReturn]:
    """A function that raises."""

    def fail(*_: object, **__: object) -> NoReturn:
        raise error

    return fail


@pytest.mark.parametrize("error", [SICK, LIBRARY])
def test_a_cuda_error_names_device_process_and_first_line(error: RuntimeError) -> None:
    with pytest.raises(DeviceError) as raised, name_device_errors("cuda (T1)", "none left"):
        raise error
    found = pickle.loads(pickle.dumps(raised.value))
    assert str(found) == f"encoder on cuda (T1): {str(error).splitlines()[0]}"
    assert found.process_id == os.getpid()


def test_out_of_memory_is_what_the_caller_says_of_it() -> None:
    with pytest.raises(DeviceMemoryError, match="lower it"), name_device_errors("cuda", "lower it"):
        raise OUT_OF_MEMORY


def test_an_error_of_the_program_stays_what_it_is() -> None:
    with pytest.raises(RuntimeError, match="shapes"), name_device_errors("cuda", ""):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")


def test_weights_that_do_not_fit_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.nn.Module, "to", raiser(OUT_OF_MEMORY))
    with pytest.raises(DeviceMemoryError, match=r"its weights \(0\.0 GB\) do not fit into"):
        load_encoder(resolve("random:resnet10t?px=64"), device="cpu")


@pytest.mark.parametrize(
    ("error", "kind"), [(OUT_OF_MEMORY, DeviceMemoryError), (SICK, DeviceError)]
)
def test_the_first_run_on_a_gpu_blames_neither_px_nor_pool(
    error: RuntimeError, kind: type[Exception]
) -> None:
    encoder: Any = load_encoder(resolve("random:resnet10t?px=64"), device="cpu")
    encoder._gpu = SimpleNamespace(stage=lambda blocks, size: None, run=raiser(error))
    with pytest.raises(kind) as raised:
        encoder._probe()
    assert "pool" not in str(raised.value)


def test_a_network_that_does_not_fit_the_tiles_is_still_told_so() -> None:
    encoder: Any = load_encoder(resolve("random:resnet10t?px=64"), device="cpu")
    error = RuntimeError("sizes do not match")
    encoder._gpu = SimpleNamespace(stage=lambda blocks, size: None, run=raiser(error))
    with pytest.raises(ConfigError, match="does not run on tiles of 64 px"):
        encoder._probe()
    with pytest.raises(RuntimeError, match="sizes do not match"):
        encoder._encode_at_once(np.zeros((1, 64, 64, 3), np.uint8))
