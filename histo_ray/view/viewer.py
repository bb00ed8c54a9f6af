"""What all pages of one viewer share."""

from concurrent.futures import ThreadPoolExecutor
from functools import cached_property

import pandas as pd

from histo_ray.view.addresses import Addresses
from histo_ray.view.cohort_sources import read_cohort, read_labels
from histo_ray.view.overlays import Overlays
from histo_ray.view.pictures import Pictures
from histo_ray.view.slide_pool import SlidePool
from histo_ray.view.view_settings import ViewConfig
from histo_ray.view.viewed_store import ViewedStore

READERS = 4
"""Threads that read slides; decoding releases Python's lock."""


class Viewer:
    """A store, its slides and pictures, and the threads that read them."""

    def __init__(self, config: ViewConfig, token: str) -> None:
        """Open the store.

        Raises:
            StoreError: There is none.
            ConfigError: The manifest, labels or scores cannot be used.
        """
        self.store = ViewedStore(config)
        self._labels = None if config.labels is None else read_labels(config.labels)
        self.addresses = Addresses(f"/{token}")
        self.overlays = Overlays(self.store)
        self.pool = SlidePool(self.store.open_slide)
        self.pictures = Pictures(self.store, self.pool)
        self.readers = ThreadPoolExecutor(READERS, "reader")
        self.workers = ThreadPoolExecutor(2, "worker")
        """For overlays and searches, which take longer than a picture."""

    @cached_property
    def cohort(self) -> pd.DataFrame:
        """The table of slides, read once."""
        return read_cohort(self.store, self._labels)

    @cached_property
    def synthetic(self) -> frozenset[str]:
        """Slides that a manifest marks as synthetic."""
        stated = self.store.read_stated()
        return frozenset(slide for slide, word in stated.items() if word.synthetic)

    def close(self) -> None:
        """End the threads, and close slides."""
        for threads in (self.readers, self.workers):
            threads.shutdown(wait=True, cancel_futures=True)
        self.pool.close()
