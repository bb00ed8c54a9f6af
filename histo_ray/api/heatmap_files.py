"""The files of one heat map, drawn and written: whole or not at all, and never over another's."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from histo_ray.errors import ConfigError, UnreachableError
from histo_ray.predict.heat.class_maps import (
    ClassifiedTiles,
    ClassSource,
    class_features,
    describe_classes,
    tabulate_classes,
    tabulate_shares,
)
from histo_ray.predict.heat.heat_sources import HeatSource
from histo_ray.predict.heat.score_files import (
    describe_scores,
    name_file,
    parse_record,
    score_features,
    tabulate_scores,
    take_rows,
    with_record,
)
from histo_ray.predict.heat.score_record import ScoreRecord
from histo_ray.predict.heat.tile_scores import ScoredTiles
from histo_ray.report.slides.class_map import colour_classes, draw_class_map
from histo_ray.report.slides.class_pictures import draw_class_sheet, list_shown
from histo_ray.report.slides.preview import encode_png
from histo_ray.report.slides.score_pictures import choose_extremes, draw_scores, scale_scores
from histo_ray.report.slides.slide_pixels import read_slide_pixels
from histo_ray.store.atomic_write import publish
from histo_ray.store.exchange.export_slides import not_written, workspace
from histo_ray.store.exchange.geojson import Rgb, write_features
from histo_ray.store.location import Location
from histo_ray.types import Slide, TileGrid

BANDS = (1 / 3, 2 / 3)
"""Shares of the colour scale where a tile's class in GeoJSON turns from low to middle to high."""
Build = Callable[[Path], object]
"""Writes a file that is not there yet."""


@dataclass(frozen=True)
class Drawn:
    """One slide's scores or classes, and how its files are made."""

    record: ScoreRecord
    name: str
    """Name of the files, without their suffixes."""
    table: pa.Table
    files: Sequence[tuple[str, Build]] = ()
    """Suffix of each file and what writes it; the table comes last."""
    shares: pa.Table | None = None
    problem: str = ""
    """Why there is no slide in the pictures; empty if there is."""


class WrittenFiles(NamedTuple):
    """Paths of the files of one heat map."""

    written: list[str]
    there: list[str]


def draw_score_files(
    source: HeatSource,
    scored: ScoredTiles,
    slide_id: str,
    synthetic: bool,
    top: int,
    moved: Slide | None,
    draws: bool,
) -> Drawn:
    """Draw the scores of one slide.

    Args:
        source: Of the scores.
        scored: All tiles of the patient.
        slide_id: Which of the patient's slides.
        synthetic: Whether anything of it is.
        top: Highest and lowest tiles on the sheet.
        moved: Where the slide lies now, if not where it was extracted.
        draws: Whether files are written.
    """
    record = describe_scores(source, scored, slide_id, synthetic)
    table = tabulate_scores(scored, record)
    name = name_file(slide_id, record.target)
    if not draws:
        return Drawn(record, name, table)
    scores, coords = take_rows(scored, slide_id)
    _, receipt = source.slides.receipts[slide_id]
    highest, lowest = choose_extremes(scores.score, top)
    pixels = read_slide_pixels(receipt, coords, sorted({*highest, *lowest}), moved)
    pictures = draw_scores(scores, coords, record, pixels, top)
    scale = scale_scores(scores, record)
    span = scale.high - scale.low
    tile_ids = scored.tiles.tile_ids_of(slide_id)
    bands = (scale.low + BANDS[0] * span, scale.low + BANDS[1] * span)
    ends = scale.colour(np.array([scale.low, scale.low + span / 2, scale.high]))
    low, middle, high = (_as_rgb(colour.tolist()) for colour in ends)
    colours = scale.colour(scores.score)
    files: list[tuple[str, Build]] = [
        (".png", lambda path: path.write_bytes(encode_png(pictures.heatmap))),
        (".tiles.png", lambda path: path.write_bytes(encode_png(pictures.sheet))),
        (
            ".geojson",
            lambda path: write_features(
                path,
                score_features(
                    scores, coords, tile_ids, record, colours, bands, (low, middle, high)
                ),
            ),
        ),
    ]
    weights = pictures.weights
    if weights is not None:
        files.append((".weights.png", lambda path: path.write_bytes(encode_png(weights))))
    return Drawn(record, name, table, files, problem=pixels.problem)


