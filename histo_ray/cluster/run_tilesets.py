"""Labelled tile sets into the store: the pipeline of slides, fed with tiles as they are given."""

import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import ray

from histo_ray.cluster.actors import SlideFailure, Writer
from histo_ray.cluster.observer import Observer
from histo_ray.cluster.pool import start_readers
from histo_ray.cluster.run_extract import (
    Recorder,
    Report,
    RunSummary,
    name_run,
)
from histo_ray.cluster.session import ray_session
from histo_ray.cluster.start import start_pipeline
from histo_ray.config import TileSetConfig
from histo_ray.encoders.requested import resolve_encoders
from histo_ray.errors import ConfigError
from histo_ray.extract.meter import Answer
from histo_ray.extract.resources import plan_workers
from histo_ray.extract.resume import LOOKUPS, kept_reason, other_precision
from histo_ray.extract.run_counts import Counts
from histo_ray.extract.slide import SlidePlan, stored_name
from histo_ray.extract.work import SlideWork, row_of
from histo_ray.store.run_record import State
from histo_ray.store.store import Store, open_store
from histo_ray.tiles.quality import measure_focus
from histo_ray.tilesets.tileset import TileSet, load_tiles
from histo_ray.types import (
    LevelRead,
    PartitionKey,
    RunRow,
    Slide,
    SlideFacts,
    TileGrid,
    TilingFacts,
)


def extract_tilesets(
    config: TileSetConfig,
    tilesets: Sequence[TileSet],
    report: Report = lambda counts: None,
) -> RunSummary:
    """Bring every tile of every set, with every encoder, into the store; what is there is skipped.

    Each set becomes one partition an encoder, under its name, with its labels and patients; read
    it with `Store.labelled`.

    Args:
        config: Store, encoders and how to run them.
        tilesets: The sets; all of one tile size.
        report: Called about once a second with how far the run is.

    Returns:
        One row a set and encoder. Interrupted by Ctrl-C, it holds those that have an outcome.

    Raises:
        ConfigError: Sets of one name or of several sizes, a set whose content differs from what
            the store has under its name, or an encoder made for other tiles.
        HistoRayError: The run could not start, or something that is not one set's fate.
    """
    began = time.monotonic()
    config = _settle_size(config, tilesets)
    specs = resolve_encoders(config)
    store = open_store(config.store, create=True)
    store.sweep()
    names = [stored_name(spec.name, config.dtype) for spec in specs]
    todo, rows = plan_sets(tilesets, names, store, config)
    run_id, counts = name_run(), Counts(0)
    observer = Observer(run_id, config, names, began)
    recorder = Recorder(store, run_id, rows, observer)
    state: State = "stopped"
    try:
        if todo:
            with recorder.save_whatever_comes(), ray_session(config.address) as nodes:
                workers = plan_workers(nodes, config)
                by_name = {tiles.name: tiles for tiles in tilesets}
                for work in todo:
                    tiles = by_name[work.slide.slide_id]
                    work.subject = StoredSet(work.slide, ray.put(tiles))
                readers = start_readers(config, workers, TileSetReader)
                pipeline = start_pipeline(config, specs, workers, store, run_id, readers)
                counts = pipeline.counts
                with pipeline, observer.watch(pipeline, workers, nodes, report):
                    pipeline.run(todo, recorder.add)
        state = "finished"
    except KeyboardInterrupt:
        state = "interrupted"
    unfinished = len(todo) - counts.slides_done
    return RunSummary(run_id, rows, counts, recorder.close(state), unfinished)


def plan_sets(
    tilesets: Sequence[TileSet], names: Sequence[str], store: Store, config: TileSetConfig
) -> tuple[list[SlideWork], list[RunRow]]:
    """What the store lacks, and the rows of the run table that are known already.

    Raises:
        ConfigError: Sets that differ from what the store has under their names, all at once.
    """
    tiling = config.fingerprint()
    keys = [PartitionKey(n, tiling, tiles.name) for tiles in tilesets for n in names]
    with ThreadPoolExecutor(LOOKUPS) as pool:
        there = [
            key for key, found in zip(keys, pool.map(store.exists, keys), strict=True) if found
        ]
    receipts = store.receipts(there)
    todo: list[SlideWork] = []
    rows: list[RunRow] = []
    changed: dict[str, list[str]] = {}
    for tiles in tilesets:
        wanted = []
        for name in names:
            receipt = receipts.get(PartitionKey(name, tiling, tiles.name))
            same = receipt is not None and receipt.slide.fingerprint == tiles.digest
            otherwise = other_precision(receipt, config) if receipt else ""
            if receipt is None or (config.replace_changed and (otherwise or not same)):
                wanted.append(name)
            elif same:
                reason, count = kept_reason(otherwise), receipt.tile_count
                rows.append(row_of(_as_slide(tiles), name, "skipped", reason, count))
            else:
                changed.setdefault(tiles.name, []).append(name)
        if wanted:
            todo.append(SlideWork(_as_slide(tiles), tuple(wanted)))
    if changed:
        found = "; ".join(f"{name} (of {', '.join(by)})" for name, by in changed.items())
        raise ConfigError(
            f"tile sets {found}: the store has other tiles, labels or groups under the same "
            "name; give "
            "the new set another name, or replace the stored one with --replace-changed"
        )
    return todo, rows


