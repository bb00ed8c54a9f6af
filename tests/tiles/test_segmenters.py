"""Segmenters of Python plugins: masks, names of tilings, receipts, and what goes wrong in them."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from histo_ray.api.extract import extract
from histo_ray.api.plan import plan
from histo_ray.config import ExtractConfig, TilingConfig
from histo_ray.errors import ConfigError, SlideError
from histo_ray.report.charts.canvas import OUTLINE
from histo_ray.report.slides.slide_picture import draw_or_problem
from histo_ray.slides import overview
from histo_ray.slides.reader import OpenedSlide, open_slide
from histo_ray.store.partition import FORMAT_VERSION
from histo_ray.store.store import open_store
from histo_ray.tiles import segment_slide as segmenting
from histo_ray.tiles.pixels import locate_tissue, read_overview, read_tiles
from histo_ray.tiles.segment_slide import segment_slide
from histo_ray.tiles.segmenters import check_tissue, load_segmenter, settle_tissue
from histo_ray.types import Slide
from testing.segmenter_package import write_segmenter, write_segmenter_package
from tests.tiles.segmenter_contract import SegmenterContract

MakeConfig = Callable[..., ExtractConfig]
MODULE = "by_green"
TISSUE = f"{MODULE}:make_segmenter"
WHOLE = (("input_px=64,\n            margin_px=8, ", ""),)
"""Changes of the module that let it see the whole slide as one picture."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The working folder; what is imported from it is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*(entry for entry in sys.path if entry), str(tmp_path)])
    load_segmenter.cache_clear()
    yield tmp_path
    load_segmenter.cache_clear()
    for name in (MODULE, "installed_green"):
        sys.modules.pop(name, None)


@pytest.fixture
def slide(tmp_path: Path) -> Iterator[OpenedSlide]:
    """1,500 x 1,100 px at 1 mpp: a pale disc near the far corner, and a dark bar at the right."""
    image = np.full((1100, 1500, 3), 245, np.uint8)
    cv2.circle(image, (1120, 790), 260, (190, 150, 200), -1)
    cv2.rectangle(image, (1380, 0), (1499, 300), (30, 40, 20), -1)
    cv2.imwrite(str(tmp_path / "drawn.png"), image)
    with open_slide(str(tmp_path / "drawn.png"), slide_id="D1", mpp=1.0) as opened:
        yield opened


class TestOfThreeClasses(SegmenterContract):
    @pytest.fixture
    def tissue(self, folder: Path) -> str:
        write_segmenter(folder, MODULE)
        return TISSUE


class TestOfTheWholeSlide(SegmenterContract):
    @pytest.fixture
    def tissue(self, folder: Path) -> str:
        write_segmenter(folder, MODULE, *WHOLE)
        return TISSUE


def truth(slide: OpenedSlide, classes: tuple[int, ...]) -> Any:
    image, _ = read_overview(slide, 4.0)
    green = image[..., 1]
    labels = np.where(green < 90, 2, np.where(green < 215, 1, 0))
    return np.isin(labels, classes)


@pytest.mark.parametrize("changes", [(), WHOLE])
def test_the_mask_is_what_the_segmenter_says_to_both_far_edges(
    folder: Path, slide: OpenedSlide, changes: tuple[tuple[str, str], ...]
) -> None:
    write_segmenter(folder, MODULE, *changes)
    mask, reason, digest = locate_tissue(slide, TilingConfig(tissue=TISSUE))
    assert (reason, digest) == ("", "")
    assert mask is not None
    assert mask.downsample == (4.0, 4.0)
    assert mask.pixels.shape == (275, 375)
    np.testing.assert_array_equal(mask.pixels, truth(slide, (1, 2)))
    assert mask.ink_share is None


def test_classes_that_count_can_be_chosen(folder: Path, slide: OpenedSlide) -> None:
    write_segmenter(folder, MODULE)
    found = {
        names: locate_tissue(slide, TilingConfig(tissue=TISSUE, mask_classes=names))[0]
        for names in (("Dark",), ("tissue",), ("glass", "dark"))
    }
    for names, numbers in zip(found, ((2,), (1,), (0, 2)), strict=True):
        mask = found[names]
        assert mask is not None
        np.testing.assert_array_equal(mask.pixels, truth(slide, numbers))


