"""The numbers of a run that are exported while it works."""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from histo_ray.extract.resources import Node
from histo_ray.extract.run_counts import Counts
from histo_ray.extract.usage import Busy, Process, add_up, busy_by_kind, share_since


class Metric(NamedTuple):
    """What is exported under one name."""

    kind: Literal["counter", "gauge"]
    about: str
    tags: tuple[str, ...] = ()


METRICS: Mapping[str, Metric] = {
    "histo_ray_tiles_read_total": Metric("counter", "Tiles read from slides"),
    "histo_ray_tiles_encoded_total": Metric("counter", "Tiles encoded", ("encoder",)),
    "histo_ray_bytes_read_total": Metric(
        "counter",
        "Bytes read; file: as slides hold them, where read directly; pixels: as tiles",
        ("of",),
    ),
    "histo_ray_slides_total": Metric(
        "counter", "Slides and encoders with an outcome", ("encoder", "outcome")
    ),
    "histo_ray_process_deaths_total": Metric("counter", "Processes that died and were replaced"),
    "histo_ray_queue_blocks": Metric("gauge", "Blocks of tiles that wait for an encoder"),
    "histo_ray_reader_busy_share": Metric(
        "gauge", "Share of the last seconds that readers worked", ("node_kind",)
    ),
    "histo_ray_encoder_busy_share": Metric(
        "gauge", "Share of the last seconds that encoders worked", ("node_kind",)
    ),
    "histo_ray_gpu_busy_share": Metric(
        "gauge", "Share of the last seconds that the encoders' GPUs computed"
    ),
}
"""Ray puts `ray_` before each name."""


class Sample(NamedTuple):
    """One value of one metric: of a counter all that there was so far, of a gauge what is."""

    name: str
    value: float
    tags: Mapping[str, str] = {}


class Sampler:
    """Looks at a run now and then; shares are of the time since it last did."""

    def __init__(
        self,
        readers: Sequence[Process],
        encoders: Sequence[Process],
        gpus: float,
        nodes: Sequence[Node],
        tile_px: int,
    ) -> None:
        self._readers = readers
        self._encoders = encoders
        self._gpus = gpus
        self._kinds = {node.node_id: "gpu" if node.gpus else "cpu" for node in nodes}
        self._tile_bytes = 3 * tile_px**2
        self._before: dict[str, Mapping[str, Busy]] = {}

    def take(
        self, counts: Counts, outcomes: Mapping[tuple[str, str], int], span_s: float
    ) -> list[Sample]:
        """All samples of now.

        Args:
            counts: How far the run is.
            outcomes: Slides, by encoder and outcome.
            span_s: Seconds since the last time.
        """
        file_bytes = sum(add_up(self._readers, k).file_bytes for k in ("plan", "read", "commit"))
        pixel_bytes = counts.tiles_read * self._tile_bytes
        return [
            Sample("histo_ray_tiles_read_total", counts.tiles_read),
            *(
                Sample("histo_ray_tiles_encoded_total", tiles, {"encoder": name})
                for name, tiles in counts.vectors.items()
            ),
            Sample("histo_ray_bytes_read_total", file_bytes, {"of": "file"}),
            Sample("histo_ray_bytes_read_total", pixel_bytes, {"of": "pixels"}),
            *(
                Sample("histo_ray_slides_total", slides, {"encoder": name, "outcome": outcome})
                for (name, outcome), slides in outcomes.items()
            ),
            Sample("histo_ray_process_deaths_total", counts.deaths),
            Sample("histo_ray_queue_blocks", counts.blocks_ready),
            *self._shares(span_s),
        ]

    def _shares(self, span_s: float) -> list[Sample]:
        sides = {
            "histo_ray_reader_busy_share": busy_by_kind(self._readers, self._kinds),
            "histo_ray_encoder_busy_share": busy_by_kind(self._encoders, self._kinds),
        }
        if self._gpus:
            device_s = add_up(self._encoders, "encode").device_s
            sides["histo_ray_gpu_busy_share"] = {"gpu": Busy(self._gpus, device_s)}
        samples = []
        for name, side in sides.items():
            for kind, busy in side.items():
                before = self._before.get(name, {}).get(kind)
                tags = {"node_kind": kind} if METRICS[name].tags else {}
                samples.append(Sample(name, share_since(busy, before, span_s), tags))
        self._before = dict(sides)
        return samples


def at_rest(samples: Sequence[Sample]) -> list[Sample]:
    """The samples of a run that is over: nothing waits, and no process works."""
    return [s._replace(value=0.0) if METRICS[s.name].kind == "gauge" else s for s in samples]
