"""The demo's pictures: slides, a heat map, nearest tiles."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from histo_ray.config import ExtractConfig
from histo_ray.errors import SlideError
from histo_ray.extract.recorder import RunSummary
from histo_ray.extract.slide import open_manifest_slide
from histo_ray.report.slides.heatmap import draw_tile_heatmap
from histo_ray.report.slides.montage import SheetEntry, draw_contact_sheet
from histo_ray.report.slides.preview import write_png
from histo_ray.report.slides.similar import Neighbours, draw_neighbours
from histo_ray.report.slides.slide_picture import SlidePicture, picture_slide
from histo_ray.store.store import Store
from histo_ray.tiles.pixels import read_tiles
from histo_ray.types import Slide

NEIGHBOURS = 6


def draw_pictures(
    folder: Path,
    slides: list[Slide],
    config: ExtractConfig,
    summary: RunSummary,
    store: Store,
    say: Callable[[str], None],
) -> list[Path]:
    """Draw every slide and what the store knows of it; return the files, the best first."""
    folder.mkdir(parents=True, exist_ok=True)
    entries, drawn = [], {}
    paths: list[Path] = []
    for slide in slides:
        row = next(row for row in summary.rows if row.slide_id == slide.slide_id)
        picture: SlidePicture | None = None
        try:
            picture = picture_slide(slide, config.tiling, config.slide_mpp)
        except SlideError as error:
            say(f"  no picture of {slide.slide_id}: {error.problem}")
        note = row.reason.removeprefix(f"{slide.path}: ") or f"{row.n_tiles} tiles"
        entries.append(
            SheetEntry(slide.slide_id, row.outcome, note, picture.overlay if picture else None)
        )
        if picture and row.n_tiles:
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


def _names(config: ExtractConfig, store: Store) -> list[str]:
    """List the encoders of the slides by their names in the store."""
    tiling = config.tiling.fingerprint()
    return sorted({key.encoder for key in store.list_keys(tiling=tiling)})


def _component_map(
    picture: SlidePicture, slide: Slide, config: ExtractConfig, store: Store
) -> npt.NDArray[np.uint8]:
    """Draw the first principal component of a slide's tiles on its overview."""
    name = _names(config, store)[0]
    vectors = store.bag(slide.slide_id, name).embeddings.astype(np.float32)
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
    """Draw one tile of `query` and its nearest tiles on other slides, for each encoder."""
    pixels = {slide.slide_id: _read_pixels(slide, config) for slide in slides}
    rows = []
    for name in _names(config, store):
        bags = {slide.slide_id: store.bag(slide.slide_id, name) for slide in slides}
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
        rows.append(
            Neighbours(
                name,
                np.stack([pixels[slide_id][index] for _, slide_id, index in best]),
                np.array([cosine for cosine, _, _ in best], np.float32),
                tuple(slide_id for _, slide_id, _ in best),
            )
        )
    title = f"Nearest tiles (synthetic slides, centred vectors): {query.slide_id}"
    return draw_neighbours(pixels[query.slide_id][tile], rows, title)


def _read_pixels(slide: Slide, config: ExtractConfig) -> npt.NDArray[np.uint8]:
    with open_manifest_slide(slide, config.slide_mpp) as opened:
        batches = read_tiles(opened, mpp=config.mpp, tile_px=config.tile_px, tissue=config.tissue)
        return np.concatenate([batch.pixels for batch in batches])
