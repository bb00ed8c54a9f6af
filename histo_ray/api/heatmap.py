"""`hr.heatmap`: scores of tiles as a table, pictures and GeoJSON."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from histo_ray.api.heatmap_files import Drawn, draw_classes, draw_score_files, write_files
from histo_ray.api.keywords import make_settings
from histo_ray.errors import ConfigError
from histo_ray.evaluate.engine import run_here
from histo_ray.evaluate.jobs import Host
from histo_ray.predict.files import read_predictor_card
from histo_ray.predict.heat.class_maps import classify_slide, open_class_source
from histo_ray.predict.heat.heat_sources import open_source
from histo_ray.predict.heat.heatmap_settings import HeatmapConfig
from histo_ray.predict.heat.score_record import ScoreRecord
from histo_ray.predict.heat.tile_scores import ScoredTiles
from histo_ray.slides.manifest import read_manifest
from histo_ray.storage.check import check_folder
from histo_ray.store.location import location_of
from histo_ray.store.stated import read_stated
from histo_ray.types import Slide

if TYPE_CHECKING:
    import pandas as pd

Say = Callable[[str], None]


@dataclass
class HeatmapResult:
    """What was scored, and which files are there now."""

    records: list[ScoreRecord] = field(default_factory=list)
    """One a slide and target."""
    written: list[str] = field(default_factory=list)
    """Files that were written."""
    there: list[str] = field(default_factory=list)
    """Files that were there already, of the very same scores."""
    problems: list[str] = field(default_factory=list)
    """Slides that could not be read, so that tables are there, but no slide in the pictures."""
    shares: "list[pa.Table]" = field(default_factory=list)
    """Share of each class, a table a slide, of maps of classes."""
    tables: "list[pa.Table]" = field(default_factory=list)
    """Scores or classes of the tiles, a table for each of `records`."""

    @property
    def tiles(self) -> "pd.DataFrame":
        """All tiles: the columns of `schemas/tile_scores.json`, or of `tile_classes.json`."""
        frame: pd.DataFrame = pa.concat_tables(
            table.replace_schema_metadata(None) for table in self.tables
        ).to_pandas()
        return frame


def heatmap(
    store: str | Path | HeatmapConfig,
    *,
    out: str | Path | None = None,
    say: Say = lambda text: None,
    **settings: object,
) -> HeatmapResult:
    """Score the tiles of slides, and write a table, pictures and GeoJSON for QuPath.

    Patients that heads were trained on are shown by out-of-fold heads alone.

    Args:
        store: Folder or URI of the store; or a config object that holds all settings.
        out: Folder or URI for the files; None: nothing is written, and slides are not opened.
        say: Called with lines on what is done.
        **settings: As the flags of `histo-ray heatmap`, with underscores: `run` or `predictor`,
            `target`, `slide`, `encoder`, ...; `class_encoder` alone: a map of classes of tissue.

    Returns:
        `.tiles` (DataFrame), `.records`, and which files were `.written`.

    Raises:
        ConfigError: Settings, a target or a slide cannot be used.
        StoreError: The store, run or predictor cannot be used.
    """
    config = _read_settings(store, settings)
    if out is not None:
        check_folder(out, "--out")  # scoring may take long
    moved = (
        {} if config.manifest is None else {s.slide_id: s for s in read_manifest(config.manifest)}
    )
    result = HeatmapResult()
    for drawn in _score(config, moved, out is not None, say):
        result.records.append(drawn.record)
        result.tables.append(drawn.table)
        result.shares += [] if drawn.shares is None else [drawn.shares]
        if out is None:
            continue
        if drawn.problem:
            result.problems.append(f"{drawn.record.slide_id}: {drawn.problem}")
        files = write_files(drawn, location_of(str(out)), config.overwrite)
        result.written += files.written
        result.there += files.there
    return result


def _score(
    config: HeatmapConfig, moved: dict[str, Slide], draws: bool, say: Say
) -> Iterator[Drawn]:
    """Score slide by slide; the tiles of a patient are read once for each target."""
    if _shows_classes(config):
        yield from _score_classes(config, moved, draws, say)
        return
    say(f"joining slides and labels of {config.run or config.predictor}")
    opened = open_source(config, Host(run_here))
    source = opened.source
    patients = {slide: source.slides.patient_of(slide) for slide in config.slide}
    for target in opened.targets:  # all of them before the first file is written
        for patient in sorted(set(patients.values())):
            source.check(target, patient)
    for target in opened.targets:
        last: tuple[str, ScoredTiles] | None = None
        for slide in sorted(config.slide, key=lambda name: (patients[name], name)):
            patient = patients[slide]
            if last is None or last[0] != patient:
                say(f"scoring the tiles of patient {patient} for {target}")
                last = patient, source.score(target, patient)
            yield draw_score_files(
                source, last[1], slide, opened.synthetic, config.top, moved.get(slide), draws
            )


def _score_classes(
    config: HeatmapConfig, moved: dict[str, Slide], draws: bool, say: Say
) -> Iterator[Drawn]:
    source = open_class_source(config)
    root = location_of(config.store)
    stated = read_stated(root)
    for slide in config.slide:  # all of them before the first file is written
        source.slides.patient_of(slide)
    for slide in config.slide:
        say(f"classifying the tiles of {slide} by {source.name}")
        found = classify_slide(root, source, slide)
        synthetic = slide in stated and stated[slide].synthetic
        yield draw_classes(source, found, slide, synthetic, moved.get(slide), draws)


def _shows_classes(config: HeatmapConfig) -> bool:
    """Whether a map of classes is asked for, rather than scores of a target."""
    if config.run is not None:
        return False
    if config.predictor is None:
        return True
    return read_predictor_card(config.predictor, config.predictor_store).kind == "classes"


def _read_settings(store: str | Path | HeatmapConfig, settings: dict[str, object]) -> HeatmapConfig:
    if not isinstance(store, HeatmapConfig):
        return make_settings(HeatmapConfig, {"store": store, **settings}, "hr.heatmap")
    if settings:
        raise ConfigError(
            "hr.heatmap: a config object holds all settings; change it with "
            "config.model_copy(update={...}) in place of further arguments"
        )
    return store
