"""The bad inputs of docs/reliability.md: one line and exit code 2, or one slide's fate."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from histo_ray.cli import main
from histo_ray.cluster.actors import Reader
from histo_ray.cluster.call_values import SlideFailure
from histo_ray.config import ExtractConfig
from histo_ray.types import Slide
from testing import bad_inputs
from testing.bad_inputs import SLIDES, BadSlide


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Current folder of all tests here."""
    before, place = Path.cwd(), tmp_path_factory.mktemp("bad")
    os.chdir(place)
    yield place
    os.chdir(before)


def test_bad_input_is_one_line_and_the_exit_code_says_so(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    commands = bad_inputs.list_commands()
    for bad in commands:
        code = main(bad.arguments)
        lines = capsys.readouterr().err.splitlines()
        told = [line for line in lines if line.startswith("histo-ray ")]
        assert code == bad.code, bad.what
        assert len(told) == 1, (bad.what, lines)
        assert re.search(bad.message, told[0]), (bad.what, told)
    assert not Path("ran").exists(), "a pickle was run"
    assert sorted(path.name for path in Path("store").iterdir()) == ["store.json"]
    assert len(commands) + len(SLIDES) >= 24


LONG = "a GeoJSON mask whose outlines take hours to draw"  # and most of a minute to be refused


@pytest.mark.parametrize(
    "slide",
    [
        pytest.param(slide, id=slide.what, marks=[pytest.mark.slow] * (slide.what == LONG))
        for slide in SLIDES
    ],
)
def test_a_bad_slide_fails_alone_with_its_reason(folder: Path, slide: BadSlide) -> None:
    path = bad_inputs.write_slide(slide)
    tissue = str(Path(slide.mask).absolute()).replace(Path(slide.mask).stem, "{slide_id}")
    config = ExtractConfig(
        manifest="m", store="s", encoder=("e",), tile_px=64, mpp=0.5,
        tissue=tissue if slide.mask else "otsu",
    )  # fmt: skip
    named = Slide(Path(slide.name).stem, str(Path(path).absolute()), "P1", mpp=0.5)
    plan, (answer, _) = Reader(config).plan(named)
    assert plan is None
    assert isinstance(answer, SlideFailure)
    assert re.search(slide.message, answer.problem)
    assert "\n" not in answer.problem
