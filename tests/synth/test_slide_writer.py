from dataclasses import replace
from pathlib import Path

import numpy as np
import openslide
import pytest

from histo_ray.synth.scene import SlideDesign, set_scene
from histo_ray.synth.slide_writer import write_slide
from histo_ray.synth.tissue_looks import GLANDULAR, INFLAMED

PLAN = SlideDesign((1500, 1010), 0.5, GLANDULAR, seed=4, tissue_share=0.45)


def read(path: Path, level: int = 0) -> np.ndarray:
    with openslide.OpenSlide(path) as slide:
        size = slide.level_dimensions[level]
        return np.asarray(slide.read_region((0, 0), level, size).convert("RGB")).astype(float)


def test_openslide_opens_it_as_aperio_with_size_mpp_and_levels(tmp_path: Path) -> None:
    path = write_slide(tmp_path / "wide.svs", PLAN)
    with openslide.OpenSlide(path) as slide:
        assert slide.properties["openslide.vendor"] == "aperio"
        assert slide.level_dimensions == ((1500, 1010), (375, 252), (93, 63))
        assert float(slide.properties["openslide.mpp-x"]) == 0.5
        assert float(slide.properties["openslide.mpp-y"]) == 0.5
        assert slide.associated_images["thumbnail"].size == (768, 517)
        assert slide.properties["aperio.Synthetic"] == "histo_ray"


def test_the_file_holds_what_the_scene_draws_up_to_both_far_edges(tmp_path: Path) -> None:
    plan = replace(PLAN, dust=40, pen=True)
    stored = read(write_slide(tmp_path / "wide.svs", plan))
    drawn = set_scene(plan).draw(0, 0, 1500, 1010).astype(float)
    assert np.abs(stored - drawn).mean() < 4  # JPEG
    assert np.abs(stored - drawn)[-20:, -20:].mean() < 4


def test_coarser_levels_are_the_finer_ones_averaged(tmp_path: Path) -> None:
    path = write_slide(tmp_path / "wide.svs", PLAN)
    fine, coarse = read(path), read(path, 1)
    mean = fine[:1008, :1500].reshape(252, 4, 375, 4, 3).mean((1, 3))
    assert np.abs(mean - coarse).mean() < 5  # JPEG of fine detail, chroma halved
    assert np.corrcoef(mean.ravel(), coarse.ravel())[0, 1] > 0.98


@pytest.mark.parametrize("share", [0.2, 0.6])
def test_the_tissue_covers_the_share_asked_for(share: float) -> None:
    inside = set_scene(replace(PLAN, size=(4000, 2600), tissue_share=share)).outline > 0
    assert inside.mean() == pytest.approx(share, abs=0.05)
    assert not inside[0].any()
    assert not inside[:, -1].any()


def test_a_block_of_a_scene_is_part_of_the_whole() -> None:
    scene = set_scene(replace(PLAN, look=INFLAMED, dust=60, pen=True))
    whole = scene.draw(0, 0, 1500, 1010).astype(float)
    part = scene.draw(412, 131, 600, 301).astype(float)
    assert np.abs(whole[131:432, 412:1012] - part).mean() < 0.3


def test_twins_at_two_resolutions_show_the_same_tissue(tmp_path: Path) -> None:
    fine = write_slide(tmp_path / "fine.svs", replace(PLAN, size=(3000, 2020), mpp=0.25))
    coarse = write_slide(tmp_path / "coarse.svs", PLAN)
    halved = read(fine).reshape(1010, 2, 1500, 2, 3).mean((1, 3))
    assert np.corrcoef(halved.ravel(), read(coarse).ravel())[0, 1] > 0.97
