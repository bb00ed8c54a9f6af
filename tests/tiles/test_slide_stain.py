from pathlib import Path
from typing import Any

import numpy as np
import pytest

from histo_ray.cluster.actors import Reader
from histo_ray.config import ExtractConfig, TilingConfig
from histo_ray.extract.slide import SubjectPlan
from histo_ray.slides.reader import open_slide
from histo_ray.synth.scene import SlideDesign as Scene
from histo_ray.synth.slide_writer import write_slide
from histo_ray.synth.tissue_looks import SOLID
from histo_ray.tiles.pixels import STAIN_TILES, read_tiles
from histo_ray.tiles.stain import MacenkoFit, fit_stain, normalise
from histo_ray.types import Slide


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Slide:
    path = tmp_path_factory.mktemp("stain") / "S.svs"
    write_slide(path, Scene((900, 620), 0.5, SOLID, seed=3, tissue_share=0.6))
    return Slide("S", str(path), "P")


@pytest.mark.parametrize("stain", ["macenko", "reinhard"])
def test_tiles_are_normalised_by_one_fit_a_slide(slide: Slide, stain: Any) -> None:
    with open_slide(slide.path) as opened:
        plain, done = (
            np.concatenate([b.pixels for b in read_tiles(opened, tile_px=64, stain=name)])
            for name in ("none", stain)
        )
    chosen = np.linspace(0, len(plain) - 1, STAIN_TILES).round().astype(int)
    assert len(plain) > STAIN_TILES
    assert np.array_equal(done, normalise(plain, fit_stain(plain[chosen], stain)))
    assert not np.array_equal(done, plain)


def test_a_run_reads_what_read_tiles_gives_and_records_the_fit(slide: Slide) -> None:
    config = ExtractConfig(
        manifest="m.csv", store="s", encoder=("e",), tile_px=64, tissue="none", stain="macenko"
    )
    reader = Reader(config)
    plan, _ = reader.plan(slide)
    assert isinstance(plan, SubjectPlan)
    assert isinstance(plan.stain, MacenkoFit)
    assert plan.tiling.settings["stain"] == "macenko"
    assert plan.tiling.stain_fit is not None
    assert plan.tiling.stain_fit["eosin"] == plan.stain.eosin
    pixels, answer = reader.read(slide, plan, range(20, 50), 30)
    unstained = Reader(config.model_copy(update={"stain": "none"}))
    bare, _ = unstained.plan(slide)
    assert isinstance(bare, SubjectPlan)
    assert bare.tiling.stain_fit is None
    raw, raw_answer = unstained.read(slide, bare, range(20, 50), 30)
    assert np.array_equal(pixels, normalise(raw, plan.stain))
    assert np.array_equal(answer.value, raw_answer.value)  # focus of the slide, not of the stain


def test_the_fingerprint_knows_the_stain_and_old_ones_stay() -> None:
    prints = {TilingConfig(stain=name).fingerprint() for name in ("none", "macenko", "reinhard")}
    assert len(prints) == 3
    assert TilingConfig().fingerprint() == "t28cbc9ee09f0"


@pytest.mark.parametrize(
    ("tissue", "name"), [("none", "tac2056f173ea"), ("m/{slide_id}.png", "t7a3572be7966")]
)
def test_only_tilings_with_computed_tissue_changed_their_names(tissue: str, name: str) -> None:
    assert TilingConfig().older_fingerprints() == ["t1b98467ff280"]  # that of 0.1.0
    assert TilingConfig(tissue=tissue).fingerprint() == name
    assert TilingConfig(tissue=tissue).older_fingerprints() == []


def test_a_slide_without_stain_is_read_as_it_is(tmp_path: Path) -> None:
    write_slide(tmp_path / "E.svs", Scene((640, 500), 0.5, SOLID, 4, tissue_share=0.0))
    with open_slide(str(tmp_path / "E.svs")) as opened:
        plain, done = (
            np.concatenate([b.pixels for b in read_tiles(opened, tile_px=64, stain=name)])
            for name in ("none", "macenko")
        )
    assert np.array_equal(plain, done)
