"""Groups of tiles are found again where the slides are known, and near-duplicates stay together."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import adjusted_rand_score

from histo_ray.tilesets.colour_clusters import cluster_colours
from histo_ray.tilesets.infer_groups import group_tiles, infer_groups
from histo_ray.tilesets.near_duplicates import find_near_duplicates, hash_thumbs, orient
from histo_ray.tilesets.read import read_tileset
from histo_ray.tilesets.tile_traits import COLOUR_NAMES, TileTraits, measure_traits, read_traits
from tests.tilesets.made_up_slides import MadeUpTiles, draw_slides

NONE = np.empty((0, 2), np.int64)


@pytest.fixture(scope="module")
def slides() -> MadeUpTiles:
    return draw_slides(8, 3, 12, seed=1)


@pytest.fixture(scope="module")
def traits(slides: MadeUpTiles) -> TileTraits:
    return measure_traits(slides.pixels)


def test_slides_are_found_again_by_their_stain(slides: MadeUpTiles, traits: TileTraits) -> None:
    found = group_tiles(traits, slides.labels)
    for label in range(3):
        own = slides.labels == label
        assert adjusted_rand_score(slides.slides[own], found.groups[own]) > 0.85
    assert adjusted_rand_score(slides.slides, found.groups) > 0.6  # joined across classes


def test_slides_that_are_stained_alike_are_not_made_out() -> None:
    alike = draw_slides(6, 2, 10, seed=2, spread=0.0)
    found = group_tiles(measure_traits(alike.pixels), alike.labels)
    assert abs(adjusted_rand_score(alike.slides, found.groups)) < 0.1


def test_a_class_keeps_enough_groups_to_fill_folds(slides: MadeUpTiles, traits: TileTraits) -> None:
    for fewest in (5, 10):
        groups = group_tiles(traits, slides.labels, fewest=fewest).groups
        assert min(len(set(groups[slides.labels == k])) for k in range(3)) >= fewest


def test_groups_are_the_same_again_and_numbered_by_their_first_tile(
    slides: MadeUpTiles, traits: TileTraits
) -> None:
    first, again = (group_tiles(traits, slides.labels, seed=3) for _ in range(2))
    assert first.digest == again.digest
    _, firsts = np.unique(first.groups, return_index=True)
    assert (np.diff(firsts) > 0).all()
    halves = np.array_split(slides.pixels, 2)
    assert infer_groups(halves, slides.labels, 3).tolist() == first.groups.tolist()


def test_classes_of_thousands_are_put_into_cells_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("histo_ray.tilesets.colour_clusters.MOST_POINTS", 60)
    rng = np.random.default_rng(0)
    truth = np.repeat(np.arange(10), 30)
    colours = (rng.normal(0, 6, (10, 4))[truth] + rng.normal(0, 0.3, (300, 4))).astype(np.float32)
    labels = np.zeros(300, np.int32)
    found = cluster_colours(colours, colours, labels, NONE, seed=1)
    assert adjusted_rand_score(truth, found) > 0.95
    assert found.tolist() == cluster_colours(colours, colours, labels, NONE, seed=1).tolist()


def test_clusters_of_two_classes_are_joined_one_to_one_where_their_stains_are_alike() -> None:
    rng = np.random.default_rng(0)
    slides = np.tile(np.repeat(np.arange(6), 20), 2)
    labels = np.repeat([0, 1], 120).astype(np.int32)
    stains = (rng.normal(0, 5, (6, 3))[slides] + rng.normal(0, 0.2, (240, 3))).astype(np.float32)
    colours = stains + 9 * labels[:, None].astype(np.float32)  # a class shifts its colours
    found = cluster_colours(colours, stains, labels, NONE)
    assert adjusted_rand_score(slides, found) > 0.95
    pair = np.array([[0, 239]])  # of slides 0 and 5, and of two classes
    tied = cluster_colours(colours, stains, labels, pair)
    assert tied[0] == tied[239]
    assert len(set(tied)) == len(set(found)) - 1


def test_copies_are_found_in_every_orientation_and_among_other_files(tmp_path: Path) -> None:
    tiles = draw_slides(3, 1, 8, seed=5, px=96).pixels
    copies = [tiles[0], tiles[1][::-1], np.rot90(tiles[2]), tiles[3].transpose(1, 0, 2)]
    traits = measure_traits(np.concatenate([tiles, copies]))
    count = len(tiles)
    expected = {(k, count + k) for k in range(4)}
    assert expected <= set(map(tuple, find_near_duplicates(traits.thumbs, traits.colours).tolist()))
    hashes = hash_thumbs(traits.thumbs[:2])
    for k in range(8):
        turned = hash_thumbs(np.ascontiguousarray(orient(traits.thumbs[1], k))[None])[0, 0]
        assert np.bitwise_count(turned ^ hashes[k, 1]) <= 2
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    Image.fromarray(tiles[0]).save(tmp_path / "a" / "one.png")
    Image.fromarray(tiles[0]).save(tmp_path / "a" / "two.jpg", quality=60)
    Image.fromarray(tiles[9]).save(tmp_path / "b" / "three.png")
    loaded = read_traits(read_tileset(str(tmp_path)))
    assert find_near_duplicates(loaded.thumbs, loaded.colours).tolist() == [[0, 1]]


def test_overlapping_crops_are_one_group_and_neighbours_without_overlap_are_not() -> None:
    scene = draw_slides(1, 1, 1, seed=7, px=480).pixels[0]
    places = [(0, 0), (40, 0), (0, 130), (130, 300), (180, 300), (330, 10)]  # (y, x), 128 px
    crops = np.stack([scene[y : y + 128, x : x + 128] for y, x in places])
    traits = measure_traits(crops)
    found = find_near_duplicates(traits.thumbs, traits.colours)
    assert found.tolist() == [[0, 1], [3, 4]]
    groups = group_tiles(traits, np.zeros(6, np.int32)).groups
    assert groups[0] == groups[1]
    assert groups[3] == groups[4]
    assert len(set(groups)) == 4


def test_empty_glass_is_in_no_pair() -> None:
    rng = np.random.default_rng(0)
    shade = np.linspace(-4, 4, 64)[None, :, None, None]  # of the lamp, on every tile
    glass = rng.normal(240 + shade, 0.5, (6, 64, 64, 3)).clip(0, 255).astype(np.uint8)
    traits = measure_traits(glass)
    assert len(find_near_duplicates(traits.thumbs, traits.colours)) == 0


def test_colours_are_means_and_deviations_of_every_pixel() -> None:
    tile = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)  # not square
    (found,) = measure_traits(tile[None]).colours
    rgb, density = tile.reshape(-1, 3) / 255, -np.log((tile.reshape(-1, 3) + 1.0) / 256)
    expected = [*rgb.mean(0), *rgb.std(0), *density.mean(0), *density.std(0)]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert len(COLOUR_NAMES) == len(expected)


def test_another_number_of_labels_is_refused(traits: TileTraits) -> None:
    with pytest.raises(ValueError, match="288 tiles and 3 labels"):
        group_tiles(traits, np.zeros(3, np.int32))


@pytest.mark.slow
def test_real_tiles_have_overlapping_crops_that_are_kept_together_in_enough_groups(
    real_tiles: Path,
) -> None:
    tiles = read_tileset(str(real_tiles / "colorectal5" / "train"))
    found = group_tiles(read_traits(tiles), tiles.labels)
    assert len(found.pairs) > 300  # looked at: crops that overlap
    assert (found.groups[found.pairs[:, 0]] == found.groups[found.pairs[:, 1]]).all()
    per_class = [len(set(found.groups[tiles.labels == k])) for k in range(5)]
    assert min(per_class) >= 5
    small = read_tileset(str(real_tiles / "nct9"))
    assert len(set(infer_groups(small, small.labels))) >= 9
