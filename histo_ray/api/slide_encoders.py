"""`hr.encode_slides` and `hr.fit_slide_encoder`: one vector a slide, as a stage of its own.

import histo_ray as hr
hr.fit_slide_encoder("STORE", encoder="uni2-h", method="vlad", name="vlad16")
run = hr.encode_slides("STORE", encoder="uni2-h", slide_encoder="vlad16")
run.outcomes                                            # a row a slide
hr.open_store("STORE").matrix("uni2-h", pool="slide:vlad16", by="patient")
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import pandas as pd

from histo_ray.api.keywords import make_settings
from histo_ray.pooling.slide_encoders.encode_run import Progress, SlideRun, run_encode
from histo_ray.pooling.slide_encoders.fit import fit_slide_encoder as fit_without_labels
from histo_ray.pooling.slide_encoders.registry import ATTENTION
from histo_ray.pooling.slide_encoders.slide_settings import (
    EncodeSlidesConfig,
    FitSlideEncoderConfig,
)
from histo_ray.predict.fitting.attention_encoder import publish_attention
from histo_ray.schema import column_names
from histo_ray.store.opening import open_root
from histo_ray.store.slide_cards import SlideEncoderCard

C = TypeVar("C", EncodeSlidesConfig, FitSlideEncoderConfig)


@dataclass(frozen=True, repr=False)
class SlideEncodingResult:
    """Result of encoding slides."""

    store: str
    """Folder or URI of the store."""
    run: SlideRun
    """All that is known of it."""

    def __repr__(self) -> str:
        """Describe the run in a few words; `outcomes` has all of it."""
        counts = self.outcomes["outcome"].value_counts()
        told = ", ".join(f"{count:,} {word}" for word, count in counts.items())
        return f"<SlideEncodingResult {told or 'no slides'}; store {self.store}>"

    @property
    def outcomes(self) -> pd.DataFrame:
        """Table of one row a slide and slide encoder: slide_id, encoder, outcome, reason, ..."""
        rows = [asdict(row) | {"outcome": row.outcome.value} for row in self.run.rows]
        return pd.DataFrame(rows, columns=column_names("runs"))


def encode_slides(
    store: str | Path | EncodeSlidesConfig,
    *,
    report: Progress = lambda done, total, name: None,
    tell: Callable[[str], None] = lambda text: None,
    **settings: object,
) -> SlideEncodingResult:
    """Make one vector of each slide that has none yet by a slide encoder.

    Args:
        store: Folder or URI of the feature store; or all settings.
        report: Called with (slides done, slides in all, slide encoder).
        tell: Called with lines on what is done next.
        **settings: As the flags of `histo-ray encode-slides`, with underscores: `encoder`,
            `slide_encoder`, `tiling`, `slide`, `device`, ...

    Returns:
        The outcome of each slide; one that could not be encoded is an outcome, not an error.

    Raises:
        ConfigError: An unknown slide encoder, one that was made for other tiles, or one that fails.
        StoreError: The store lacks the slides, or has the name for other weights.
    """
    config = _read(EncodeSlidesConfig, store, settings, "hr.encode_slides")
    return SlideEncodingResult(
        config.store, run_encode(open_root(config.store), config, report, tell)
    )


def fit_slide_encoder(
    store: str | Path | FitSlideEncoderConfig,
    *,
    tell: Callable[[str], None] = lambda text: None,
    **settings: object,
) -> SlideEncoderCard:
    """Fit a slide encoder on the tiles of a store, and publish it there.

    Args:
        store: Folder or URI of the feature store; or all settings.
        tell: Called with lines on what is done.
        **settings: As the flags of `histo-ray fit-slide-encoder`, with underscores: `encoder`,
            `name`, `method`, `prototypes`, `patients`, `seed`, ...; of `method="attention"`
            `predictor`.

    Returns:
        Its card, as the store has it now.

    Raises:
        ConfigError: An unknown method, a name that is in use, or too few tiles.
        StoreError: The store lacks the slides, or cannot be read or written.
    """
    config = _read(FitSlideEncoderConfig, store, settings, "hr.fit_slide_encoder")
    root = open_root(config.store)
    if config.method == ATTENTION:
        return publish_attention(config, tell)
    return fit_without_labels(root, config, tell)


def _read(kind: type[C], store: str | Path | C, settings: dict[str, object], origin: str) -> C:
    if isinstance(store, kind):
        return store
    return make_settings(kind, {"store": store, **settings}, origin)
