"""The main job on an embedded synthetic cohort: slides, features, an answer, pictures."""

import shutil
import sys
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt

from histo_ray.cluster.run import RunSummary, run_extract
from histo_ray.config import ExtractConfig
from histo_ray.errors import ConfigError, SlideError
from histo_ray.extract import open_manifest_slide
from histo_ray.preview import SlidePicture, picture_slide
from histo_ray.report.heatmap import draw_tile_heatmap
from histo_ray.report.montage import SheetEntry, draw_contact_sheet
from histo_ray.report.preview import write_png
from histo_ray.report.similar import Neighbours, draw_neighbours
from histo_ray.slides.manifest import read_manifest
from histo_ray.store.store import Store, open_store
from histo_ray.synth.cohort import write_demo_cohort
from histo_ray.tiles.pixels import read_tiles
from histo_ray.types import Slide

ENCODERS = ("random:resnet10t?seed=0", "random:resnet18?seed=0")
"""No weights can be fetched offline, so the demo's encoders are random and say so."""
COUNTS_SQL = """select slide_id, encoder, count(*) as tiles, round(avg(tissue), 2) as tissue
from embeddings group by all order by all"""
ALIKE_SQL = """with means as (
  select encoder, slide_id, place, avg(value) as value
  from (select encoder, slide_id, unnest(embedding::FLOAT[]) as value,
               generate_subscripts(embedding, 1) as place from embeddings)
  group by all),
vectors as (
  select encoder, slide_id, list(value order by place) as mean from means group by all)
select a.encoder, a.slide_id, arg_max(b.slide_id, s) as most_alike, round(max(s), 4) as cosine
from (select a, b, list_cosine_similarity(a.mean, b.mean) as s
      from vectors a join vectors b on a.encoder = b.encoder and a.slide_id <> b.slide_id)
group by all order by all"""
NEIGHBOURS = 6


def run_demo(out: Path, *, small: bool, seed: int) -> int:
    """Run the demo in folder `out`.

    Returns:
        0; the two slides that are meant to be lost do not count against it.

    Raises:
        ConfigError: `out` holds something else.
    """
    began = time.monotonic()
    _clear(out)
    _say(f"demo: drawing SYNTHETIC slides into {out}/slides (no patient's tissue)")
    manifest = write_demo_cohort(out / "slides", seed=seed, size="small" if small else "normal")
    config = ExtractConfig(
        manifest=str(manifest), store=str(out / "store"), encoder=ENCODERS, batch_size=16
    )
    _say("demo: extracting with two encoders of RANDOM weights from one read of each slide")
    _say(f"  histo-ray extract --manifest {manifest} --store {config.store} \\")
    _say("    " + " ".join(f"--encoder '{request}'" for request in ENCODERS))
    summary = run_extract(config)
    slides = read_manifest(str(manifest))
    print("What became of every slide (synthetic; one broken and one empty on purpose):")
    for slide in slides:
        row = next(row for row in summary.rows if row.slide_id == slide.slide_id)
        print(f"  {row.outcome:<7} {row.slide_id}  {row.n_tiles:>4} tiles  {row.reason}".rstrip())
    store = open_store(config.store)
    checked, problems = store.verify()
    print(f"store verify: {checked} partitions checked, {len(problems)} problems")
    for title, query in (("How many tiles?", COUNTS_SQL), ("Which slides look alike?", ALIKE_SQL)):
        print(f'\n{title}  histo-ray store sql {config.store} "..."\n{query}')
        print(store.sql(query).df().to_string(index=False))
    pictures = _draw(out / "pictures", slides, config, summary, store)
    print("\nPictures:")
    for path in pictures:
        print(f"  {path}")
    _say(f"demo: done in {time.monotonic() - began:.0f} s; ask the store yourself, for example")
    print("  .venv/bin/histo-ray store ls --slides", config.store)
    return 0


def _clear(out: Path) -> None:
    """Make room for the demo, but never in somebody's folder."""
    if out.exists() and any(out.iterdir()) and not (out / "slides" / "manifest.csv").is_file():
        raise ConfigError(f"--out {out}: holds something else than a demo; name another folder")
    for part in ("slides", "store", "pictures"):
        shutil.rmtree(out / part, ignore_errors=True)


