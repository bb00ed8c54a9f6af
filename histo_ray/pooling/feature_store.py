"""The feature store of the Python API: a store whose tiles can be pooled."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from histo_ray.pooling.matrix import pool_matrix
from histo_ray.pooling.pooled_cache import By
from histo_ray.store.exchange.export_slides import SlideExport, export_all
from histo_ray.store.exchange.registry import find_exchange_format
from histo_ray.store.location import location_of
from histo_ray.store.opening import open_root
from histo_ray.store.store import Store

if TYPE_CHECKING:
    import pandas as pd


class FeatureStore(Store):
    """A store with one vector a slide or patient on top of its tiles."""

    def matrix(
        self,
        encoder: str,
        pool: str = "mean",
        by: By = "slide",
        tiling: str | None = None,
        class_encoder: str | None = None,
        slide_ids: Iterable[str] | None = None,
        check: bool = False,
        where: str | None = None,
    ) -> "pd.DataFrame":
        """One vector a slide or patient, float32, from all of its tiles.

        Labelled tile sets are no slides and are left out. The table is kept in the store's cache.

        Args:
            encoder: Whose embeddings are pooled.
            pool: `mean`, `std`, `mean+std`, `max`, `median`, `quantiles`, `tissue`, `class:TUM`,
                `class:TUM,STR`, `classes`; see `parse_pooling`.
            by: `slide` or `patient`.
            tiling: Where the encoder has several.
            class_encoder: Published encoder whose head weighs the tiles for `class:` and
                `classes`; None: `encoder` itself.
            slide_ids: The slides that are pooled; None: all.
            check: Hold every byte that is pooled against the partitions' digests first, which
                reads them twice; without it a changed vector is not noticed.
            where: Condition on tiles, as in "focus > 20 and ink < 0.05": others are not pooled.

        Returns:
            Index slide_id or patient_id, sorted; what was left out is in its `attrs`, as
            `pool_partitions` describes.

        Raises:
            StoreError: Nothing of this encoder or of a slide, or several tilings and none is named.
                Or a partition is damaged.
            ConfigError: Another `pool` or `by`, no class head, or a class that it does not know.
        """
        return pool_matrix(self, encoder, pool, by, tiling, class_encoder, slide_ids, check, where)

    def export(
        self,
        to: str,
        out: str | Path,
        encoder: str | None = None,
        tiling: str | None = None,
        slide_ids: Iterable[str] = (),
        overwrite: bool = False,
    ) -> SlideExport:
        """Write slides as files of another tool, each whole or not at all; the store is only read.

        Args:
            to: `trident`, `clam`, `stamp`, `anndata`, `geojson` or `csv`.
            out: Folder or URI for the files; made if it is not there.
            encoder: Whose tiles and embeddings; None where the store holds one encoder.
            tiling: Where the encoder has several: fingerprint, its first letters, or its mpp.
            slide_ids: The slides; none: all.
            overwrite: Write files anew that are there already.

        Returns:
            Paths below `out` that were written, those that were there and stay, and a line on each
            slide that could not be exported.

        Raises:
            ConfigError: No such format, several encoders and none is named, or `out` cannot be
                written.
            StoreError: Nothing of this encoder or of a slide, or several tilings and none is named.
        """
        return export_all(
            self.root,
            find_exchange_format(to),
            location_of(str(out)),
            encoder,
            tiling,
            list(slide_ids),
            overwrite,
        )


def open_store(uri: str, create: bool = False) -> FeatureStore:
    """Open a feature store.

    Args:
        uri: Local folder, `s3://bucket/...` or `gs://bucket/...`.
        create: Make an empty one if nothing is there.

    Raises:
        StoreError: Nothing there, something else there, or a newer store.
        ConfigError: Not a path or URI, or a store that cannot be reached.
    """
    return FeatureStore(open_root(uri, create))
