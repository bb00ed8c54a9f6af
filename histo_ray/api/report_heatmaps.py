"""Heat maps for the report: one target an evaluation, two slides, a few repeats."""

from collections.abc import Iterator, Sequence

import numpy as np

from histo_ray.errors import HistoRayError
from histo_ray.evaluate.engine import run_here
from histo_ray.evaluate.find_run import prepare_again
from histo_ray.evaluate.jobs import Host
from histo_ray.evaluate.patients.patient_features import BAGS
from histo_ray.evaluate.patients.patient_run import PreparedTargets
from histo_ray.predict.heat.heat_sources import RunSource
from histo_ray.predict.heat.out_of_fold import OutOfFold
from histo_ray.predict.heat.score_files import describe_scores, take_rows
from histo_ray.report.evaluations import TargetEvaluation
from histo_ray.report.slides.heat_section import FindHeatmaps, ShownHeatmap, ShownHeatmaps
from histo_ray.report.slides.score_pictures import choose_extremes, draw_scores
from histo_ray.report.slides.slide_pixels import read_slide_pixels
from histo_ray.store.location import location_of

LEVEL = 0.05
"""q below which a target counts as predicted better than chance."""
REPEATS = 5
"""Repeats whose heads are fitted again, of each patient shown."""
TOP = 6
"""Highest and lowest tiles shown of a slide."""
TRIED = 5
"""Patients tried at each end until one's slide is found where it was extracted from."""
LONGEST_PX = 640


def heatmaps_of(store: str) -> FindHeatmaps:
    """Make what finds heat maps of the evaluations of a store.

    Args:
        store: Folder or URI of the store.
    """

    def find(run: TargetEvaluation) -> ShownHeatmaps:
        try:
            return _find(store, run)
        except HistoRayError as error:
            return ShownHeatmaps(problem=str(error))

    return find


def _find(store: str, run: TargetEvaluation) -> ShownHeatmaps:
    sure = run.targets[run.targets["q_chance"] < LEVEL].dropna(subset=["score"])
    if run.targets["q_chance"].isna().all():
        return ShownHeatmaps(problem=f"no {run.words.target} was tested against chance")
    if not len(sure):
        return ShownHeatmaps(problem=f"no {run.words.target} is predicted better than chance")
    best = sure.sort_values("score", kind="stable").iloc[-1]
    target, encoder = str(best["target"]), str(best["encoder"])
    configurations = [c for c in run.record.configurations if c.encoder == encoder]
    if any(configuration.pooling == BAGS for configuration in configurations):
        command = f"histo-ray heatmap STORE --run {run.run_id} --target {target} --slide ..."
        return ShownHeatmaps(
            problem=f"attention heads would have to be trained again, which takes long: {command}"
        )
    prepared = prepare_again(store, run.record, Host(run_here))
    target = _choose_output(prepared, target)
    source = RunSource(location_of(store), prepared, encoder, REPEATS)
    heads = OutOfFold(prepared, target, encoder)
    means = {p: np.mean([one.predicted for one in of]) for p, of in heads.predictions.items()}
    ordered = sorted(means, key=lambda patient: means[patient])
    shown = [
        found
        for patients in (ordered[::-1], ordered)
        if (found := _show_first(source, target, patients[:TRIED], run.record.synthetic))
    ]
    if not shown:
        return ShownHeatmaps(problem="the slides are not where they were extracted from")
    return ShownHeatmaps(shown)


def _choose_output(prepared: PreparedTargets, target: str) -> str:
    """Choose what is shown of a target: itself, or the last, and so highest, of its classes."""
    outputs = [output for part in prepared.parts for output in part.plan.truth.layout.outputs]
    return [output.name for output in outputs if output.target == target][-1]


def _show_first(
    source: RunSource, target: str, patients: Sequence[str], synthetic: bool
) -> ShownHeatmap | None:
    """Show the first patient with a slide that can be read."""
    return next(_show_each(source, target, patients, synthetic), None)


def _show_each(
    source: RunSource, target: str, patients: Sequence[str], synthetic: bool
) -> Iterator[ShownHeatmap]:
    for patient in patients:
        tiles = source.slides.tiles_of(patient)
        key, receipt = max(tiles.receipts.items(), key=lambda pair: pair[1].tile_count)
        if read_slide_pixels(receipt, np.empty((0, 2), np.int32), [], longest_px=16).problem:
            continue
        scored = source.score(target, patient)
        record = describe_scores(source, scored, key.slide_id, synthetic)
        scores, coords = take_rows(scored, key.slide_id)
        highest, lowest = choose_extremes(scores.score, TOP)
        pixels = read_slide_pixels(
            receipt, coords, sorted({*highest, *lowest}), longest_px=LONGEST_PX
        )
        pictures = draw_scores(scores, coords, record, pixels, TOP)
        yield ShownHeatmap(record, pictures.heatmap, pictures.sheet)
