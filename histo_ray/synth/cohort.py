"""The demo's cohort: a few synthetic slides, one of them broken and one empty, and a manifest."""

import csv
from dataclasses import replace
from pathlib import Path
from typing import Literal, NamedTuple

from histo_ray.synth.scene import SlideDesign
from histo_ray.synth.slide_writer import write_slide
from histo_ray.synth.tissue_looks import GLANDULAR, INFLAMED, SOLID, TissueLook

CohortSize = Literal["small", "normal"]
COLUMNS = ("slide_id", "path", "patient_id", "mpp", "site", "look", "synthetic")
BROKEN_SHARE = 0.4
"""How much of the truncated slide's file is left."""


class _CohortSlide(NamedTuple):
    """One good slide of the cohort."""

    patient: str
    section: str
    site: str
    look: TissueLook
    mpp: float
    share: float


_SLIDES = (
    _CohortSlide("SYN-0001", "A", "SYN-NORTH", GLANDULAR, 0.25, 0.46),
    _CohortSlide("SYN-0001", "B", "SYN-NORTH", GLANDULAR, 0.5, 0.46),
    _CohortSlide("SYN-0002", "A", "SYN-NORTH", SOLID, 0.5, 0.50),
    _CohortSlide("SYN-0003", "A", "SYN-SOUTH", INFLAMED, 0.5, 0.52),
    _CohortSlide("SYN-0004", "A", "SYN-SOUTH", SOLID, 0.25, 0.42),
)
_EXTENT_UM: dict[CohortSize, tuple[float, float]] = {
    "small": (880.0, 660.0),
    "normal": (1760.0, 1320.0),
}


def write_demo_cohort(folder: Path, seed: int = 0, size: CohortSize = "normal") -> Path:
    """Write the cohort's slides and their manifest.

    Args:
        folder: Where to write; made if it does not exist, files of the same name are replaced.
        seed: Another seed, another cohort; the same seed gives the same bytes.
        size: `small` for tests (about 20 tiles a slide), `normal` for the demo (about 80).

    Returns:
        Path of `manifest.csv`; the paths in it are relative to its folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for number, slide in enumerate(_SLIDES):
        slide_id = f"{slide.patient}-{slide.section}"
        write_slide(folder / f"{slide_id}.svs", _plan(slide, number, seed, size))
        rows.append(_row(slide_id, slide.patient, slide.site, slide.look.name))
    rows.append(_write_broken(folder, folder / f"{rows[0]['slide_id']}.svs"))
    rows.append(_write_empty(folder, seed, size))
    manifest = folder / "manifest.csv"
    with manifest.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return manifest


def _plan(slide: _CohortSlide, number: int, seed: int, size: CohortSize) -> SlideDesign:
    width, height = (round(side / slide.mpp) for side in _EXTENT_UM[size])
    return SlideDesign(
        size=(width, height),
        mpp=slide.mpp,
        look=_individual(slide.look, number),
        seed=seed * 1000 + number,
        tissue_share=slide.share,
        pen=slide.look is INFLAMED,
    )


def _individual(look: TissueLook, number: int) -> TissueLook:
    """A little of each slide's own staining, as in any laboratory."""
    shift = (number % 3 - 1) * 0.06
    return replace(look, haematoxylin=look.haematoxylin + shift, eosin=look.eosin - shift)


def _write_broken(folder: Path, whole: Path) -> dict[str, str]:
    """A copy of a slide whose transfer stopped halfway."""
    content = whole.read_bytes()
    (folder / "SYN-0005-A.svs").write_bytes(content[: int(len(content) * BROKEN_SHARE)])
    return _row("SYN-0005-A", "SYN-0005", "SYN-SOUTH", "truncated")


def _write_empty(folder: Path, seed: int, size: CohortSize) -> dict[str, str]:
    """A slide with nothing but dust on it."""
    blank = _CohortSlide("SYN-0006", "A", "SYN-SOUTH", GLANDULAR, 0.5, 0.0)
    write_slide(folder / "SYN-0006-A.svs", replace(_plan(blank, 6, seed, size), dust=20))
    return _row("SYN-0006-A", "SYN-0006", "SYN-SOUTH", "empty")


def _row(slide_id: str, patient: str, site: str, look: str) -> dict[str, str]:
    return {
        "slide_id": slide_id,
        "path": f"{slide_id}.svs",
        "patient_id": patient,
        "mpp": "",
        "site": site,
        "look": look,
        "synthetic": "true",
    }
