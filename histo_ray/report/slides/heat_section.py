"""Heat maps on the page: where on a slide a prediction comes from."""

import base64
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PIL import Image

from histo_ray.predict.heat.score_record import ScoreRecord
from histo_ray.report.charts.canvas import Picture
from histo_ray.report.evaluations import TargetEvaluation
from histo_ray.report.page_blocks import Block, Photo, Photos, Text, Title
from histo_ray.text import count_of

QUALITY = 72
"""Quality of WebP."""
_ADDS_UP = "the mean of all tiles, weighted as they are pooled, is what the heads say of a patient"
_INFLUENCE = "this pooling has no exact shares, so the influence of leaving a tile out is shown"


@dataclass(frozen=True)
class ShownHeatmap:
    """One slide of the page."""

    record: ScoreRecord
    heatmap: Picture
    sheet: Picture
    """Its highest and lowest tiles."""


@dataclass(frozen=True)
class ShownHeatmaps:
    """The slides of one evaluation that are shown."""

    maps: Sequence[ShownHeatmap] = ()
    problem: str = ""
    """Why there is none."""


FindHeatmaps = Callable[[TargetEvaluation], ShownHeatmaps]
"""Scores and draws some slides of an evaluation, by out-of-fold heads alone."""


def write_heatmaps(shown: ShownHeatmaps, noun: str) -> list[Block]:
    """Write the part of a section that shows slides.

    Args:
        shown: The slides, or why there is none.
        noun: Of a target.
    """
    title = Title("Where on the slide it comes from")
    if not shown.maps:
        return [title, Text(f"No heat map is shown: {shown.problem}.", "empty")]
    record = shown.maps[0].record
    about = (
        f"{record.target}, the {noun} that {record.encoder} predicts best, on a slide of the "
        "patient with the highest out-of-fold prediction and of the one with the lowest. Tiles are "
        f"scored by the heads that did not see the patient ({count_of(record.heads, 'head')}, one "
        f"a repeat, averaged); {_ADDS_UP if record.exact else _INFLUENCE}. A score says what the "
        "head responds to, not what causes it. Any slide: "
        f"histo-ray heatmap STORE --run {record.source} --target {record.target} --slide ..."
    )
    return [title, Text(about), Photos([photo for one in shown.maps for photo in _show(one)])]


def _show(one: ShownHeatmap) -> list[Photo]:
    record = one.record
    said = f"Patient {record.patient_id}: {record.scale} {record.decision or 0:.3g}"
    if record.scale.startswith("log-odds"):
        said += f", probability {record.predicted or 0:.2f}"
    where = f"slide {record.slide_id}, patient {record.patient_id}"
    return [
        Photo(encode_picture(one.heatmap), f"Heat map of {record.target} on {where}", said),
        Photo(
            encode_picture(one.sheet),
            f"Highest and lowest tiles of {record.target} on {where}",
            f"Highest and lowest tiles of {record.slide_id}",
        ),
    ]


def encode_picture(picture: Picture) -> str:
    """A picture as a `data:` URI that a page holds in itself."""
    sink = io.BytesIO()
    Image.fromarray(picture).save(sink, "WEBP", quality=QUALITY, method=4)
    return f"data:image/webp;base64,{base64.b64encode(sink.getvalue()).decode()}"