def test_a_large_mask_is_made_coarser_by_majority(
    folder: Path, slide: OpenedSlide, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_segmenter(folder, MODULE)
    monkeypatch.setattr(segmenting, "MOST_MASK_PX", 275 * 375 // 8)
    mask, _ = segment_slide(slide, load_segmenter(TISSUE), ())
    assert mask.downsample == (12.0, 12.0)
    assert mask.pixels.shape == (92, 125)
    fine = truth(slide, (1, 2))
    padded = np.pad(fine, ((0, 1), (0, 0)), mode="edge").reshape(92, 3, 125, 3)
    np.testing.assert_array_equal(mask.pixels, padded.mean((1, 3)) >= 0.5)


@pytest.mark.parametrize("block_px", [50, 1024])
def test_rows_of_an_overview_are_those_of_the_whole(
    slide: OpenedSlide, monkeypatch: pytest.MonkeyPatch, block_px: int
) -> None:
    whole = overview.shrink_slide(slide, (211, 157))
    monkeypatch.setattr(overview, "BLOCK_PX", block_px)
    for first, stop in ((0, 157), (13, 14), (140, 157)):
        rows = overview.shrink_rows(slide, (211, 157), first, stop)
        np.testing.assert_array_equal(rows, whole[first:stop])


def test_a_slide_without_the_classes_is_empty_and_says_so(folder: Path, slide: OpenedSlide) -> None:
    write_segmenter(folder, MODULE, ("green < dark, 2", "green < 0, 2"))
    _, reason, _ = locate_tissue(slide, TilingConfig(tissue=TISSUE, mask_classes=("dark",)))
    assert reason == f"no tissue: segmenter plugin {TISSUE!r} finds none of class dark"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("return np.where", "return 1 / 0 or np.where", r"segment\(\) failed with ZeroDivision"),
        ("green < dark, 2", "green < dark, 7", r"returns classes 0 to 7, and spec\(\) states 3"),
        (
            "green < glass, 1, 0))",
            "green < glass, 1, 0))[:, 1:]",
            r"returns the shape \(\d, 63, 64",
        ),
        ("green < glass, 1, 0))", "green < glass, 1, 0)) / 1", "returns float64; return a numpy"),
        ("return np.where", "pixels[:] = 0; return np.where", "ValueError.*read-only"),
        ("green = pixels", "import not_there; green = pixels", "needs the module 'not_there'"),
    ],
)
def test_a_slide_that_it_fails_on_is_an_answer(
    folder: Path, slide: OpenedSlide, old: str, new: str, told: str
) -> None:
    write_segmenter(folder, MODULE, (old, new))
    with pytest.raises(SlideError, match=rf"slide 'D1': segmenter plugin '{TISSUE}'.*{told}"):
        locate_tissue(slide, TilingConfig(tissue=TISSUE))


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("mpp=4.0", "mpp='fine'", r"in its SegmenterSpec mpp must be a number above 0, not 'fine'"),
        ('licence="mit", ', "", "licence is missing"),
        ('tissue=("tissue", "dark")', 'tissue=("stroma",)', "'stroma' as tissue, which is none of"),
        ('("glass", "tissue", "dark")', '("glass", "glass", "tissue", "dark")', "a class twice"),
        ("margin_px=8", "margin_px=32", "leaves nothing"),
        ("def load(", "def fetch(", r"a ByGreen without the method load\(\)"),
        ("return ByGreen()", "return None", r"makes None without the method spec\(\)"),
        (
            "self.limits = (90",
            "self.limits = 1 / 0, (90",
            r"load\('cpu'\) failed with ZeroDivision",
        ),
    ],
)
def test_a_segmenter_that_is_none_is_refused_by_name(
    folder: Path, old: str, new: str, told: str
) -> None:
    write_segmenter(folder, MODULE, (old, new))
    with pytest.raises(ConfigError, match=rf"segmenter plugin '{TISSUE}'.*{told}"):
        load_segmenter(TISSUE)


@pytest.mark.parametrize(
    ("tissue", "classes", "told"),
    [
        ("otzu", (), "must be otsu, none, .*a segmenter as MODULE:OBJECT.*did you mean otsu?"),
        ("masks/x.png", (), "a path of mask files with {slide_id} in it"),
        ("masks/{slide_id}.gif", (), "ends in .png, .tif"),
        ("not_there:make", (), "there is no module 'not_there' here"),
        (TISSUE, ("pens",), "has the classes glass, tissue or dark"),
        (TISSUE, ("darc",), "did you mean dark?"),
        ("otsu", ("dark",), "or a segmenter, or leave --mask-classes out"),
        (f"{TISSUE}#000000000000", (), "with other weights, classes or settings"),
    ],
)
def test_what_no_tissue_is_found_by_is_refused(
    folder: Path, tissue: str, classes: tuple[str, ...], told: str
) -> None:
    write_segmenter(folder, MODULE)
    with pytest.raises(ConfigError, match=told.replace("?", r"\?").replace("{", r"\{")):
        check_tissue(tissue, classes)


def test_settings_of_otsu_are_not_passed_over_in_silence(folder: Path) -> None:
    write_segmenter(folder, MODULE)
    config = ExtractConfig(
        manifest="m.csv", store="s", encoder=("e",), tissue=TISSUE, min_area_um2=1e9
    )
    with pytest.raises(ConfigError, match=r"--min-area-um2 1e\+09 is a setting of --tissue otsu"):
        settle_tissue(config)


