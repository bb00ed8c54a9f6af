from dataclasses import replace

import cv2
import numpy as np
import pytest

from histo_ray.synth.anatomy import lay_anatomy
from histo_ray.synth.noise import Field, Numbers, Window
from histo_ray.synth.patient_writer import PlannedSlide, plan_slides
from histo_ray.synth.portrait import portray, stain_slide
from histo_ray.synth.scene import set_scene
from histo_ray.synth.stain_mixing import GLASS, stain_matrix
from histo_ray.synth.states import SITES, draw_states
from histo_ray.synth.texture import paint_tissue
from histo_ray.synth.tissue_looks import GLANDULAR, SOLID

FIELD = Window(40.0, 90.0, 1.0, 300, 200)
STAIN = ("haematoxylin", "eosin", "haematoxylin_tint", "eosin_tint")


def haematoxylin(light: Field, vectors: Field) -> Numbers:
    """Amount of the nuclear stain at every px, by least squares."""
    density = -np.log10(np.maximum(light, 1) / GLASS)
    amounts: Numbers = density.reshape(-1, 3) @ np.linalg.pinv(vectors.astype(float))
    return amounts[:, 0]


@pytest.mark.parametrize("differentiation", [0.2, 0.8])
def test_more_inflammation_is_more_haematoxylin(differentiation: float) -> None:
    amounts = []
    for inflammation in (0.05, 0.5, 0.95):
        look = portray(inflammation, differentiation, np.random.default_rng(3))
        look = replace(look, gland_fraction=0.5)  # as if no gland gave way
        picture = paint_tissue(look, 1, FIELD)
        amounts.append(haematoxylin(picture, stain_matrix(look)).mean())
    assert amounts[0] * 1.08 < amounts[1]
    assert amounts[1] * 1.08 < amounts[2]


def test_differentiation_goes_from_solid_nests_to_glands() -> None:
    solid, glandular = (portray(0.5, d, np.random.default_rng(3)) for d in (0.0, 1.0))
    for name in ("lumen_fraction", "nuclear_size_um", "mucin", "vesicular"):
        assert getattr(solid, name) == getattr(SOLID, name)
        assert getattr(glandular, name) == getattr(GLANDULAR, name)
    lumens = []
    coarse = Window(0.0, 0.0, 4.0, 120, 90)
    for differentiation in (0.0, 0.5, 1.0):
        look = portray(0.3, differentiation, np.random.default_rng(3))
        fields = [lay_anatomy(look, seed, coarse) for seed in range(3)]
        lumens.append(np.mean([field.lumen.mean() for field in fields]))
    assert lumens[0] * 2 < lumens[1]
    assert lumens[1] * 1.3 < lumens[2]


def test_the_tissue_of_a_slide_tells_its_state() -> None:
    states = draw_states(16, seed=4)
    slides = {slide.patient: slide for slide in plan_slides(states, 4, "normal")}
    lymph, lumen = np.array([share_of_tissue(slides[p]) for p in states.patients]).T
    assert np.corrcoef(lymph, states.inflammation)[0, 1] > 0.7
    assert np.corrcoef(lumen, states.differentiation)[0, 1] > 0.35


def share_of_tissue(slide: PlannedSlide) -> tuple[float, float]:
    """How much of a planned slide's tissue is lymphocytes and lumen."""
    plan = slide.plan
    coarse = Window(0.0, 0.0, 4.0, *(int(side * plan.mpp / 4) for side in plan.size))
    anatomy = lay_anatomy(plan.look, plan.seed, coarse)
    inside = cv2.resize(set_scene(plan).outline, None, fx=2, fy=2) > 0
    inside = inside[: coarse.height, : coarse.width]
    return float(anatomy.lymph[inside].mean()), float(anatomy.lumen[inside].mean())


def test_sites_stain_differently_and_a_slide_a_little_from_its_site() -> None:
    look = portray(0.5, 0.5, np.random.default_rng(0))
    rng = np.random.default_rng(1)
    stains = np.array(
        [
            [[getattr(stain_slide(look, site, 7, rng), name) for name in STAIN] for _ in range(40)]
            for site in SITES
        ]
    )  # (site, slide, stain)
    within = stains.std(axis=1).mean(axis=0)
    between = stains.mean(axis=1).std(axis=0)
    assert (between > within).all()
    assert (within > 0.02).all()
    before, after = vars(look), vars(stain_slide(look, SITES[0], 7, rng))
    assert {name for name in before if before[name] != after[name]} == set(STAIN)


def test_the_stain_says_nothing_of_the_state() -> None:
    found = []
    for seed in range(8):
        states = draw_states(36, seed)
        slides = [s for s in plan_slides(states, seed, "normal") if s.slide_id.endswith("A")]
        stains = np.array([[getattr(s.plan.look, name) for name in STAIN] for s in slides])
        for level in (states.inflammation, states.differentiation):
            found += [np.corrcoef(level, column)[0, 1] for column in stains.T]
    of_stains = np.mean(np.reshape(found, (-1, len(STAIN))), axis=0)
    assert np.abs(of_stains).max() < 0.1
    assert np.std(found) < 0.15  # 1 / sqrt(35) = 0.17 if sites were not balanced