@dataclass(frozen=True)
class StoredSet:
    """A tile set as readers are asked for it: they fetch it once each."""

    slide: Slide
    tiles: "ray.ObjectRef[TileSet]"


class TileSetReader(Writer):
    """Reads tiles of labelled sets on one CPU, in the place of a reader of slides."""

    def __init__(self, config: TileSetConfig, niceness: int) -> None:
        super().__init__(config, niceness)
        self._config = config
        self._sets: dict[str, TileSet] = {}

    def plan(self, stored: StoredSet) -> tuple[SlidePlan, Answer]:
        """What is known of a set."""
        with self._meter.work():
            plan = plan_tileset(self._fetched(stored), stored.slide, self._config)
        return plan, self._meter.tell(None)

    def read(
        self, stored: StoredSet, plan: SlidePlan, span: range
    ) -> tuple[npt.NDArray[np.uint8], Answer]:
        """Pixels of the tiles of `span`; the answer: their focus, or what went wrong."""
        del plan
        with self._meter.work():
            try:
                pixels = load_tiles(self._fetched(stored), span, threads=1, check=True)
            except ConfigError as error:  # a file that changed costs its set, not the run
                problem = SlideFailure(stored.slide.slide_id, str(error))
                return np.empty((0, 0, 0, 3), np.uint8), self._meter.tell(problem)
            focus = measure_focus(pixels)
        return pixels, self._meter.tell(focus)

    def _fetched(self, stored: StoredSet) -> TileSet:
        name = stored.slide.slide_id
        if name not in self._sets:
            self._sets[name] = ray.get(stored.tiles)
        return self._sets[name]


def plan_tileset(tiles: TileSet, slide: Slide, config: TileSetConfig) -> SlidePlan:
    """A tile set in the words of a slide: no places, no tissue fraction, mpp only if stated."""
    px, mpp = float(tiles.tile_px), config.mpp or 0.0
    facts = SlideFacts(
        slide_id=slide.slide_id,
        patient_id=slide.patient_id,
        site=slide.site,
        path=slide.path,
        fingerprint=tiles.digest,
        size_px=(0, 0),
        mpp=(mpp, mpp),
        mpp_source="flag" if config.mpp else "unknown",
        reader="tiles",
        vendor="",
    )
    tiling = TilingFacts(
        fingerprint=config.fingerprint(),
        settings={"tiles": "as given", "tile_px": tiles.tile_px, "mpp": mpp},
        level=0,
        downsample=(1.0, 1.0),
        side=(px, px),
        realised_mpp=(mpp, mpp),
        tissue_method="none",
        tissue_digest="",
    )
    count = len(tiles)
    grid = TileGrid(
        tiles.name, np.zeros((count, 2), np.int32), np.full(count, np.nan, np.float32), (px, px)
    )
    texts = {"label": np.array(tiles.label_names, np.str_)}
    if tiles.groups is not None:
        texts["group"] = np.array(tiles.groups, np.str_)
    size = tiles.tile_px, tiles.tile_px
    level_read = LevelRead(0, (1.0, 1.0), (px, px), size)
    return SlidePlan(facts, tiling, grid, level_read, "", texts=texts)


def _settle_size(config: TileSetConfig, tilesets: Sequence[TileSet]) -> TileSetConfig:
    """`config` with the sets' tile size."""
    if not tilesets:
        raise ConfigError("no tile set is given; name at least one")
    for name, times in Counter(tiles.name for tiles in tilesets).items():
        if times > 1:
            raise ConfigError(
                f"{times} tile sets are called {name}; rename the folders or tables so that they "
                "differ"
            )
    sizes = sorted({tiles.tile_px for tiles in tilesets} | ({config.tile_px} - {0}))
    if len(sizes) > 1:
        found = " and ".join(f"{size} px" for size in sizes)
        raise ConfigError(
            f"the tile sets have tiles of {found}, and one run takes one size; run them one by one"
        )
    return config.model_copy(update={"tile_px": sizes[0]})


def _as_slide(tiles: TileSet) -> Slide:
    """The set as what a pipeline works on."""
    first, last = tiles.paths[0], tiles.paths[-1]
    shared = next((k for k, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), 0)
    extra = {"synthetic": tiles.synthetic}
    return Slide(tiles.name, first[:shared].rpartition("/")[0] or first, patient_id="", extra=extra)
