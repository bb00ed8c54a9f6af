"""What the program relies on, whichever segmenter finds tissue: inherit `SegmenterContract`."""

import numpy as np
import pytest

from histo_ray.slides.reader import OpenedSlide
from histo_ray.tiles.segment_slide import segment_slide
from histo_ray.tiles.segmenters import Segmenter, check_tissue, load_segmenter


class SegmenterContract:
    """A subclass has a fixture `tissue` (what `--tissue` names) and one `slide` (opened)."""

    @pytest.fixture
    def segmenter(self, tissue: str) -> Segmenter:
        """The loaded segmenter."""
        load_segmenter.cache_clear()
        return load_segmenter(tissue)

    def test_it_is_pinned_to_the_same_digest_again(self, tissue: str) -> None:
        settled = check_tissue(tissue)
        name, mark, digest = settled.partition("#")
        assert (name, mark, len(digest)) == (tissue, "#", 12)
        assert check_tissue(settled) == settled

    def test_each_picture_is_segmented_by_itself(self, segmenter: Segmenter) -> None:
        edge = segmenter.spec.input_px or 96
        pixels = np.random.default_rng(0).integers(0, 256, (3, edge, edge, 3)).astype(np.uint8)
        labels = segmenter.segment(pixels, "S1")
        assert labels.shape == (3, edge, edge)
        assert labels.dtype == np.uint8
        np.testing.assert_array_equal(segmenter.segment(pixels[1:2], "S1")[0], labels[1])

    def test_its_mask_covers_the_slide(self, segmenter: Segmenter, slide: OpenedSlide) -> None:
        mask, reason = segment_slide(slide, segmenter, ())
        covered = np.array(mask.pixels.shape[::-1]) * mask.downsample
        assert (covered >= np.array(slide.size) - 1e-6).all()
        assert bool(reason) == (not mask.pixels.any())

    def test_all_its_classes_together_are_the_whole_slide(
        self, segmenter: Segmenter, slide: OpenedSlide
    ) -> None:
        mask, _ = segment_slide(slide, segmenter, segmenter.spec.classes)
        assert mask.pixels.all()
