"""Extraction on Ray: `extract.run` with slides and tile sets spread over a cluster."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import ray

from histo_ray.cluster.call_values import SharedSubject
from histo_ray.cluster.gpu_memory import ask_gpu_memory
from histo_ray.cluster.metrics_export import start_export
from histo_ray.cluster.pool import encoder_variables
from histo_ray.cluster.ray_pipeline import RayPipeline
from histo_ray.cluster.session import ray_session
from histo_ray.cluster.start import NodeWatcher, start_pipeline
from histo_ray.config import ExtractConfig, TileSetConfig
from histo_ray.encoders.plugins import list_plugin_modules
from histo_ray.extract import run
from histo_ray.extract.pipeline import Report, RunOrder
from histo_ray.extract.recorder import RunSummary
from histo_ray.extract.run_workers import plan_run_workers
from histo_ray.tiles.segmenters import list_segmenter_modules
from histo_ray.tilesets.tileset import TileSet
from histo_ray.types import Slide


@contextmanager
def open_on_ray(order: RunOrder) -> Iterator[RayPipeline]:
    """Start or join Ray as the settings say, and have actors read and encode.

    Raises:
        ConfigError: No cluster there, or weights that cannot be had.
        StoreError: The store knows an encoder's name for other weights.
        HistoRayError: What went wrong inside Ray, in one line.
    """
    settings = order.settings
    modules = [*list_plugin_modules(order.specs), *list_segmenter_modules(settings)]
    began = time.monotonic()
    with ray_session(settings.address, None, modules, encoder_variables(settings)) as found:
        ray_s = time.monotonic() - began
        nodes = ask_gpu_memory(found, settings)
        workers = plan_run_workers(nodes, settings, order.specs)
        for work in order.todo:
            if not isinstance(work.subject, Slide):  # a tile set is large: one copy for all readers
                work.sent = SharedSubject(work.slide_id, ray.put(work.subject))
        pipeline = start_pipeline(settings, order.specs, workers, order.store, order.run_id)
        pipeline.counts.start = pipeline.counts.start._replace(ray_s=ray_s)
        pipeline.nodes = nodes
        pipeline.push = start_export()
        pipeline.use_new_nodes = NodeWatcher(settings, order.specs, nodes).use_new_nodes
        with pipeline:
            yield pipeline


def run_extract(
    config: ExtractConfig,
    report: Report = lambda counts: None,
    notify: run.Notify = lambda text: None,
) -> RunSummary:
    """Bring slides into the store, always on Ray; see `extract.run.run_extract`."""
    return run.run_extract(config, open_on_ray, report, notify)


def extract_tilesets(
    config: TileSetConfig,
    tilesets: Sequence[TileSet],
    report: Report = lambda counts: None,
) -> RunSummary:
    """Bring tile sets into the store, always on Ray; see `extract.run.extract_tilesets`."""
    return run.extract_tilesets(config, tilesets, open_on_ray, report)
