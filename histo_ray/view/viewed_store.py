"""What the viewer reads of a store; nothing is ever written, not even a catalogue."""

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from histo_ray.errors import ConfigError, SlideError, StoreError
from histo_ray.slides.manifest import read_manifest
from histo_ray.slides.reader import OpenedSlide
from histo_ray.slides.stored_slide import open_stored_slide
from histo_ray.store.catalog import FORMATS
from histo_ray.store.find import find_partition
from histo_ray.store.layout import Form, is_given
from histo_ray.store.location import Location
from histo_ray.store.opening import open_root
from histo_ray.store.run_tables import read_runs
from histo_ray.store.stated import Stated
from histo_ray.store.store import Store
from histo_ray.text import did_you_mean, name_some
from histo_ray.types import Floats, PartitionKey, Receipt, Slide, TileRows
from histo_ray.view.view_settings import ViewConfig

COLUMNS = (
    "slide_id",
    "patient_id",
    "site",
    "encoder",
    "tiling",
    "n_tiles",
    "mpp_x",
    "tile_px",
    "tile_mpp",
    "empty_reason",
)
KEPT = 8
"""Partitions whose tiles are held at once."""


@dataclass(frozen=True)
class ViewedSlide:
    """The tiles of a slide, by one encoder and tiling."""

    root: Location
    key: PartitionKey
    form: Form
    receipt: Receipt
    rows: TileRows
    """Without embeddings."""

    @property
    def slide_id(self) -> str:
        """The slide's id."""
        return self.key.slide_id

    @property
    def coords(self) -> npt.NDArray[np.int32]:
        """(N, 2) top-left (x, y), level-0 px."""
        return self.rows.coords

    @property
    def side(self) -> tuple[float, float]:
        """(width, height) of a tile, level-0 px."""
        return self.receipt.tiling.side

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of level 0; as far as tiles reach where nobody stated it."""
        if min(self.receipt.slide.size_px) > 0:
            return self.receipt.slide.size_px
        far = self.coords.max(axis=0, initial=0) + np.ceil(self.side)
        return max(1, int(far[0])), max(1, int(far[1]))

    @property
    def location(self) -> Location:
        """Where its file is."""
        return find_partition(self.root, self.key)[1]

    def read_vectors(self) -> Floats:
        """Embeddings of all tiles, (N, D).

        Raises:
            StoreError: They cannot be read.
        """
        return FORMATS[self.form].read_bag(self.location)[1]

    def read_texts(self) -> dict[str, npt.NDArray[np.str_]]:
        """Columns of text, (N,) each."""
        return FORMATS[self.form].read_texts(self.location) if self.receipt.text_columns else {}


class ViewedPatient(NamedTuple):
    """The slides of a patient that have tiles, by one encoder and tiling."""

    patient: str
    forms: dict[PartitionKey, Form]
    receipts: dict[PartitionKey, Receipt]


class ViewedStore:
    """A store that is looked at."""

    def __init__(self, config: ViewConfig) -> None:
        """Open a store.

        Raises:
            StoreError: There is none.
            ConfigError: The manifest cannot be read.
        """
        self.config = config
        self.root = open_root(config.store)
        self.store = Store(self.root, keep_catalogue=False)
        moved = [] if config.manifest is None else read_manifest(config.manifest)
        self.moved: dict[str, Slide] = {slide.slide_id: slide for slide in moved}
        self.problems: list[str] = []
        """What of the store could not be read."""
        self.load = lru_cache(KEPT)(self._load)

    @cached_property
    def slides(self) -> pd.DataFrame:
        """One row a slide, encoder and tiling, with `COLUMNS`; read once."""
        frame = self.store.slides(
            COLUMNS, on_damaged=lambda _, error: self.problems.append(str(error))
        )
        return frame[[not is_given(tiling) for tiling in frame["tiling"]]].reset_index(drop=True)

    def read_stated(self) -> dict[str, Stated]:
        """What the newest manifests say of slides."""
        return self.store.stated()

    @cached_property
    def runs(self) -> list[pd.DataFrame]:
        """Tables of extraction runs, oldest first."""
        tables, problems = read_runs(self.config.store)
        self.problems += problems
        return tables

    @cached_property
    def _keys(self) -> dict[str, list[PartitionKey]]:
        found = defaultdict[str, list[PartitionKey]](list)
        names = ["encoder", "tiling", "slide_id"]
        for encoder, tiling, slide_id in self.slides[names].itertuples(index=False):
            found[slide_id].append(PartitionKey(encoder, tiling, slide_id))
        return found

    def check_named(self) -> None:
        """See that the store has what `--encoder` and `--tiling` name.

        Raises:
            ConfigError: No slide has it.
        """
        for flag, column in (("encoder", "encoder"), ("tiling", "tiling")):
            name = getattr(self.config, flag)
            there = sorted(self.slides[column].unique().tolist())
            if name and name not in there:
                raise ConfigError(
                    f"--{flag} {name}: no slide of the store has it; there are "
                    f"{', '.join(there) or 'none'}"
                )

    def list_keys(self, slide_id: str) -> list[PartitionKey]:
        """Partitions of a slide, those that the settings ask for first; empty: it has none."""
        first = (self.config.encoder, self.config.tiling)

        def rank(key: PartitionKey) -> tuple[bool, bool]:
            return key.encoder != first[0], key.tiling != first[1]

        return sorted(self._keys.get(slide_id, []), key=rank)

    def choose_key(self, slide_id: str, encoder: str = "", tiling: str = "") -> PartitionKey:
        """The partition of a slide that is asked for; the first that fits.

        Raises:
            ConfigError: The slide has none.
        """
        keys = self.list_keys(slide_id)
        for key in keys:
            if encoder in ("", key.encoder) and tiling in ("", key.tiling):
                return key
        if not keys:
            raise ConfigError(
                f"slide {slide_id!r} has no tiles in the store, which holds "
                f"{name_some([*self._keys])}{did_you_mean(slide_id, [*self._keys])}"
            )
        raise ConfigError(
            f"slide {slide_id!r} has no tiles of encoder {encoder!r} and tiling {tiling!r}; it has "
            f"{', '.join(f'{key.encoder} in {key.tiling}' for key in keys)}"
        )

    def _load(self, key: PartitionKey) -> ViewedSlide:
        """Receipt and tiles of a partition.

        Raises:
            StoreError: They cannot be read.
        """
        form, location = find_partition(self.root, key)
        receipt = FORMATS[form].read_receipt(location)
        return ViewedSlide(self.root, key, form, receipt, FORMATS[form].read_columns(location))

    def read_patient(self, key: PartitionKey) -> ViewedPatient:
        """The patient of a slide, and all of the patient's slides with tiles.

        Args:
            key: Of the slide; the others are of the same encoder and tiling.

        Raises:
            StoreError: A receipt cannot be read.
        """
        frame = self.slides
        same = (frame["encoder"] == key.encoder) & (frame["tiling"] == key.tiling)
        same &= frame["n_tiles"] > 0
        patient = frame.loc[same & (frame["slide_id"] == key.slide_id), "patient_id"]
        if patient.empty:
            raise StoreError(f"slide {key.slide_id}: it has no tiles, so nothing can be scored")
        own = sorted(frame.loc[same & (frame["patient_id"] == patient.iloc[0]), "slide_id"])
        found = ViewedPatient(str(patient.iloc[0]), {}, {})
        for slide_id in own:
            one = PartitionKey(key.encoder, key.tiling, slide_id)
            found.forms[one], location = find_partition(self.root, one)
            found.receipts[one] = FORMATS[found.forms[one]].read_receipt(location)
        return found

    def open_slide(self, slide_id: str) -> OpenedSlide:
        """Open the file of a slide.

        Raises:
            SlideError: It cannot be opened, or lies in an object store and was not asked for.
        """
        keys = self.list_keys(slide_id)
        if not keys:
            raise SlideError(slide_id, "it has no tiles in the store")
        receipt, moved = self.load(keys[0]).receipt, self.moved.get(slide_id)
        path = moved.path if moved else receipt.slide.path
        if "://" in path and not self.config.remote_slides:
            raise SlideError(
                slide_id,
                f"{path} lies in an object store; start the viewer with --remote-slides to read "
                "it from there, or with a --manifest that names a copy on this machine",
            )
        return open_stored_slide(receipt, moved)