def test_a_tiling_is_named_by_all_that_the_segmenter_states(folder: Path) -> None:
    names = set()
    for change in ((), ("mpp=4.0", "mpp=5.0"), ('"mit"', '"gpl"'), ('"r1"', '"r2"')):
        write_segmenter(folder, MODULE, *([change] if change else []))
        sys.modules.pop(MODULE, None)
        tiling = TilingConfig(tissue=check_tissue(TISSUE))
        names.add(tiling.fingerprint())
        coarser = tiling.model_copy(update={"mask_mpp": 32.0, "close_um": 0.0})
        assert coarser.fingerprint() == tiling.fingerprint()
        chosen = tiling.model_copy(update={"mask_classes": ("dark",)})
        assert chosen.fingerprint() != tiling.fingerprint()
    assert len(names) == 4
    assert TilingConfig(tissue="otsu").fingerprint() not in names
    with pytest.raises(ValueError, match="not settled"):
        TilingConfig(tissue=TISSUE).fingerprint()


def test_an_extraction_takes_its_tiles_and_receipts_say_by_what(
    folder: Path, make_config: MakeConfig, cohort: Any
) -> None:
    write_segmenter_package(folder / "site", "green", "installed_green")
    sys.path.append(str(folder / "site"))
    config = make_config(
        folder / "store", manifest=str(cohort.good), tissue="green", address="none",
        mask_classes=("tissue",),
    )  # fmt: skip
    run = extract(config)
    assert set(run.outcomes.outcome) == {"done"}
    store = open_store(config.store)
    key = min(store.list_keys())
    receipt = store.read_receipt(key)
    facts = receipt.tiling.segmenter
    assert facts is not None
    assert facts.plugin == "installed_green:make_segmenter of installed_green 2.0"
    assert (facts.licence, facts.revision, facts.mpp, facts.taken) == (
        "mit",
        "r1",
        4.0,
        ("tissue",),
    )
    assert len(facts.weights_sha256) == 64
    assert receipt.tiling.tissue_method.startswith("green#")
    assert receipt.format_version == FORMAT_VERSION == 4
    assert set(extract(config).outcomes.outcome) == {"skipped"}
    with open_slide(str(cohort.folder / "good-a.svs")) as slide:
        given: dict[str, Any] = {"tissue": "green", "mask_classes": ("tissue",)}
        batches = read_tiles(slide, tile_px=config.tile_px, **given)
        coords = np.concatenate([batch.coords for batch in batches])
    np.testing.assert_array_equal(store.bag("good-a", key.encoder).coords, coords)


def test_pictures_outline_what_counts(
    folder: Path, make_config: MakeConfig, slide: OpenedSlide
) -> None:
    write_segmenter(folder, MODULE)
    config = make_config(
        folder / "store", tissue=check_tissue(TISSUE), mask_classes=("dark",), mpp=1.0
    )
    drawn = Slide("D1", str(folder / "drawn.png"), "P1", mpp=1.0)
    assert draw_or_problem(drawn, config, str(folder)) == ""
    page = cv2.imread(str(folder / "D1.png"))
    assert page is not None
    outlined = (page[..., ::-1] == OUTLINE).all(-1)
    across = np.flatnonzero(outlined[:-60].any(0))  # not in the legend
    assert len(across)
    assert across.min() > 0.85 * page.shape[1]  # the bar at the right, not the disc


@pytest.mark.slow
def test_a_plan_finds_tissue_in_processes_of_its_own(
    folder: Path, make_config: MakeConfig, cohort: Any
) -> None:
    write_segmenter(folder, MODULE)
    config = make_config(folder / "store", manifest=str(cohort.good), tissue=TISSUE, address="none")
    planned = plan(config, pictures=folder / "pictures")
    assert len(list((folder / "pictures").glob("*.png"))) == 3
    found = extract(config).outcomes.set_index("slide_id").n_tiles
    assert planned.slides.set_index("slide_id").n_tiles.to_dict() == found.to_dict()


def test_a_segmenter_that_fails_on_one_slide_lets_the_others_go_on(
    folder: Path, make_config: MakeConfig, cohort: Any
) -> None:
    write_segmenter(folder, MODULE, ("dark, glass =", "assert len(pixels) < 3; dark, glass ="))
    config = make_config(folder / "store", manifest=str(cohort.good), tissue=TISSUE, address="none")
    found = extract(config).outcomes.set_index("slide_id")
    failed = found[found.outcome == "failed"]
    assert list(failed.index) == ["good-a"]
    assert failed.reason.str.contains(r"segment\(\) failed with AssertionError").all()
    assert (found.drop("good-a").outcome == "done").all()
