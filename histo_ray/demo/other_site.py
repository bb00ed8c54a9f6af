"""The demo's external validation: fitted on the first cohort, predicted at another site."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from histo_ray.api.fit import fit
from histo_ray.api.heatmap import heatmap
from histo_ray.api.predict import predict
from histo_ray.config import ExtractConfig
from histo_ray.demo.tissue_task import TUNED
from histo_ray.demo.truth_picture import draw_beside_truth
from histo_ray.evaluate.tasks.registry import TASKS
from histo_ray.extract.in_process import open_in_process
from histo_ray.extract.run import run_extract
from histo_ray.learn.statistics.ranking import score_auroc
from histo_ray.predict.files import PREDICTORS
from histo_ray.predict.fitting.fit_command import fit_settings
from histo_ray.report.external.prediction_words import describe_result
from histo_ray.report.slides.preview import write_png
from histo_ray.report.slides.slide_pixels import read_slide_pixels
from histo_ray.store.models import MODELS
from histo_ray.store.store import open_store
from histo_ray.synth.crowds import CROWD_CLASS
from histo_ray.synth.molecules import MUTATIONS
from histo_ray.synth.other_site import SHOWN, OtherSiteFiles
from histo_ray.synth.patient_writer import PatientFiles
from histo_ray.tiles.grid import tissue_fraction
from histo_ray.tiles.masks import read_mask
from histo_ray.types import Receipt, TileGrid

if TYPE_CHECKING:
    import pandas as pd

NAME = "demo-mutations"
"""Name of the predictor."""
TARGET = "SYNM1"
"""What crowds of lymphocytes drive, so that its heat map can be held against where they are."""
SHOWN_SLIDE = f"{SHOWN}-A"
CROWDED = 0.4
"""Share of a tile that is a planted crowd, from which on it counts as positive."""
Say = Callable[[str], None]


class ShownTruth(NamedTuple):
    """What the demo's heat map is worth, as its truth is known."""

    picture: Path
    """Heat map of one slide beside what was drawn on it."""
    tile_auroc: float
    """AUROC of all tiles' scores for the planted crowds."""


def fit_predictor(files: PatientFiles, store: str, remark: str, say: Say, *, small: bool) -> str:
    """Fit a predictor of mutations on all patients of the first cohort; return its folder."""
    folds, repeats = (3, 2) if small else (5, 10)
    say("demo: fitting a predictor of mutations on all SYNTHETIC patients, to be taken elsewhere")
    say(f"  histo-ray fit mutation --store {store} --labels {files.mutations} \\")
    say(f"    --encoder {TUNED} --name {NAME} --folds {folds} --repeats {repeats}")
    task = TASKS["mutation"]
    settings = {
        "store": store,
        "labels": str(files.mutations),
        "encoder": (TUNED,),
        "name": NAME,
        "folds": folds,
        "repeats": repeats,
        "remark": remark,
    }
    fit(task, fit_settings(task).model_validate(settings))
    return f"{store}/{PREDICTORS}/{NAME}"


def validate_elsewhere(
    files: OtherSiteFiles, predictor: str, store: str, other: str, pictures: Path, say: Say
) -> ShownTruth:
    """Extract the other site's slides, predict their patients, and show one slide's tiles.

    Args:
        files: Of the other site.
        predictor: Folder of the predictor.
        store: Store of the first cohort, which has the encoder.
        other: Store of the other site; made if it does not exist.
        pictures: Folder for the heat map and its truth.
        say: Told what is done.

    Returns:
        The heat map beside what was drawn, and how well tiles find it.
    """
    _extract(files, store, other, say)
    say("demo: predicting the other site's SYNTHETIC patients: external validation")
    say(f"  histo-ray predict --predictor {predictor} --store {other} \\")
    say(f"    --labels {files.mutations} --tiles --target {TARGET}")
    result = predict(predictor, other, labels=files.mutations, tiles=True, target=TARGET)
    print("\nExternal validation (synthetic patients of another site, stain and scanner):")
    driven = [gene.name for gene in MUTATIONS if gene.driver]
    print(
        f"  {' and '.join(driven)} follow the tissue; the others follow nothing: 0.5 is right there"
    )
    for line in describe_result(result):
        print(f"  {line}".rstrip())
    area = score_tiles(result.tiles, files.crowds, other)
    print(
        f"  tiles: AUROC {area:.3f} of {TARGET}'s scores for the crowds of lymphocytes that were "
        f"drawn (tiles of which {CROWDED:.0%} or more is one; no label says where they are)"
    )
    return ShownTruth(_show_slide(files, predictor, other, pictures, say), area)


