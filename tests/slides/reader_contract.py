"""What callers rely on, whichever reader serves a slide: `SlideReaderContract` is inherited."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from histo_ray.slides.reader import OpenedSlide, open_slide
from histo_ray.slides.reader_choice import load_reader
from histo_ray.slides.registry import find_reader, reader_names
from histo_ray.slides.slide_file import SlideFile

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Sample:
    """A slide and what it shows."""

    reader: str
    """Name of the reader that serves it."""
    path: Path
    pixels: Pixels
    """(height, width, 3) of level 0, not square."""

    def open(self, reader: str = "auto") -> OpenedSlide:
        """Open it."""
        return open_slide(str(self.path), mpp=0.5, reader=reader)


class SlideReaderContract:
    """A subclass has a fixture `sample`."""

    def test_it_is_chosen_by_itself_and_by_its_name(self, sample: Sample) -> None:
        assert sample.reader in reader_names()
        with SlideFile(str(sample.path), str(sample.path), "S1") as file:
            assert load_reader(find_reader(sample.reader)).detect(file) is True
        for asked in ("auto", sample.reader):
            with sample.open(asked) as slide:
                assert slide.reader == sample.reader

    def test_a_region_is_rgb_at_its_level0_corner(self, sample: Sample) -> None:
        height, width = sample.pixels.shape[:2]
        assert height != width
        with sample.open() as slide:
            assert slide.size == (width, height)
            for x, y in ((0, 0), (333, 57), (width - 60, height - 40)):
                region = slide.read((x, y), 0, (60, 40))
                assert region.shape == (40, 60, 3)
                assert region.dtype == np.uint8
                np.testing.assert_array_equal(region, sample.pixels[y : y + 40, x : x + 60])

    def test_what_lies_beyond_the_slide_is_background(self, sample: Sample) -> None:
        height, width = sample.pixels.shape[:2]
        with sample.open() as slide:
            ground = list(slide.background)
            far = slide.read((width - 10, height - 10), 0, (30, 20))
            np.testing.assert_array_equal(far[:10, :10], sample.pixels[-10:, -10:])
            assert far[10:].reshape(-1, 3).tolist() == [ground] * 300
            near = slide.read((-10, -5), 0, (30, 20))
            np.testing.assert_array_equal(near[5:, 10:], sample.pixels[:15, :20])
            assert near[0, 0].tolist() == ground
            for corner in ((width + 5000, height + 5000), (-500, -500)):
                assert (slide.read(corner, 0, (7, 3)) == ground).all()

    def test_it_reads_into_memory_that_is_there(self, sample: Sample) -> None:
        with sample.open() as slide:
            corner = (slide.size[0] - 40, slide.size[1] - 20)
            batch = np.full((3, 33, 55, 3), 7, np.uint8)
            slide.read_into(batch[1], corner, 0)
            np.testing.assert_array_equal(batch[1], slide.read(corner, 0, (55, 33)))
            assert (batch[[0, 2]] == 7).all()
            with pytest.raises(IndexError):
                slide.read_into(batch[1], (0, 0), 9)

    def test_every_level_is_read_whole_and_no_other_is_there(self, sample: Sample) -> None:
        with sample.open() as slide:
            widths = [width for width, _ in slide.level_sizes]
            assert widths == sorted(widths, reverse=True)
            for level, (width, height) in enumerate(slide.level_sizes):
                assert slide.read((0, 0), level, (width, height)).shape == (height, width, 3)
            for level in (-1, len(widths)):
                with pytest.raises(IndexError):
                    slide.read((0, 0), level, (10, 10))

    def test_threads_share_an_open_slide(self, sample: Sample) -> None:
        height, width = sample.pixels.shape[:2]
        places = [(x, y) for y in range(0, height - 30, 40) for x in range(0, width - 50, 60)]
        with sample.open() as slide, ThreadPoolExecutor(4) as pool:
            regions = pool.map(lambda corner: slide.read(corner, 0, (50, 30)), places)
            for (x, y), region in zip(places, regions, strict=True):
                np.testing.assert_array_equal(region, sample.pixels[y : y + 30, x : x + 50])

    def test_the_thumbnail_is_the_area_average(self, sample: Sample) -> None:
        with sample.open() as slide:
            width, height = slide.size
            from_level_0 = all(2 * reduced < width // 2 for reduced, _ in slide.level_sizes[1:])
            thumbnail = slide.thumbnail(width // 2)
        assert thumbnail.shape == (round(height * (width // 2) / width), width // 2, 3)
        if from_level_0 and width % 2 == height % 2 == 0:
            means = sample.pixels.reshape(height // 2, 2, width // 2, 2, 3).mean((1, 3))
            assert np.abs(thumbnail - means).max() <= 0.51
        assert np.abs(thumbnail.mean((0, 1)) - sample.pixels.mean((0, 1))).max() < 2

    def test_the_manifest_overrides_and_the_id_defaults_to_the_name(self, sample: Sample) -> None:
        with open_slide(str(sample.path), mpp=0.7, fallback_mpp=0.1) as slide:
            assert slide.mpp == (0.7, 0.7)
            assert slide.mpp_source == "manifest"
            assert slide.slide_id == sample.path.stem
            assert len(slide.fingerprint) == 64
            assert slide.vendor
