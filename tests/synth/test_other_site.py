"""The second cohort: other patients, stain, scanner and case mix; the same hidden biology."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from histo_ray.slides.manifest import read_manifest
from histo_ray.slides.reader import open_slide
from histo_ray.synth.crowds import CROWD_CLASS, map_crowds, write_crowds
from histo_ray.synth.molecules import GENES, MUTATIONS, draw_mutations, simulate_expression
from histo_ray.synth.other_site import (
    MPP,
    OTHER_SITES,
    SHOWN,
    OtherSiteFiles,
    draw_other_states,
    plan_other_slides,
    write_other_site,
)
from histo_ray.synth.patient_writer import plan_slides
from histo_ray.synth.slide_writer import write_slide
from histo_ray.synth.states import SITES, draw_states
from histo_ray.tiles.grid import tissue_fraction
from histo_ray.tiles.masks import read_mask
from histo_ray.tiles.pixels import read_tiles

COUNT = 10


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> OtherSiteFiles:
    return write_other_site(tmp_path_factory.mktemp("other"), seed=1, count=COUNT, size="small")


def test_no_patient_site_stain_or_resolution_is_that_of_the_first_cohort() -> None:
    first, other = draw_states(36, 1), draw_other_states(20, 1)
    assert not set(first.patients) & set(other.patients)
    assert not set(SITES) & set(OTHER_SITES)
    mine = [slide.plan for slide in plan_slides(first, 1, "normal")]
    theirs = [slide.plan for slide in plan_other_slides(other, 1, "normal")]
    assert {plan.mpp for plan in mine} == {0.5}
    assert {plan.mpp for plan in theirs} == {MPP}
    assert np.median([plan.look.haematoxylin for plan in theirs]) > np.median(
        [plan.look.haematoxylin for plan in mine]
    )
    assert min(plan.look.eosin_tint for plan in theirs) > np.median(
        [plan.look.eosin_tint for plan in mine]
    )
    assert not {plan.seed for plan in mine} & {plan.seed for plan in theirs}


def test_fewer_carry_what_inflammation_drives_and_as_many_what_it_does_not() -> None:
    states = draw_other_states(4000, 3)
    carried = draw_mutations(states, 3).mean(axis=0)
    for mutation, share in zip(MUTATIONS, carried, strict=True):
        if mutation.driver == "inflammation":
            assert share < mutation.prevalence - 0.08
        else:
            assert share == pytest.approx(mutation.prevalence, abs=0.03)


def test_a_mutation_follows_its_state_as_in_the_first_cohort() -> None:
    """Logistic regression on the state finds the log odds of the model, whatever the case mix."""
    from sklearn.linear_model import LogisticRegression

    states = draw_other_states(4000, 5)
    carried = draw_mutations(states, 5)
    for column, mutation in enumerate(MUTATIONS[:2]):
        state = states.score(mutation.driver)[:, None]
        found = LogisticRegression(C=1e6).fit(state, carried[:, column]).coef_[0, 0]
        assert found == pytest.approx(mutation.log_odds, rel=0.1)


def test_genes_have_the_levels_of_the_first_cohort() -> None:
    first = simulate_expression(draw_states(4000, 2), 2)
    other = simulate_expression(draw_other_states(4000, 2), 77, genes_seed=2)
    free = [number for number, gene in enumerate(GENES) if not gene.driver]
    np.testing.assert_allclose(first.mean(0)[free], other.mean(0)[free], atol=0.06)
    np.testing.assert_allclose(first.std(0)[free], other.std(0)[free], atol=0.06)
    assert not np.array_equal(first, other)


def test_every_slide_says_synthetic_opens_and_has_its_outlines(files: OtherSiteFiles) -> None:
    slides = read_manifest(str(files.manifest))
    assert len(slides) == COUNT
    assert {slide.extra["synthetic"] for slide in slides} == {"true"}
    assert {slide.site for slide in slides} == set(OTHER_SITES)
    for slide in slides:
        with open_slide(slide.path, slide_id=slide.slide_id) as opened:
            assert opened.mpp == (MPP, MPP)
        outlines = json.loads((files.crowds / f"{slide.slide_id}.geojson").read_text())
        for feature in outlines["features"]:
            assert feature["properties"]["classification"]["name"] == CROWD_CLASS
            assert feature["properties"]["synthetic"] is True
    for table, columns in ((files.expression, GENES), (files.mutations, MUTATIONS)):
        labels = pd.read_csv(table, index_col="patient_id")
        assert list(labels.index) == sorted({slide.patient_id for slide in slides})
        assert list(labels) == [one.name for one in columns]
    assert json.loads(files.truth.read_text())["synthetic"] is True


def test_outlines_read_by_our_mask_reader_are_the_map_that_was_drawn(tmp_path: Path) -> None:
    (plan,) = (
        slide.plan
        for slide in plan_other_slides(draw_other_states(COUNT, 1), 1, "small")
        if slide.patient == SHOWN
    )
    drawn = map_crowds(plan)
    assert 0.05 < drawn.mean() < 0.6
    path = write_crowds(tmp_path / "S.geojson", plan)
    mask, _ = read_mask(str(path), plan.size, "S", (CROWD_CLASS,))
    side = 2.0 / plan.mpp  # one value of the map
    rows, columns = np.indices(drawn.shape)
    coords = np.stack([columns.ravel(), rows.ravel()], axis=1) * side
    inside = tissue_fraction(mask, coords.astype(np.int32), (side, side)) > 0.5
    assert (inside.reshape(drawn.shape) == drawn).mean() > 0.985


def test_where_a_crowd_is_outlined_tiles_are_darker(files: OtherSiteFiles) -> None:
    """The truth lies where the pixels are: not mirrored, turned or shifted."""
    (slide,) = (s for s in read_manifest(str(files.manifest)) if s.patient_id == SHOWN)
    with open_slide(slide.path, slide_id=slide.slide_id) as opened:
        batches = list(read_tiles(opened, mpp=0.5, tile_px=56, tissue="otsu"))
        size = opened.size
    coords = np.concatenate([batch.coords for batch in batches])
    red = np.concatenate([batch.pixels[..., 0].mean(axis=(1, 2)) for batch in batches])
    mask, _ = read_mask(str(files.crowds / f"{slide.slide_id}.geojson"), size)
    share = tissue_fraction(mask, coords, (112.0, 112.0))
    assert np.corrcoef(share, red)[0, 1] < -0.45
    turned = tissue_fraction(mask, (np.array(size) - coords - 112).astype(np.int32), (112.0, 112.0))
    assert np.corrcoef(turned, red)[0, 1] > np.corrcoef(share, red)[0, 1] + 0.25


def test_the_same_seed_gives_the_same_bytes(files: OtherSiteFiles, tmp_path: Path) -> None:
    planned = plan_other_slides(draw_other_states(COUNT, 1), 1, "small")
    slide = planned[3]
    again = write_slide(tmp_path / "again.svs", slide.plan)
    assert again.read_bytes() == (files.manifest.parent / f"{slide.slide_id}.svs").read_bytes()
    outlines = write_crowds(tmp_path / "again.geojson", slide.plan)
    there = files.crowds / f"{slide.slide_id}.geojson"
    assert outlines.read_bytes() == there.read_bytes()
