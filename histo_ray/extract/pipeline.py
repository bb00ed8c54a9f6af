"""What a run asks of that which works on its slides: in this process, or spread by Ray."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from histo_ray.config import RunSettings
from histo_ray.encoders.base import EncoderSpec
from histo_ray.extract.metric_samples import Sample
from histo_ray.extract.resources import Node, Workers
from histo_ray.extract.run_counts import Counts
from histo_ray.extract.usage import Process
from histo_ray.extract.work import SubjectWork
from histo_ray.store.store import Store
from histo_ray.types import EncoderFacts

Report = Callable[[Counts], None]
"""Called about once a second with how far a run is."""


@dataclass(frozen=True)
class RunOrder:
    """What a pipeline is opened for."""

    settings: RunSettings
    specs: Sequence[EncoderSpec]
    store: Store
    run_id: str
    todo: Sequence[SubjectWork]
    """What the store lacks; at least one."""


class RunPipeline(Protocol):
    """Encoders that are loaded, and readers beside them."""

    counts: Counts
    workers: Workers
    report: Report

    @property
    def nodes(self) -> Sequence[Node]:
        """Machines that it works on."""

    @property
    def readers(self) -> Sequence[Process]:
        """What reads tiles."""

    @property
    def encoders(self) -> Sequence[Process]:
        """What encodes them."""

    @property
    def facts(self) -> Mapping[str, EncoderFacts]:
        """Loaded encoders, by their names in the store."""

    @property
    def takes_turns(self) -> bool:
        """Whether reading waits while it encodes."""

    def run(self, subjects: Iterable[SubjectWork], finish: Callable[[SubjectWork], None]) -> None:
        """Work until all subjects have an outcome; `finish` is called with each.

        Raises:
            HistoRayError: Something that is not one subject's fate.
        """

    def export(self, samples: Sequence[Sample]) -> None:
        """Hand metrics to whoever watches."""


OpenPipeline = Callable[[RunOrder], AbstractContextManager[RunPipeline]]
"""How the work of a run is done: `open_in_process`, or `open_on_ray` of `cluster.run_extract`."""
