"""The demo's second cohort: other patients of another site, whose hidden biology is the same.

What the state does to tissue, genes and mutations is that of the first cohort, gene levels and the
thresholds of mutations included. What differs is what differs between hospitals: the stain, the
scanner's resolution, and the patients, who are less inflamed, so that fewer carry what inflammation
drives.
"""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from histo_ray.synth.cohort import CohortSize
from histo_ray.synth.crowds import write_crowds
from histo_ray.synth.molecules import (
    GENES,
    MUTATIONS,
    draw_mutations,
    simulate_expression,
)
from histo_ray.synth.patient_writer import (
    COLUMNS,
    PlannedSlide,
    describe_truth,
    list_slide,
    write_label_table,
    write_table,
)
from histo_ray.synth.portrait import portray
from histo_ray.synth.scene import SlideDesign
from histo_ray.synth.slide_writer import write_slide
from histo_ray.synth.states import HiddenStates, draw_states
from histo_ray.synth.tissue_looks import TissueLook

OTHER_SITES = ("SYN-HARBOUR", "SYN-HILL")
MPP = 0.25
"""Microns per px; the first cohort has 0.5."""
SHOWN = "SYN-2001"
"""Patient whose slide is large, with large crowds of lymphocytes: for a heat map."""
CASE_MIX = 1.6
"""Exponent on the first cohort's uniform inflammation."""
_FIRST = 2001
_SEEDS_APART = 5000
_EXTENT_UM = (448.0, 336.0)
_SHOWN_UM: dict[CohortSize, tuple[float, float]] = {
    "small": (672.0, 560.0),
    "normal": (1120.0, 896.0),
}
_SHOWN_PATCH_UM = 150.0
"""About half the width of a crowd of lymphocytes on the shown slide: more than a tile's."""
_SHOWN_INFLAMMATION = 0.5
_TISSUE_SHARE, _SHOWN_SHARE = 0.6, 0.72
_STAIN = np.array([1.30, 0.72, 0.95, 0.85])
"""Haematoxylin, eosin and the tint of each: outside of what the first cohort's sites have."""
_STAIN_OF_SLIDE = np.array([0.05, 0.05, 0.04, 0.08])
"""Standard deviation between slides."""
_AT_ONCE = 2


class OtherSiteFiles(NamedTuple):
    """Paths of the files that were written."""

    manifest: Path
    """One row a slide."""
    expression: Path
    """One row a patient, one column for each of `GENES`."""
    mutations: Path
    """The same for `MUTATIONS`, 0 or 1."""
    truth: Path
    """JSON, as of the first cohort: for tests and for whoever wants to look behind the scenes."""
    crowds: Path
    """Folder of `<slide_id>.geojson`: outlines of the planted crowds of lymphocytes."""


def write_other_site(
    folder: Path, seed: int = 0, count: int = 20, size: CohortSize = "normal"
) -> OtherSiteFiles:
    """Write the slides, labels and truth of another site's patients.

    Args:
        folder: Where to write; made if it does not exist, files of the same name are replaced.
        seed: Seed of the first cohort, whose biology this one shares; the patients are others.
        count: Patients, at least `LEAST_PATIENTS`.
        size: Size of the large slide; the others have about 9 tiles of 112 um.

    Returns:
        The files; the paths in the manifest are relative to its folder.

    Raises:
        ConfigError: Too few patients.
    """
    states = draw_other_states(count, seed)
    slides = plan_other_slides(states, seed, size)
    crowds = folder / "crowds"
    crowds.mkdir(parents=True, exist_ok=True)

    def write(slide: PlannedSlide) -> None:
        write_slide(folder / f"{slide.slide_id}.svs", slide.plan)
        write_crowds(crowds / f"{slide.slide_id}.geojson", slide.plan)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for written in [pool.submit(write, slide) for slide in slides]:
            written.result()
    names = ("manifest.csv", "expression.csv", "mutations.csv", "truth.json")
    manifest, expression, mutations, truth = (folder / name for name in names)
    write_table(manifest, COLUMNS, [list_slide(slide) for slide in slides])
    own = seed + _SEEDS_APART
    levels = simulate_expression(states, own, genes_seed=seed)
    rows = [[f"{value:.4f}" for value in row] for row in levels]
    write_label_table(expression, states, [gene.name for gene in GENES], rows)
    carried = draw_mutations(states, own).tolist()
    write_label_table(mutations, states, [gene.name for gene in MUTATIONS], carried)
    truth.write_text(json.dumps(describe_truth(states, own), indent=1) + "\n", encoding="utf-8")
    return OtherSiteFiles(manifest, expression, mutations, truth, crowds)


def draw_other_states(count: int, seed: int) -> HiddenStates:
    """Draw this site's patients: less inflamed than the first cohort's, as differentiated.

    Args:
        count: Patients, at least `LEAST_PATIENTS`.
        seed: Of the first cohort.

    Raises:
        ConfigError: Too few patients.
    """
    states = draw_states(count, seed + _SEEDS_APART)
    patients = tuple(f"SYN-{_FIRST + number}" for number in range(count))
    inflammation = states.inflammation**CASE_MIX
    inflammation[patients.index(SHOWN)] = _SHOWN_INFLAMMATION
    sites = tuple(OTHER_SITES[number % len(OTHER_SITES)] for number in range(count))
    return replace(states, patients=patients, inflammation=inflammation, sites=sites)


def plan_other_slides(states: HiddenStates, seed: int, size: CohortSize) -> list[PlannedSlide]:
    """Plan one slide a patient, `<patient>-A`; that of patient `SHOWN` is large."""
    slides = []
    for number, (patient, site) in enumerate(zip(states.patients, states.sites, strict=True)):
        rng = np.random.default_rng([seed + _SEEDS_APART, 24, number])
        look = portray(states.inflammation[number], states.differentiation[number], rng)
        extent, share = _EXTENT_UM, _TISSUE_SHARE
        if patient == SHOWN:
            look = replace(look, lymphocyte_patch_um=_SHOWN_PATCH_UM, adipose_fraction=0.0)
            extent, share = _SHOWN_UM[size], _SHOWN_SHARE
        width, height = (round(side / MPP) for side in extent)
        stained = _stain(look, rng)
        tissue = int(rng.integers(2**31))
        plan = SlideDesign((width, height), MPP, stained, tissue, share, dust=4)
        slides.append(PlannedSlide(f"{patient}-A", patient, site, plan))
    return slides


def _stain(look: TissueLook, rng: np.random.Generator) -> TissueLook:
    amounts = _STAIN + rng.normal(0, _STAIN_OF_SLIDE)
    amounts[2:] = np.clip(amounts[2:], 0, 1)
    haematoxylin, eosin, haematoxylin_tint, eosin_tint = amounts.tolist()
    return replace(
        look,
        haematoxylin=haematoxylin,
        eosin=eosin,
        haematoxylin_tint=haematoxylin_tint,
        eosin_tint=eosin_tint,
    )
