"""Runs in which one of two encoder processes has a GPU that fails, with fakes on CPU."""

import os
import re
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import ray
import torch
from ray import cloudpickle

from histo_ray.cluster import pool
from histo_ray.cluster.actors import EncoderWorker
from histo_ray.cluster.run_extract import run_extract
from histo_ray.config import ExtractConfig
from histo_ray.encoders.base import EncoderSpec
from histo_ray.encoders.device_errors import name_device_errors
from histo_ray.errors import DeviceMemoryError, HistoRayError
from histo_ray.extract.encoder_plan import EncoderPlan
from histo_ray.extract.recorder import RunSummary
from histo_ray.store.store import open_store
from histo_ray.types import EncoderFacts

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("shared_ray")]

MakeConfig = Callable[..., ExtractConfig]
Run = Callable[..., Any]
ReadVectors = Callable[[Path | str], dict[Any, bytes]]
SICK = "CUDA error: an illegal memory access was encountered"


class FailingEncoder:
    """An encoder that raises what torch would, and encodes otherwise."""

    def __init__(self, encoder: Any, device: str, on_batch: Callable[[int], None]) -> None:
        self._encoder = encoder
        self._on_batch = on_batch
        self.device = device
        self.spec, self.dim, self.device_s = encoder.spec, encoder.dim, 0.0
        self.fixed_tiles = None

    def encode(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        with name_device_errors(self.device, "out of memory"):
            self._on_batch(len(pixels))
        vectors: npt.NDArray[np.float32] = self._encoder.encode(pixels)
        return vectors


class Worker(EncoderWorker):
    """One of two encoders whose GPU is not that of the other; what fails is up to subclasses."""

    def __init__(
        self, config: ExtractConfig, specs: Sequence[EncoderSpec], plan: EncoderPlan
    ) -> None:
        super().__init__(config, specs, plan)
        self._own = ray.get_runtime_context().get_actor_id() or ""
        self._mark = Path(config.store).parent / "sick"
        self._failures = self._mark.with_name("failures")
        self._failures.touch()
        self._batches = 0
        try:
            with os.fdopen(os.open(self._mark, os.O_CREAT | os.O_EXCL | os.O_WRONLY), "w") as mark:
                mark.write(self._own)
        except FileExistsError:
            pass

    @property
    def is_sick(self) -> bool:
        """Whether it is the one whose GPU fails, now and after each new start."""
        return self._mark.read_text() == self._own

    def load(self) -> list[EncoderFacts]:
        self.while_loading()
        card = "cuda (sick)" if self.is_sick else "cuda (sound)"
        facts = [about.model_copy(update={"device": card}) for about in super().load()]
        for ladder in self._encoders.values():
            own: Any = ladder
            own._encoder = FailingEncoder(own._encoder, card, self.on_batch)
            ladder.warm_up(self._config.tile_px, self._plan.batch_size)
        self._facts = {about.name: about for about in facts}
        return facts

    def while_loading(self) -> None:
        """Raise while weights are loaded, or not."""

    def on_batch(self, tiles: int) -> None:
        """Raise on a batch of so many tiles, the warm-up included, or not."""


class SickAtLoad(Worker):
    def while_loading(self) -> None:
        if self.is_sick:
            with name_device_errors("cuda (sick)", ""):
                raise torch.AcceleratorError(SICK)


class TooSmallForWeights(Worker):
    def while_loading(self) -> None:
        if self.is_sick:
            raise DeviceMemoryError("encoder 'net': its weights (9.9 GB) do not fit")


class SickOnSecondBatch(Worker):
    """A sticky error: once it has come, every later call of the process fails as well."""

    def on_batch(self, tiles: int) -> None:
        self._batches += 1
        if self._batches == 1:
            return  # the warm-up
        if self.is_sick and self._batches > 2:
            with self._failures.open("a") as failures:
                failures.write(f"{os.getpid()}\n")
            raise torch.AcceleratorError(SICK)
        if not self.is_sick:
            self.await_end_of_sick()

    def await_end_of_sick(self) -> None:
        """Wait until the run goes on without the other: else this one could do all the work."""
        deadline = time.monotonic() + 200
        while len(set(self._failures.read_text().split())) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)


