"""`hr.import_features`: features that another tool made, into a feature store."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Unpack

import pandas as pd

from histo_ray.api.keywords import ImportSettings, make_settings
from histo_ray.errors import ConfigError
from histo_ray.schema import column_names
from histo_ray.slides.manifest import open_manifest
from histo_ray.slides.reader import open_slide
from histo_ray.store.exchange.import_config import ImportConfig
from histo_ray.store.exchange.import_run import ImportSummary, Notify, Report, run_import
from histo_ray.store.exchange.import_slide import KnownSlide
from histo_ray.store.exchange.scale import KnownScale
from histo_ray.types import Slide


@dataclass(frozen=True, repr=False)
class ImportResult:
    """Result of an import."""

    store: str
    """Folder or URI of the store."""
    summary: ImportSummary
    """All that is known of it."""

    def __repr__(self) -> str:
        """Describe the import in a few words; `outcomes` has all of it."""
        told = ", ".join(f"{count:,} {word}" for word, count in self.summary.outcomes.items())
        return f"<ImportResult {self.run_id}; {told or 'no slides'}; store {self.store}>"

    @property
    def run_id(self) -> str:
        """Name of the run; its table is `runs/<run_id>.parquet` in the store."""
        return self.summary.run_id

    @property
    def outcomes(self) -> pd.DataFrame:
        """Table of one row a slide: slide_id, encoder, outcome, reason, n_tiles, ..."""
        rows = [asdict(row) | {"outcome": row.outcome.value} for row in self.summary.rows]
        return pd.DataFrame(rows, columns=column_names("runs"))


def import_features(
    folder: str | Path | ImportConfig,
    store: str | Path | None = None,
    *,
    encoder: str | None = None,
    layout: str | None = None,
    report: Report = lambda done, total: None,
    notify: Notify = lambda text: None,
    **settings: Unpack[ImportSettings],
) -> ImportResult:
    """Bring features that another tool made into a feature store, to be used as own ones.

    What the store has from the same files is skipped, so the same call again imports what is
    missing. A slide whose files cannot be used is an outcome with its reason, not an error.

    Args:
        folder: Local folder of the features, or a config object that holds all settings.
        store: Folder or URI of the store; it is made if it is not there.
        encoder: Name that the embeddings get in the store.
        layout: `trident`, `clam`, `stamp`, `atlaspatch`, `slide2vec`, `lazyslide` or `anndata`;
            None: told by the files.
        report: Called with (slides that have an outcome, slides).
        notify: Called with lines on what was found.
        **settings: As the flags of `histo-ray store import`, with underscores: `manifest`,
            `source_encoder`, `slide_mpp`, ...

    Returns:
        The outcomes as a DataFrame, and the run's name.

    Raises:
        ConfigError: The settings, the manifest or the folder cannot be used.
        StoreError: The encoder's name is in use, or the store cannot be used.

    Examples:
        >>> import histo_ray as hr
        >>> run = hr.import_features(trident_job, store, encoder="uni-trident", slide_mpp=0.25)
        >>> run.outcomes[["slide_id", "outcome", "n_tiles"]].values.tolist()
        [['S1', 'done', 90]]
        >>> hr.open_store(store).bag("S1", encoder="uni-trident").embeddings.shape
        (90, 16)
    """
    if isinstance(folder, ImportConfig):
        if store is not None or encoder is not None or layout is not None or settings:
            raise ConfigError(
                "hr.import_features: a config object holds all settings; change it with "
                "config.model_copy(update={...}) in place of further arguments"
            )
        config = folder
    else:
        given = {"folder": folder, "store": store, "encoder": encoder, "layout": layout}
        known = {name: value for name, value in given.items() if value is not None}
        config = make_settings(ImportConfig, {**known, **settings}, "hr.import_features")
    slides = None
    if config.manifest is not None:
        manifest = open_manifest(config.manifest, need_files=False)
        slides = manifest.slides
        for line in manifest.notes:
            notify(line)
    return ImportResult(config.store, run_import(config, slides, measure_slide, report, notify))


def measure_slide(slide: Slide) -> KnownSlide:
    """Look at a slide for its size and mpp; what is not there is not looked at.

    Raises:
        SlideError: Its file is there and cannot be used.
    """
    if not slide.path or not _is_there(slide.path):
        own = (slide.mpp, slide.mpp) if slide.mpp else None
        return KnownSlide(slide, KnownScale(own, "manifest" if own else "unknown"))
    unstated = 1.0  # told apart by its source: a slide without mpp may have one from elsewhere
    with open_slide(
        slide.path, slide_id=slide.slide_id, mpp=slide.mpp, fallback_mpp=unstated
    ) as opened:
        pyramid = opened.pyramid
        if pyramid.mpp_source == "flag":
            return KnownSlide(slide, KnownScale(size_px=pyramid.size), opened.fingerprint)
        scale = KnownScale((pyramid.mpp.x, pyramid.mpp.y), pyramid.mpp_source, pyramid.size)
        return KnownSlide(slide, scale, opened.fingerprint)


def _is_there(path: str) -> bool:
    """Whether a local slide is there; a remote one is not asked for, which takes its time."""
    return "://" not in path and Path(path).expanduser().is_file()
