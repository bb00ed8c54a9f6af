"""The demo's patients: slides, expression, mutations, and the truth that ties them together."""

import csv
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from histo_ray.synth.cohort import BROKEN_SHARE, CohortSize
from histo_ray.synth.molecules import GENES, MUTATIONS, simulate_expression, simulate_mutations
from histo_ray.synth.portrait import portray, stain_slide
from histo_ray.synth.scene import SlideDesign
from histo_ray.synth.slide_writer import write_slide
from histo_ray.synth.states import HiddenStates, draw_states

COLUMNS = ("slide_id", "path", "patient_id", "mpp", "site", "synthetic", "remark")
SECOND_EVERY = 6
"""Every sixth patient has two slides."""
_MPP = 0.5
_EXTENT_UM: dict[CohortSize, tuple[float, float]] = {
    "small": (448.0, 336.0),
    "normal": (512.0, 448.0),
}
_TISSUE_SHARE = 0.6
_AT_ONCE = 2
_NAMES = ("manifest.csv", "expression.csv", "mutations.csv", "truth.json")


class PatientFiles(NamedTuple):
    """Paths of the files that were written."""

    manifest: Path
    """One row a slide."""
    expression: Path
    """One row a patient, one column for each of `GENES`."""
    mutations: Path
    """The same for `MUTATIONS`, 0 or 1."""
    truth: Path
    """JSON: which of them follow the hidden state, and the state itself. For tests only."""


class PlannedSlide(NamedTuple):
    """One slide before it is drawn."""

    slide_id: str
    patient: str
    site: str
    plan: SlideDesign
    remark: str = ""
    """What is wrong with it on purpose."""


def write_demo_patients(
    folder: Path,
    seed: int = 0,
    count: int = 36,
    size: CohortSize = "normal",
    *,
    flawed: bool = False,
) -> PatientFiles:
    """Write patients whose hidden state shows in tissue and drives some genes and mutations.

    Nothing else ties slides to molecules: stain, fat, fibrosis and site are drawn without the
    state, and the sites are balanced in it.

    Args:
        folder: Where to write; made if it does not exist, files of the same name are replaced.
        seed: Another seed, other patients; the same seed gives the same bytes.
        count: Patients, at least `LEAST_PATIENTS`.
        size: Size of each slide: about 9 tiles of 112 um (`small`) or 14 (`normal`).
        flawed: Add a truncated second slide, and one patient more whose only slide is empty.

    Returns:
        The files; the paths in the manifest are relative to its folder.

    Raises:
        ConfigError: Too few patients.
    """
    states = draw_states(count + flawed, seed)
    slides = plan_slides(states, seed, size)
    if flawed:
        slides = _spoil(slides)
    folder.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for written in [pool.submit(_write_planned, folder, slide) for slide in slides]:
            written.result()
    files = PatientFiles(*(folder / name for name in _NAMES))
    write_table(files.manifest, COLUMNS, [list_slide(slide) for slide in slides])
    expression = [[f"{x:.4f}" for x in row] for row in simulate_expression(states, seed)]
    write_label_table(files.expression, states, [gene.name for gene in GENES], expression)
    carried = simulate_mutations(states, seed).tolist()
    write_label_table(files.mutations, states, [gene.name for gene in MUTATIONS], carried)
    truth = json.dumps(describe_truth(states, seed), indent=1) + "\n"
    files.truth.write_text(truth, encoding="utf-8")
    return files


def plan_slides(states: HiddenStates, seed: int, size: CohortSize) -> list[PlannedSlide]:
    """The slides of all patients: `<patient>-A`, and for some `<patient>-B`."""
    width, height = (round(side / _MPP) for side in _EXTENT_UM[size])
    slides = []
    for number, (patient, site) in enumerate(zip(states.patients, states.sites, strict=True)):
        rng = np.random.default_rng([seed, 24, number])
        look = portray(states.inflammation[number], states.differentiation[number], rng)
        for section in "AB" if number % SECOND_EVERY == 0 else "A":
            stained = stain_slide(look, site, seed, rng)
            tissue = int(rng.integers(2**31))
            plan = SlideDesign((width, height), _MPP, stained, tissue, _TISSUE_SHARE, dust=4)
            slides.append(PlannedSlide(f"{patient}-{section}", patient, site, plan))
    return slides


def _spoil(slides: list[PlannedSlide]) -> list[PlannedSlide]:
    """Leave the last patient an empty slide only, and add a truncated one to the second."""
    *others, last = [slide for slide in slides if not slide.slide_id.endswith("-B")]
    second = others[1]
    empty = replace(last.plan, tissue_share=0.0, dust=20)
    return [
        *(slide for slide in slides if slide.patient != last.patient),
        second._replace(slide_id=f"{second.patient}-B", remark="truncated on purpose"),
        last._replace(plan=empty, remark="empty on purpose"),
    ]


def _write_planned(folder: Path, slide: PlannedSlide) -> None:
    path = write_slide(folder / f"{slide.slide_id}.svs", slide.plan)
    if slide.remark.startswith("truncated"):
        content = path.read_bytes()
        path.write_bytes(content[: int(len(content) * BROKEN_SHARE)])


def list_slide(slide: PlannedSlide) -> tuple[str, ...]:
    """Row of a slide in the manifest, as `COLUMNS`."""
    path = f"{slide.slide_id}.svs"
    return (slide.slide_id, path, slide.patient, "", slide.site, "true", slide.remark)


def describe_truth(states: HiddenStates, seed: int) -> dict[str, Any]:
    """State of each patient, and what follows it; for JSON."""
    columns = zip(
        states.patients, states.inflammation, states.differentiation, states.sites, strict=True
    )
    return {
        "synthetic": True,
        "seed": seed,
        "genes": {g.name: {"driver": g.driver, "correlation": g.correlation} for g in GENES},
        "mutations": {
            m.name: {"driver": m.driver, "log_odds_per_sd": m.log_odds} for m in MUTATIONS
        },
        "patients": {
            patient: {"inflammation": round(i, 4), "differentiation": round(d, 4), "site": site}
            for patient, i, d, site in columns
        },
    }


def write_label_table(
    path: Path, states: HiddenStates, names: list[str], values: list[list[Any]]
) -> None:
    """Write a row a patient, with a column for each name."""
    rows = [(patient, *row) for patient, row in zip(states.patients, values, strict=True)]
    write_table(path, ("patient_id", *names), rows)


def write_table(path: Path, header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Write a CSV."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerows([header, *rows])
