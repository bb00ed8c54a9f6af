"""Every registered reader against the contract of readers."""

from pathlib import Path

import pytest

from histo_ray.errors import ConfigError
from histo_ray.slides.reader import open_slide
from histo_ray.slides.registry import READERS, reader_names
from tests.slides.reader_contract import Pixels, Sample, SlideReaderContract
from tests.slides.reader_samples import SAMPLES


class TestEveryReader(SlideReaderContract):
    """The readers of the package."""

    @pytest.fixture(params=list(SAMPLES))
    def sample(self, request: pytest.FixtureRequest, tmp_path: Path, gradient: Pixels) -> Sample:
        reader, write = SAMPLES[request.param]
        return Sample(reader, *write(tmp_path, gradient))


def test_every_registered_reader_has_a_sample() -> None:
    assert {reader for reader, _ in SAMPLES.values()} == {entry.name for entry in READERS}


def test_auto_comes_first_and_then_readers_by_priority() -> None:
    assert reader_names() == ("auto", "direct", "openslide", "image")


def test_an_unknown_name_is_refused_with_those_like_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"'dirct': must be auto, .*; did you mean direct"):
        open_slide(str(tmp_path / "a.svs"), reader="dirct")