def _draw(
    folder: Path, slides: list[Slide], config: ExtractConfig, summary: RunSummary, store: Store
) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    entries, drawn = [], {}
    paths: list[Path] = []
    for slide in slides:
        row = next(row for row in summary.rows if row.slide_id == slide.slide_id)
        picture: SlidePicture | None = None
        try:
            picture = picture_slide(slide, config.tiling, config.slide_mpp)
        except SlideError as error:
            _say(f"  no picture of {slide.slide_id}: {error.problem}")
        note = row.reason or f"{row.n_tiles} tiles"
        entries.append(
            SheetEntry(slide.slide_id, row.outcome, note, picture.overlay if picture else None)
        )
        if picture and row.outcome == "done":
            drawn[slide.slide_id] = picture
            paths.append(folder / f"{slide.slide_id}.png")
            write_png(paths[-1], picture.page)
    sheet = folder / "slides.png"
    write_png(sheet, draw_contact_sheet(entries, "histo_ray demo: SYNTHETIC slides"))
    first = next(slide for slide in slides if slide.slide_id in drawn)
    heatmap = folder / "heatmap.png"
    write_png(heatmap, _component_map(drawn[first.slide_id], first, config, store))
    alike = folder / "nearest-tiles.png"
    known = [slide for slide in slides if slide.slide_id in drawn]
    write_png(alike, _nearest_tiles(first, known, config, store))
    return [sheet, heatmap, alike, *paths]


def _names(store: Store) -> list[str]:
    return sorted({key.encoder for key in store.list_keys()})


def _component_map(
    picture: SlidePicture, slide: Slide, config: ExtractConfig, store: Store
) -> npt.NDArray[np.uint8]:
    """First principal component of a slide's tiles, on its overview."""
    name = _names(store)[0]
    vectors = store.bag(slide.slide_id, encoder=name).embeddings.astype(np.float32)
    centred = vectors - vectors.mean(axis=0)
    values = centred @ np.linalg.svd(centred, full_matrices=False)[2][0]
    return draw_tile_heatmap(
        picture.overview,
        picture.downsample,
        picture.grid,
        values.astype(np.float32),
        "first principal component",
        f"{slide.slide_id} (synthetic), {name}",
    )


def _nearest_tiles(
    query: Slide, slides: list[Slide], config: ExtractConfig, store: Store
) -> npt.NDArray[np.uint8]:
    """One tile of `query` and its nearest tiles on the other slides, for each encoder."""
    pixels = {slide.slide_id: _read_pixels(slide, config) for slide in slides}
    answers = []
    for name in _names(store):
        bags = {slide.slide_id: store.bag(slide.slide_id, encoder=name) for slide in slides}
        unit = {}
        centre = np.concatenate([bag.embeddings for bag in bags.values()]).mean(0, np.float32)
        for slide_id, bag in bags.items():
            vectors = bag.embeddings.astype(np.float32) - centre
            unit[slide_id] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        tile = len(unit[query.slide_id]) // 2
        found = [
            (float(cosine), slide_id, index)
            for slide_id in unit
            if slide_id != query.slide_id
            for index, cosine in enumerate(unit[slide_id] @ unit[query.slide_id][tile])
        ]
        best = sorted(found, reverse=True)[:NEIGHBOURS]
        answers.append(
            Neighbours(
                name,
                np.stack([pixels[slide_id][index] for _, slide_id, index in best]),
                np.array([cosine for cosine, _, _ in best], np.float32),
                tuple(slide_id for _, slide_id, _ in best),
            )
        )
    title = f"Nearest tiles (synthetic slides, random weights, centred): {query.slide_id}"
    return draw_neighbours(pixels[query.slide_id][tile], answers, title)


def _read_pixels(slide: Slide, config: ExtractConfig) -> npt.NDArray[np.uint8]:
    with open_manifest_slide(slide, config.slide_mpp) as opened:
        batches = read_tiles(opened, mpp=config.mpp, tile_px=config.tile_px, tissue=config.tissue)
        return np.concatenate([batch.pixels for batch in batches])


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()
