"""Tile scores of a planted feature against what was drawn in each tile of the demo's slides."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

import histo_ray as hr
from histo_ray.api.report_heatmaps import heatmaps_of
from histo_ray.report.page import write_report
from histo_ray.synth.patient_writer import plan_slides, write_demo_patients
from histo_ray.synth.states import draw_states
from histo_ray.synth.tile_truth import measure_crowds

PATIENTS, SIDE = 36, (224.0, 224.0)
PLANTED, NOISE = "SYNG01", "SYNG13"
"""A gene that follows the patient's lymphocytes, and one that follows nothing."""


@pytest.mark.slow
def test_scores_of_a_planted_gene_point_to_the_crowds_of_lymphocytes_that_it_follows(
    tmp_path: Path,
) -> None:
    files = write_demo_patients(tmp_path / "patients", 0, PATIENTS, "normal")
    store, encoder = str(tmp_path / "store"), "random:resnet10t?seed=0&px=64"
    hr.extract(files.manifest, store, encoder=encoder, batch_size=16)
    run = hr.evaluate.expression(
        store, labels=files.expression, encoder=encoder, folds=5, repeats=10, permutations=50
    ).record.run_id
    plans = {s.slide_id: s.plan for s in plan_slides(draw_states(PATIENTS, 0), 0, "normal")}
    tiles = hr.heatmap(store, run=run, target=[PLANTED, NOISE], slide=sorted(plans)).tiles
    found = {}
    for target, own in tiles.groupby("target"):
        crowded = np.concatenate(
            [
                measure_crowds(plans[str(slide)], one[["x", "y"]].to_numpy(), SIDE) > 0.5
                for slide, one in own.groupby("slide_id", sort=False)
            ]
        )
        found[target] = roc_auc_score(crowded, own["score"])
    print(f"tile-level AUROC against the drawn truth: {found}")
    assert found[PLANTED] > 0.9
    assert 0.2 < found[NOISE] < 0.8
    page = write_report(store, tmp_path / "page.html", find_heatmaps=heatmaps_of(store))
    text = page.read_text(encoding="utf-8")
    assert text.count('<img src="data:image/webp') == 4  # two slides, heat map and tiles of each
    assert len(text) < 5_000_000
