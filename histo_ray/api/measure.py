"""`hr.measure`: artefacts of the tiles of slides that are in a store."""

import os
from collections.abc import Callable
from pathlib import Path

from histo_ray.errors import ConfigError
from histo_ray.extract.measure_slides import Measured, list_tasks, measure_all
from histo_ray.slides.manifest import read_manifest
from histo_ray.store.catalog import list_partitions
from histo_ray.store.receipt_cache import each_receipt
from histo_ray.store.store import open_store


def measure(
    store: str | Path,
    *,
    manifest: str | Path | None = None,
    pixels: bool = False,
    again: bool = False,
    threads: int | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Measured:
    """Measure artefacts of the tiles of all slides of a store; nothing is encoded.

    Args:
        store: Folder or URI of the store.
        manifest: Says where slides lie now, if not where they were extracted.
        pixels: Read the tiles' own pixels, too, for `blur`; else only an overview of each slide.
        again: Measure slides anew that were measured before.
        threads: Slides that are measured at once (default: one a core).
        say: Called with lines on how far it is.

    Returns:
        Slides that were measured, how many had been before, and a line on each that could not be.

    Raises:
        StoreError: No store.
        ConfigError: The manifest cannot be read, or not a number of threads.
    """
    if threads is not None and threads < 1:
        raise ConfigError(f"threads is {threads}; it must be at least 1")
    root = open_store(str(store)).root
    slides = [] if manifest is None else read_manifest(str(manifest))
    partitions = list_partitions(root)
    damaged: list[str] = []
    receipts = dict(
        each_receipt(root, partitions, on_damaged=lambda key, error: damaged.append(str(error)))
    )
    todo, there = list_tasks(root, receipts, {s.slide_id: s for s in slides}, pixels, again)
    found = measure_all(root, partitions, todo, pixels, threads or os.cpu_count() or 1, say)
    found.there = there
    found.problems = sorted([*damaged, *found.problems])
    return found
