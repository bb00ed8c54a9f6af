"""A run's samples as Ray metrics, which the agent of the driver's node serves to Prometheus.

The driver hands over a few dozen numbers every few seconds; workers know nothing of it. Where a
node has no agent, Ray drops them.
"""

from collections.abc import Callable, Sequence
from typing import Any

import ray
from ray.util.metrics import Counter, Gauge

from histo_ray.extract.metric_samples import METRICS, Sample

Push = Callable[[Sequence[Sample]], Any]


class Exporter:
    """Hands samples to Ray. Counters get what was added since the last time."""

    def __init__(self) -> None:
        kinds: dict[str, Any] = {"counter": Counter, "gauge": Gauge}
        self._metrics = {
            name: kinds[metric.kind](name, metric.about, metric.tags)
            for name, metric in METRICS.items()
        }
        self._told: dict[tuple[str, ...], float] = {}

    def push(self, samples: Sequence[Sample]) -> None:
        """Export some samples."""
        for name, value, tags in samples:
            if METRICS[name].kind == "gauge":
                self._metrics[name].set(value, dict(tags))
                continue
            key = (name, *(tags[tag] for tag in METRICS[name].tags))
            added = value - self._told.get(key, 0.0)
            if added > 0:
                self._metrics[name].inc(added, dict(tags))
                self._told[key] = value


def start_export() -> Push:
    """Start to export; returns what takes the samples of a run.

    A driver that came through Ray Client is no process of the cluster, and no agent reads its
    metrics: an actor without a CPU exports in its place.
    """
    if ray.util.client.ray.is_connected():  # type: ignore[no-untyped-call]
        actor: Any = ray.remote(Exporter).options(num_cpus=0).remote()
        return lambda samples: actor.push.remote(samples)
    return Exporter().push
