"""A plan of some slides by processes of this program, without Ray."""

from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from histo_ray.config import ExtractConfig
from histo_ray.encoders.base import EncoderSpec
from histo_ray.extract.plan_processes import DEATHS_ALONE, Died, ProcessPool, count_cores
from histo_ray.extract.plan_slides import (
    keep_to_one_core,
    plan_or_problem,
    time_reading,
)
from histo_ray.extract.plan_summary import (
    DrawSlide,
    Measured,
    Planned,
    Report,
    Widest,
    estimate_seconds,
)
from histo_ray.extract.probe_encoder import EncoderProbe, Loaded, RunShape
from histo_ray.extract.subject import TiledSlide
from histo_ray.types import Slide

MOST_PROCESSES = 32
"""Each holds a slide's overview in memory; few slides gain from more."""


class PlanHere:
    """A planner whose slides are opened side by side, while the encoders load in one process."""

    def __init__(
        self,
        config: ExtractConfig,
        specs: Sequence[EncoderSpec],
        shape: Callable[[int], RunShape],
        measured_from: float = 0,
    ) -> None:
        """Prepare; where a batch will be measured in any case, start to load the encoders.

        Args:
            config: The extraction.
            specs: Its encoders.
            shape: From a number of GPUs to the processes of a run on this machine; its process
                imports it by name.
            measured_from: Vectors to be encoded from which on the encoders are loaded, as soon as
                so many are planned.
        """
        self._config = config
        self._specs = specs
        self._shape = shape
        self._measured_from = measured_from
        self._probe: EncoderProbe | None = None
        readers = min(config.readers or count_cores(), MOST_PROCESSES)
        self._slides = ProcessPool(readers, keep_to_one_core)
        if not measured_from:
            self._start_probe()

    def _start_probe(self) -> EncoderProbe:
        """Start to load the encoders in a process of their own, unless that is done already."""
        if self._probe is None:
            self._probe = EncoderProbe(self._config, self._specs, self._shape)
        return self._probe

    def _look(self) -> None:
        """Raise the error of loading at once, if it failed."""
        if self._probe is not None:
            self._probe.look()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._slides.close()
        if self._probe is not None:
            self._probe.close()

    def plan(
        self, todo: Sequence[tuple[Slide, tuple[str, ...]]], planned: Planned, report: Report
    ) -> None:
        """Plan the slides, each for some encoders, into `planned`.

        Raises:
            ConfigError: An encoder cannot be loaded; the slides that are left are not opened.
        """

        def look() -> None:
            self._look()
            report(planned, len(todo))

        tasks = [(slide, self._config) for slide, _ in todo]
        for index, plan in self._slides.map(plan_or_problem, tasks, look):
            slide, encoders = todo[index]
            planned.add(slide, encoders, _died("plan") if isinstance(plan, Died) else plan)
            if planned.vectors.total() >= self._measured_from:
                self._start_probe()

    def draw(self, draw: DrawSlide, slides: Sequence[Slide], folder: Path) -> dict[str, str]:
        """Draw slides with `draw`; those that could not be, and why."""
        tasks = [(slide, self._config, str(folder)) for slide in slides]
        problems = {}
        for index, problem in self._slides.map(draw, tasks, self._look):
            if problem:
                reason = _died("draw") if isinstance(problem, Died) else problem
                problems[slides[index].slide_id] = reason
        return problems

    def measure(self, planned: Planned) -> Measured:
        """Wait for the encoders, then read and encode one batch.

        Raises:
            ConfigError: An encoder cannot be loaded.
        """
        probe = self._start_probe()
        loaded = probe.loaded()
        times = [self._measure_tiling(widest, probe, loaded) for widest in planned.widest.values()]
        return Measured(loaded.facts, sum(times) if times else None)

    def _measure_tiling(self, widest: Widest, probe: EncoderProbe, loaded: Loaded) -> float:
        """Estimate the seconds of all tiles of one tiling from one batch."""
        workers, plan = loaded.workers, widest.plan
        size = workers.batch_of(widest.group)
        if not len(plan.grid):
            return 0.0
        pixels, read_s = self._slides.submit(
            time_reading, widest.slide, self._config, plan, min(size, len(plan.grid))
        ).result()
        several = isinstance(widest.slide, TiledSlide)
        encode_s = probe.time_encoding(pixels, size, widest.encoders if several else ())
        return estimate_seconds(
            widest.tiles,
            read_s / workers.readers,
            encode_s / workers.encoders,
            shared_cores=workers.niceness > 0,
        )


def _died(what: str) -> str:
    return (
        f"the process that tried to {what} it died {DEATHS_ALONE + 1} times: out of memory, or the "
        "file crashes the decoder"
    )