def draw_classes(
    source: ClassSource,
    found: ClassifiedTiles,
    slide_id: str,
    synthetic: bool,
    moved: Slide | None,
    draws: bool,
) -> Drawn:
    """Draw the classes of one slide's tiles; arguments as `draw_score_files`."""
    record = describe_classes(source, found, slide_id, synthetic)
    classes = source.classes
    table = with_record(tabulate_classes(found, classes, slide_id), record)
    shares = with_record(tabulate_shares(found, classes, slide_id), record)
    name = f"{slide_id}.classes"
    if not draws:
        return Drawn(record, name, table, shares=shares)
    _, receipt = source.slides.receipts[slide_id]
    shown = list_shown(found.numbers, found.scores)
    chosen = sorted({tile for tiles in shown.values() for tile in tiles})
    pixels = read_slide_pixels(receipt, found.coords, chosen, moved)
    grid = TileGrid(slide_id, found.coords, np.ones(len(found.coords), np.float32), record.side)
    title = f"Tissue of {slide_id}" + (" (synthetic)" if synthetic else "")
    label = f"class with the highest {source.scale} by the tissue head of {source.name}"
    label += f"  ·  no slide behind the tiles: {pixels.problem}" if pixels.problem else ""
    picture = draw_class_map(
        pixels.overview, pixels.downsample, grid, found.numbers, classes, label, title
    )
    sheet = draw_class_sheet(shown, found.scores, found.coords, classes, pixels, title, label)
    colours = [_as_rgb(colour) for colour in colour_classes(len(classes)).tolist()]
    files: list[tuple[str, Build]] = [
        (".png", lambda path: path.write_bytes(encode_png(picture))),
        (".tiles.png", lambda path: path.write_bytes(encode_png(sheet))),
        (
            ".geojson",
            lambda path: write_features(path, class_features(found, classes, colours, record.side)),
        ),
        (".shares.parquet", lambda path: pq.write_table(shares, path, compression="zstd")),
    ]
    return Drawn(record, name, table, files, shares, pixels.problem)


def write_files(drawn: Drawn, out: Location, overwrite: bool) -> WrittenFiles:
    """Write the files of one heat map that are missing, the table last.

    Args:
        drawn: What to write.
        out: Folder for them; made if it is not there.
        overwrite: Write those anew that are there already.

    Raises:
        ConfigError: The folder has files of this name with other scores, or cannot be written.
    """
    table = (".parquet", lambda path: pq.write_table(drawn.table, path, compression="zstd"))
    if not overwrite:
        _check_same(drawn, out)
    done = WrittenFiles([], [])
    with workspace(out) as folder:
        for suffix, build in (*drawn.files, table):
            relative = f"{drawn.name}{suffix}"
            target = out.child(relative)
            if target.kind() and not overwrite:
                done.there.append(target.path)
                continue
            built = folder / "file"
            try:
                build(built)
                placed = publish(built, target, replace=overwrite)
            except UnreachableError:
                raise
            except OSError as error:
                raise not_written(out, error) from None
            finally:
                built.unlink(missing_ok=True)
            (done.written if placed else done.there).append(target.path)
    return done


def _check_same(drawn: Drawn, out: Location) -> None:
    """Refuse a folder that has other scores under the same name."""
    target = out.child(f"{drawn.name}.parquet")
    if not target.kind():
        return
    with target.open() as file:
        there = parse_record(pq.read_schema(file))
    if there != drawn.record:
        whose = "other scores" if there is None else f"those of {there.source}, {there.encoder}"
        raise ConfigError(
            f"--out {out.path}: {drawn.name}.parquet is there already with {whose}; choose another "
            "folder, or --overwrite"
        )


def _as_rgb(colour: Sequence[int]) -> Rgb:
    red, green, blue = colour
    return red, green, blue
