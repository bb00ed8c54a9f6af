"""Plans of very many slides, or on a cluster, by the readers and encoders of a run."""

import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import ray
from ray.util import ActorPool

from histo_ray.cluster.gpu_memory import ask_gpu_memory
from histo_ray.cluster.pool import (
    PooledActor,
    encoder_variables,
    kill_actors,
    start_encoders,
    start_readers,
)
from histo_ray.cluster.ray_pipeline import RayPipeline
from histo_ray.cluster.session import ray_session
from histo_ray.cluster.start import load_encoders
from histo_ray.config import ExtractConfig
from histo_ray.encoders.base import EncoderSpec
from histo_ray.encoders.plugins import list_plugin_modules
from histo_ray.extract.plan_summary import (
    DrawSlide,
    Measured,
    Planned,
    Report,
    Widest,
    estimate_seconds,
)
from histo_ray.extract.resources import Workers
from histo_ray.extract.run_counts import Counts
from histo_ray.extract.run_workers import plan_run_workers
from histo_ray.extract.subject import TiledSlide
from histo_ray.extract.work import SubjectWork
from histo_ray.tiles.segmenters import list_segmenter_modules
from histo_ray.types import Slide


class PlanOnRay:
    """A planner whose processes are Ray's actors."""

    def __init__(
        self, config: ExtractConfig, specs: Sequence[EncoderSpec], measures: bool = True
    ) -> None:
        """Note what is planned; Ray starts, or is joined, as the context is entered.

        Args:
            config: The extraction.
            specs: Its encoders.
            measures: Whether a batch will be measured; encoders start only for that.
        """
        self._config = config
        self._measures = measures
        self._specs = list(specs)
        self._stack = ExitStack()
        self._workers: Workers
        self._readers: list[PooledActor]
        self._encoders: list[PooledActor]

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            modules = [*list_plugin_modules(self._specs), *list_segmenter_modules(self._config)]
            variables = encoder_variables(self._config)
            nodes = stack.enter_context(ray_session(self._config.address, None, modules, variables))
            nodes = ask_gpu_memory(nodes, self._config)
            self._workers = plan_run_workers(nodes, self._config, self._specs)
            self._readers = start_readers(self._config, self._workers)
            self._encoders = (
                start_encoders(self._config, self._specs, self._workers) if self._measures else []
            )
            stack.callback(kill_actors, [*self._readers, *self._encoders])
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def plan(
        self, todo: Sequence[tuple[Slide, tuple[str, ...]]], planned: Planned, report: Report
    ) -> None:
        """Plan the slides, each for some encoders, into `planned`."""

        def take(work: SubjectWork) -> None:
            problem = next(iter(work.problems.values()), "")
            slide = work.subject
            if isinstance(slide, Slide):
                planned.add(slide, work.encoders, problem if work.plan is None else work.plan)

        def pass_on(counts: Counts) -> None:
            report(planned, len(todo))

        pipeline = RayPipeline(self._readers, [], {}, self._workers, "", plan_only=True)
        pipeline.report = pass_on
        pipeline.run([SubjectWork(slide, encoders) for slide, encoders in todo], take)

    def draw(self, draw: DrawSlide, slides: Sequence[Slide], folder: Path) -> dict[str, str]:
        """Draw slides with `draw`; those that could not be, and why."""
        pool = ActorPool([member.handle for member in self._readers])
        answers = pool.map(
            lambda reader, slide: reader.draw.remote(draw, slide, self._config, str(folder)),
            list(slides),
        )
        pairs = zip(slides, answers, strict=True)
        return {slide.slide_id: problem for slide, problem in pairs if problem}

    def measure(self, planned: Planned) -> Measured:
        """Load the encoders, and read and encode one batch."""
        loaded = load_encoders(self._encoders)
        facts = loaded.first
        encoder, names = next(iter(loaded.facts)), [about.name for about in facts]
        times = [
            self._measure_tiling(
                widest, encoder, widest.encoders if isinstance(widest.slide, TiledSlide) else names
            )
            for widest in planned.widest.values()
        ]
        return Measured(facts, sum(times) if times else None)

    def _measure_tiling(self, widest: Widest, encoder: PooledActor, names: Sequence[str]) -> float:
        """Estimate the seconds of all tiles of one tiling from one batch."""
        workers, plan = self._workers, widest.plan
        size = workers.batch_of(widest.group)
        span = range(min(size, len(plan.grid)))
        if not span:
            return 0.0
        began = time.monotonic()
        read = self._readers[0].handle.read.options(num_returns=2)
        pixels, answer = read.remote(widest.slide, ray.put(plan), span)
        ray.get(answer)
        read_s = (time.monotonic() - began) / len(span)
        encode_s = self._time_encoding(encoder, names, size, pixels)
        return estimate_seconds(
            widest.tiles,
            read_s / workers.readers,
            encode_s / workers.encoders,
            shared_cores=workers.niceness > 0,
        )

    def _time_encoding(
        self,
        encoder: PooledActor,
        names: Sequence[str],
        size: int,
        pixels: "ray.ObjectRef[object]",
    ) -> float:
        calls = encoder.handle.encode.options(num_returns=len(names) + 1)
        for _ in range(2):  # the first call warms up
            began = time.monotonic()
            ray.get(calls.remote(names, size, [slice(None)], pixels)[-1])
            seconds = time.monotonic() - began
        return seconds / size
