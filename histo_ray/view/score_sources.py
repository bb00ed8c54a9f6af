"""Overlays from tables of tiles: files of `histo-ray heatmap`, and stored predictions."""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import ValidationError

from histo_ray.errors import ConfigError, StoreError
from histo_ray.predict.heat.score_record import ScoreRecord
from histo_ray.storage.native import native
from histo_ray.store.location import Location, location_of
from histo_ray.view.tile_numbers import TileNumbers, as_classes
from histo_ray.view.viewed_store import ViewedSlide

PREDICTIONS = "predictions"
_RECORD = b"histo_ray"
NUMBERS = {
    "contribution": "what a tile adds to the prediction of its patient",
    "score": "what the heads say of a tile alone",
    "weight": "share of a tile in the pooled vector, or its attention",
}
"""Numbers of a tile, and what they are."""


class _ScoreFile(NamedTuple):
    location: Location
    record: ScoreRecord


class ScoreFileSource:
    """Tile scores and classes in Parquet files of `histo-ray heatmap`."""

    def __init__(self, places: Iterable[str]) -> None:
        """Look into files and folders; tables themselves are read when they are shown.

        Raises:
            ConfigError: One is not there, or holds no tile scores.
        """
        self._files = defaultdict[str, list[_ScoreFile]](list)
        for place in places:
            found = list(_find_files(place))
            if not found:
                raise ConfigError(
                    f"--scores {place}: no tile scores there; give a Parquet file that histo-ray "
                    "heatmap wrote, or the folder of its --out"
                )
            for file in found:
                self._files[file.record.slide_id].append(file)

    def _offer(self, slide: ViewedSlide) -> dict[str, tuple[_ScoreFile, str]]:
        """File and column behind each name."""
        found = dict[str, tuple[_ScoreFile, str]]()
        for file in self._files.get(slide.slide_id, []):
            record = file.record
            if record.tiling != slide.key.tiling:
                continue
            if record.kind == "classes":
                found[f"class map of {record.source}"] = file, "label"
                continue
            for column in NUMBERS:
                found[f"{record.target}: {column} ({record.source}, {record.encoder})"] = (
                    file,
                    column,
                )
        return found

    def names(self, slide: ViewedSlide) -> list[str]:
        """What the files have of a slide in its tiling."""
        return list(self._offer(slide))

    def read(self, slide: ViewedSlide, name: str) -> TileNumbers:
        """Read a column of a file."""
        file, column = self._offer(slide)[name]
        record = file.record
        try:
            with file.location.open() as opened:
                table = pq.read_table(native(opened), columns=["tile_id", column])
        except (OSError, pa.ArrowException) as error:
            raise StoreError(f"{file.location.path}: cannot be read ({error})") from None
        heads = "out-of-fold heads" if record.out_of_fold else "heads"
        return _spread(slide, table, column, f"by {heads} of {record.source}", record.neutral)


class PredictionSource:
    """Tables of tiles that `histo-ray predict` keeps in the store."""

    def __init__(self, root: Location) -> None:
        self._root = root
        self._tables = [
            (predictor, root.child(f"{PREDICTIONS}/{predictor}/{run}/tiles.parquet"))
            for predictor in root.child(PREDICTIONS).names()
            for run in root.child(f"{PREDICTIONS}/{predictor}").names()
        ]
        self._tables = [(name, table) for name, table in self._tables if table.kind() == "file"]

    def _offer(self, slide: ViewedSlide) -> dict[str, tuple[Location, str, str]]:
        """Table, target and column behind each name."""
        found = dict[str, tuple[Location, str, str]]()
        for predictor, location in self._tables:
            columns, targets = _list_targets(location, slide.slide_id)
            if "label" in columns and targets:
                found[f"class map of {predictor}"] = location, "", "label"
            for target in targets if "contribution" in columns else ():
                for column in NUMBERS:
                    found[f"{target}: {column} ({predictor})"] = location, target, column
        return found

    def names(self, slide: ViewedSlide) -> list[str]:
        """What predictors say of a slide."""
        return list(self._offer(slide))

    def read(self, slide: ViewedSlide, name: str) -> TileNumbers:
        """Read a column of a table."""
        location, target, column = self._offer(slide)[name]
        filters = [("slide_id", "=", slide.slide_id)]
        filters += [("target", "=", target)] if target else []
        with location.open() as opened:
            table = pq.read_table(native(opened), columns=["tile_id", column], filters=filters)
        predictor = location.path.split("/")[-3]
        return _spread(slide, table, column, f"by predictor {predictor}", None)


def _list_targets(location: Location, slide_id: str) -> tuple[list[str], list[str]]:
    """Columns of a table of tiles, and its targets of a slide (one of no name for classes)."""
    try:
        with location.open() as opened:
            source = pq.ParquetFile(native(opened))
            columns = source.schema_arrow.names
            wanted = ["slide_id", "target"] if "target" in columns else ["slide_id"]
            table = source.read(columns=wanted)
    except (OSError, pa.ArrowException):
        return [], []
    table = table.filter(pc.equal(table["slide_id"], slide_id))
    if "target" in columns:
        return columns, sorted(table["target"].unique().to_pylist())
    return columns, [""] if len(table) else []


def _spread(
    slide: ViewedSlide, table: pa.Table, column: str, note: str, neutral: float | None
) -> TileNumbers:
    """Numbers of a table by tile_id, as numbers of all tiles of a slide.

    Raises:
        StoreError: It has tiles that the slide does not have.
    """
    tiles = table["tile_id"].to_numpy()
    count = len(slide.rows)
    if len(tiles) and not 0 <= tiles.min() <= tiles.max() < count:
        raise StoreError(
            f"slide {slide.slide_id}: the scores are of other tiles than the store's {count}; "
            "score the slide again"
        )
    if column == "label":
        classes = as_classes(np.asarray(table[column].to_pylist(), np.str_), note)
        values = _scatter(tiles, classes.values, count)
        return TileNumbers(values, note, classes=classes.classes)
    values = _scatter(tiles, table[column].to_numpy().astype(np.float64), count)
    middle = None if column == "weight" else neutral
    return TileNumbers(values, f"{NUMBERS[column]}, {note}", middle)


def _scatter(
    tiles: Sequence[int], values: npt.NDArray[np.float64], count: int
) -> npt.NDArray[np.float64]:
    spread = np.full(count, np.nan)
    spread[np.asarray(tiles, np.int64)] = values
    return spread


def _find_files(place: str) -> Iterable[_ScoreFile]:
    """Files of tile scores at a place: itself, or those in the folder.

    Raises:
        ConfigError: Nothing is there.
    """
    top = location_of(place)
    kind = top.kind()
    if not kind:
        raise ConfigError(f"--scores {place}: nothing is there; check the path")
    names = [name for name in top.names() if name.endswith(".parquet")] if kind != "file" else [""]
    for name in names:
        location = top.child(name) if name else top
        record = _read_record(location)
        if record is not None:
            yield _ScoreFile(location, record)


def _read_record(location: Location) -> ScoreRecord | None:
    """What a file of tile scores says of itself; None for other files."""
    try:
        with location.open() as opened:
            source = pq.ParquetFile(native(opened))
            text = (source.schema_arrow.metadata or {}).get(_RECORD)
            if text is None or "tile_id" not in source.schema_arrow.names:
                return None
            return ScoreRecord.model_validate(json.loads(text))
    except (OSError, pa.ArrowException, ValueError, ValidationError):
        return None
