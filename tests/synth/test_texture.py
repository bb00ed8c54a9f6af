from dataclasses import replace

import numpy as np
import pytest

from histo_ray.synth.anatomy import lay_anatomy
from histo_ray.synth.noise import Field, Window
from histo_ray.synth.nuclei import draw_nuclei, place_nuclei
from histo_ray.synth.stain_mixing import GLASS, mix_stains, stain_matrix
from histo_ray.synth.texture import enlarge, paint_tissue
from histo_ray.synth.tissue_looks import GLANDULAR, INFLAMED, LOOKS, SOLID, TissueLook

FIELD = Window(40.0, 90.0, 0.5, 640, 448)


def halved(picture: Field) -> Field:
    height, width = picture.shape[:2]
    mean: Field = picture.reshape(height // 2, 2, width // 2, 2, 3).mean((1, 3))
    return mean


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_the_same_seed_is_the_same_tissue_at_both_resolutions(look: TissueLook) -> None:
    coarse = paint_tissue(look, 7, FIELD)
    fine = paint_tissue(look, 7, replace(FIELD, step=0.25, width=1280, height=896))
    assert np.corrcoef(coarse.ravel(), halved(fine).ravel())[0, 1] > 0.98
    assert abs(coarse.mean() - fine.mean()) < 1.0


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
def test_a_block_drawn_alone_continues_its_neighbours(look: TissueLook) -> None:
    whole = paint_tissue(look, 7, FIELD)
    part = paint_tissue(look, 7, Window(40 + 128, 90 + 64, 0.5, 384, 320))
    difference = np.abs(whole[128:, 256:] - part)[8:, 8:]
    assert np.mean(difference) < 0.3


def test_another_seed_is_another_tissue() -> None:
    one, other = paint_tissue(SOLID, 1, FIELD), paint_tissue(SOLID, 2, FIELD)
    assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 0.5


def test_looks_differ_in_nuclei_and_colour() -> None:
    field = Window(0, 0, 2.0, 600, 400)
    sizes, colours = {}, {}
    for name, look in LOOKS.items():
        nuclei = place_nuclei(look, 5, lay_anatomy(look, 5, field))
        sizes[name] = float(np.sqrt(nuclei.length * nuclei.width).mean())
        colours[name] = paint_tissue(look, 5, FIELD).mean((0, 1))
    assert sizes["solid"] > sizes["glandular"] + 0.5
    assert sizes["glandular"] > sizes["inflamed"]
    for one, other in (("glandular", "solid"), ("solid", "inflamed"), ("glandular", "inflamed")):
        assert np.abs(colours[one] - colours[other]).max() > 5


def test_more_lymphocytes_are_more_nuclei() -> None:
    field = Window(0, 0, 2.0, 600, 400)
    counts = []
    for fraction in (0.0, 0.3, 0.8):
        look = replace(INFLAMED, lymphocyte_fraction=fraction, gland_fraction=0.0)
        counts.append(len(place_nuclei(look, 5, lay_anatomy(look, 5, field))))
    assert counts[0] * 1.5 < counts[1] < counts[2]


def test_no_glands_no_epithelium_and_no_fat_unless_asked_for() -> None:
    field = Window(0, 0, 2.0, 300, 200)
    bare = replace(GLANDULAR, gland_fraction=-1.0, adipose_fraction=0.0)
    anatomy = lay_anatomy(bare, 5, field)
    assert not anatomy.glands
    assert (anatomy.depth < 0).all()
    assert not anatomy.fat.any()
    assert not anatomy.lumen.any()


def test_a_gland_s_depth_grows_from_its_border_inwards() -> None:
    field = Window(0, 0, 2.0, 300, 200)
    for gland in lay_anatomy(GLANDULAR, 5, field).glands:
        theta = np.linspace(0, 6, 13)
        for depth in (0.0, 6.0, 15.0):
            x, y = gland.point(theta, np.full(13, depth))
            np.testing.assert_allclose(gland.depth(x, y), depth, atol=1e-3)


def test_no_stain_is_clear_glass_and_stains_multiply() -> None:
    vectors = stain_matrix(GLANDULAR)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    none, some = np.zeros((2, 3), np.float32), np.full((2, 3), 0.4, np.float32)
    np.testing.assert_allclose(mix_stains(none, none, vectors), np.tile(GLASS, (2, 3, 1)))
    both = mix_stains(some, some, vectors) / GLASS
    each = mix_stains(some, none, vectors) * mix_stains(none, some, vectors) / GLASS**2
    np.testing.assert_allclose(both, each, rtol=1e-5)


def test_haematoxylin_is_darkest_in_green_and_eosin_leaves_red() -> None:
    vectors = stain_matrix(INFLAMED)
    assert vectors[0].argmax() == 1
    assert vectors[1].argmin() == 0


def test_enlarging_keeps_places_on_both_axes() -> None:
    source = Window(10.0, -6.0, 2.0, 40, 30)
    ramp = np.add.outer(100 * source.ys(), source.xs()).astype(np.float32)
    target = Window(20.0, 8.0, 0.25, 200, 90)
    expected = np.add.outer(100 * target.ys(), target.xs())
    np.testing.assert_allclose(enlarge(ramp, source, target), expected, atol=7)


def test_nuclei_cover_the_same_area_at_every_mpp() -> None:
    nuclei = place_nuclei(SOLID, 5, lay_anatomy(SOLID, 5, Window(0, 0, 2.0, 160, 90)))
    cover = [
        draw_nuclei(nuclei, 0.3, Window(0, 0, mpp, round(320 / mpp), round(180 / mpp)))[1].mean()
        for mpp in (0.125, 0.25, 0.5)
    ]
    assert cover[0] > 0.1
    np.testing.assert_allclose(cover, cover[0], rtol=0.02)