def _extract(files: OtherSiteFiles, store: str, other: str, say: Say) -> None:
    """Bring the slides into a store of their own, with the encoder of the first."""
    place = open_store(other, create=True)
    models = Path(place.root.path) / MODELS
    if not (models / TUNED).exists():
        shutil.copytree(Path(store) / MODELS / TUNED, models / TUNED)
    say("demo: extracting SYNTHETIC slides of another site: other stain, 0.25 in place of 0.5 mpp")
    say(f"  cp -r {store}/{MODELS}/{TUNED} {other}/{MODELS}/")
    say(f"  histo-ray extract --manifest {files.manifest} --store {other} --encoder {TUNED}")
    config = ExtractConfig(
        manifest=str(files.manifest), store=other, encoder=(TUNED,), batch_size=16, address="none"
    )
    if run_extract(config, open_in_process).interrupted:
        raise KeyboardInterrupt


def score_tiles(tiles: "pd.DataFrame", crowds: Path, store: str) -> float:
    """AUROC of tiles' scores for the planted crowds, over all tiles of all slides.

    Args:
        tiles: Rows of `schemas/predicted_tiles.json` of one target.
        crowds: Folder of `<slide_id>.geojson`, outlines of what was drawn.
        store: Of the slides.

    Returns:
        The area; nan where all tiles are alike.
    """
    receipts = {key.slide_id: one for key, one in open_store(store).receipts().items()}
    truth = np.concatenate(
        [
            crowd_shares(own[["x", "y"]].to_numpy(np.int32), crowds, receipts[str(slide_id)])
            for slide_id, own in tiles.groupby("slide_id", sort=False)
        ]
    )
    added = np.concatenate(
        [own["contribution"].to_numpy() for _, own in tiles.groupby("slide_id", sort=False)]
    )
    positive = (truth >= CROWDED).astype(np.float64)
    return float(score_auroc(positive[:, None], added[:, None])[0])


def crowd_shares(
    coords: npt.NDArray[np.int32], crowds: Path, receipt: Receipt
) -> npt.NDArray[np.float32]:
    """Share of each tile that is a planted crowd, (N,).

    Args:
        coords: (N, 2) top-left (x, y), level-0 px.
        crowds: Folder of `<slide_id>.geojson`.
        receipt: Of the slide.
    """
    slide = receipt.slide
    path = crowds / f"{slide.slide_id}.geojson"
    if CROWD_CLASS not in path.read_text(encoding="utf-8"):
        return np.zeros(len(coords), np.float32)  # a slide without any
    mask, _ = read_mask(str(path), slide.size_px, slide.slide_id, (CROWD_CLASS,))
    return tissue_fraction(mask, coords, receipt.tiling.side)


def _show_slide(
    files: OtherSiteFiles, predictor: str, other: str, pictures: Path, say: Say
) -> Path:
    """Write the heat map of one slide as the command does, and draw it beside the truth."""
    folder = pictures / "other-site"
    say(f"demo: where on slide {SHOWN_SLIDE} the prediction of {TARGET} comes from")
    say(f"  histo-ray heatmap {other} --predictor {predictor} --target {TARGET} \\")
    say(f"    --slide {SHOWN_SLIDE} --out {folder}")
    made = heatmap(
        other, predictor=predictor, target=TARGET, slide=SHOWN_SLIDE, out=folder, overwrite=True
    )
    coords = made.tiles[["x", "y"]].to_numpy(np.int32)
    (receipt,) = (
        one for key, one in open_store(other).receipts().items() if key.slide_id == SHOWN_SLIDE
    )
    grid = TileGrid(SHOWN_SLIDE, coords, np.ones(len(coords), np.float32), receipt.tiling.side)
    page = draw_beside_truth(
        read_slide_pixels(receipt, coords, []),
        grid,
        made.tiles["contribution"].to_numpy(),
        files.crowds / f"{SHOWN_SLIDE}.geojson",
        f"Predicted: {TARGET} on {SHOWN_SLIDE} (synthetic)",
        f"what a tile adds to the log-odds of {TARGET}",
        "a predictor that was fitted at another site, with other stain and scanner",
    )
    path = pictures / "heatmap-and-truth.png"
    write_png(path, page)
    return path
