"""External validation on the page: scores beside those of the training cohort, calibration."""

from collections.abc import Sequence

import numpy as np

from histo_ray.predict.external.prediction_record import PREDICTIONS
from histo_ray.report.charts.calibration_chart import UNIT, draw_calibration
from histo_ray.report.charts.chart_style import Look, look_of
from histo_ray.report.charts.charts import Whisker, draw_whiskers
from histo_ray.report.external.external_table import (
    tabulate_columns,
    tabulate_comparison,
    tabulate_external,
    tabulate_groups,
)
from histo_ray.report.external.prediction_words import (
    METRIC_WORDS,
    describe_comparison,
    sum_up_validation,
)
from histo_ray.report.external.validations import (
    ChosenValidations,
    ShownComparison,
    ShownValidation,
)
from histo_ray.report.format_numbers import format_score
from histo_ray.report.page_blocks import (
    Block,
    Card,
    Cards,
    Figure,
    Figures,
    Section,
    Text,
    Title,
    legend_of,
)
from histo_ray.text import count_of
from histo_ray.types import TargetKind

NAME = "external"
"""Id of the section in the page."""
HERE, TRAINED = "external", "cross-validated, training cohort"
DRAWN = 40
"""Targets whose intervals are drawn at most."""
_SHORT = 16
"""Digits of a digest that are shown."""
_ENDS = {
    kind.value: UNIT
    for kind in (
        TargetKind.BINARY,
        TargetKind.MULTICLASS,
        TargetKind.ORDINAL,
        TargetKind.SURVIVAL,
    )
}
"""Ends of the axes of calibration plots, by kind of target; of others: of the numbers."""
CURVES = 12
"""Targets whose calibration is drawn at most."""


def write_external(chosen: ChosenValidations) -> Section:
    """Write the section of all validations, and of the newest comparison of predictors."""
    section = Section(NAME, "External validation")
    for number, shown in enumerate(chosen.validations):
        section.blocks += _write_validation(shown, f"{NAME}-{number}")
    if chosen.comparison is not None:
        section.blocks += _write_comparison(chosen.comparison, chosen.validations)
    return section


def _write_validation(shown: ShownValidation, name: str) -> list[Block]:
    blocks: list[Block] = [
        Title(f"Predictor {shown.record.predictor}"),
        Text(sum_up_validation(shown.record), "sentence"),
        Text(_describe(shown)),
    ]
    looks = look_of([HERE, TRAINED])
    blocks.append(Figures(_draw_all(shown, looks, name), legend_of(looks, [*looks])))
    curves = _draw_curves(shown, name)
    if curves:
        blocks += [Title("Calibration: observed against predicted"), Figures(curves, small=True)]
    blocks.append(tabulate_external(shown, f"{name}-targets"))
    columns = tabulate_columns(shown, f"{name}-columns")
    if columns is not None:
        blocks.append(columns)
    groups = tabulate_groups(shown, f"{name}-groups")
    if groups is not None:
        blocks.append(groups)
    blocks.append(Cards([_write_card(shown)]))
    return blocks


def _write_card(shown: ShownValidation) -> Card:
    """What decided the scores, and where the tables are."""
    record, made = shown.record, shown.predictions
    facts = [
        ("use", made.use),
        ("predictor", f"{made.predictor}, SHA-256 {made.predictor_sha256[:_SHORT]}"),
        ("slides", f"{made.slides:,} of {made.encoder} in tiling {made.tiling}"),
        ("labels", f"{record.labels}, SHA-256 {record.labels_sha256[:_SHORT]}"),
        ("not used", f"{record.predictions_only:,} without a label, {record.labels_only:,} "
         "with a label alone"),
        ("threshold", made.threshold or "each target's first"),
        ("intervals", f"{record.resamples:,} resamples of patients, seed {record.seed}"),
        ("tables", f"{PREDICTIONS}/{made.predictor}/{made.run_id}/{record.run_id}"),
        ("made", f"{record.created_at}, histo_ray {record.versions.get('histo_ray', '')}"),
    ]  # fmt: skip
    listing = "\n".join([*made.notes, *record.label_notes, *record.notes])
    return Card(f"Validation {record.run_id}", facts, listing)


def _describe(shown: ShownValidation) -> str:
    """Describe who was validated, in a few sentences."""
    record, made = shown.record, shown.predictions
    text = (
        f"A {made.task} predictor on {made.encoder}, applied to {count_of(made.slides, 'slide')} "
        f"of {count_of(made.patients, 'patient')} that it has not seen; "
        f"{count_of(record.patients, 'patient')} have a label. "
    )
    if made.overlap:
        text += f"{count_of(len(made.overlap), 'patient')} of its training cohort were left out. "
    if made.outside is not None:
        text += (
            f"{made.outside:.1%} of the tiles lie outside the range of features that it was fitted "
            "on, where 1 % is usual. "
        )
    return text + f"Predictions are: {made.scale or 'as its head says'}."


def _draw_all(shown: ShownValidation, looks: dict[str, Look], name: str) -> list[Figure]:
    """Draw the score that decides beside that of the training cohort."""
    metric = shown.record.metric
    main = {target: found[metric] for target, found in shown.by_target.items() if metric in found}
    some = [*main][:DRAWN]
    series = {
        HERE: [Whisker(one.score, one.low, one.high) for one in map(main.__getitem__, some)],
        TRAINED: [
            Whisker(one.trained, one.trained_low, one.trained_high)
            for one in map(main.__getitem__, some)
        ],
    }
    word = METRIC_WORDS[metric]
    chart = draw_whiskers(some, series, word, looks, f"{name}-whiskers", shown.record.chance)
    of = f"The {len(some)} best of {len(main)} targets. " if len(some) < len(main) else ""
    caption = (
        f"{of}Lines are 95 % intervals over patients. Dotted: a guess. Where the external score is "
        "lower, cross-validation promised too much for this cohort."
    )
    return [Figure(chart, caption, f"{word} here and where it was fitted")]


def _draw_curves(shown: ShownValidation, name: str) -> list[Figure]:
    """Draw the calibration of the targets that are predicted best."""
    predictor = shown.record.predictor
    figures = []
    for number, (target, found) in enumerate([*shown.by_target.items()][:CURVES]):
        own = shown.curves[shown.curves["target"] == target]
        curve = own[["predicted", "observed", "low", "high"]].to_numpy(np.float64).T
        if not curve.size or np.isnan(curve[:2]).any():
            continue
        chart = draw_calibration(
            target,
            {predictor: curve},
            look_of([predictor]),
            f"{name}-curve-{number}",
            _ENDS.get(shown.predictions.kind),
        )
        slope = found.get("calibration_slope")
        caption = f"slope {format_score(slope.score)}" if slope is not None else ""
        figures.append(Figure(chart, caption, target))
    return figures


def _write_comparison(
    shown: ShownComparison, validations: Sequence[ShownValidation]
) -> list[Block]:
    lines = [line for line in describe_comparison(shown.table) if not line.startswith(" ")]
    count = count_of(shown.record.patients, "patient")
    return [
        Title(f"Predictors compared on the same {count}"),
        *(Text(f"{line}.", "sentence") for line in lines),
        tabulate_comparison(shown, f"{NAME}-comparison"),
    ]