class AllSick(Worker):
    def on_batch(self, tiles: int) -> None:
        raise torch.AcceleratorError(SICK)


class SmallMemory(Worker):
    """Five tiles fit from the start on one, and after its second batch no more than three."""

    def on_batch(self, tiles: int) -> None:
        self._batches += 1
        if self.is_sick and tiles > (5 if self._batches < 4 else 3):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


class NoMemoryLater(Worker):
    def on_batch(self, tiles: int) -> None:
        self._batches += 1
        if self.is_sick and self._batches > 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


@pytest.fixture(scope="module")
def undisturbed(
    first: tuple[ExtractConfig, RunSummary], first_vectors: dict[Any, bytes]
) -> dict[Any, bytes]:
    """Vectors of a run that nothing disturbed."""
    _, summary = first
    assert (summary.record.left_out, summary.record.smallest_batch) == ((), 0)
    assert len(summary.record.devices) == 1
    return first_vectors


@pytest.fixture
def run_with(make_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run two encoder processes of a class; the summary."""
    cloudpickle.register_pickle_by_value(sys.modules[__name__])  # type: ignore[no-untyped-call]

    def run(worker: type[Worker], batch_size: int = 4) -> Any:
        monkeypatch.setattr(pool, "EncoderWorker", worker)
        return run_extract(
            make_config(tmp_path / "store", encoder_workers=2, batch_size=batch_size)
        )

    return run


@pytest.mark.parametrize(
    ("worker", "told"),
    [
        pytest.param(
            SickAtLoad, rf"cuda \(sick\): {SICK} \(in 2 processes\)", marks=pytest.mark.slow
        ),
        (SickOnSecondBatch, rf"cuda \(sick\): {SICK} \(in 2 processes\)"),
        pytest.param(
            TooSmallForWeights, r"its weights \(9\.9 GB\) do not fit", marks=pytest.mark.slow
        ),
        pytest.param(
            NoMemoryLater,
            r"not even one tile at a time fits into the memory of cuda \(sick\)",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_the_run_goes_on_without_a_gpu_that_fails_and_names_it(
    worker: type[Worker],
    told: str,
    run_with: Run,
    tmp_path: Path,
    read_vectors: ReadVectors,
    undisturbed: dict[Any, bytes],
) -> None:
    summary = run_with(worker)
    assert {row.outcome for row in summary.rows} <= {"done", "empty", "failed"}
    (problem,) = summary.record.left_out
    assert re.search(told, problem)
    assert read_vectors(tmp_path / "store") == undisturbed
    assert open_store(str(tmp_path / "store")).verify()[1] == []


@pytest.mark.slow
def test_a_batch_is_halved_on_a_small_card_and_record_and_partitions_name_both_cards(
    run_with: Run,
    tmp_path: Path,
    read_vectors: ReadVectors,
    undisturbed: dict[Any, bytes],
) -> None:
    summary = run_with(SmallMemory, batch_size=16)
    assert summary.record.smallest_batch in (2, 4)
    assert summary.record.left_out == ()
    assert read_vectors(tmp_path / "store") == undisturbed
    assert set(summary.record.devices) == {"cuda (sick)", "cuda (sound)"}
    store = open_store(str(tmp_path / "store"))
    named = {store.read_receipt(key).encoder.device for key in store.list_keys()}
    assert named <= {"cuda (sick)", "cuda (sound)", "cuda (sick) + cuda (sound)"}


@pytest.mark.slow
def test_no_gpu_left_is_one_sentence(run_with: Run) -> None:
    with pytest.raises(HistoRayError, match=rf"^run: no encoder is left; .*{SICK}.*nvidia-smi"):
        run_with(AllSick)
