import csv
import hashlib
from pathlib import Path

import numpy as np
import openslide
import pytest

from histo_ray.synth.cohort import COLUMNS, write_demo_cohort

GOOD = ("SYN-0001-A", "SYN-0001-B", "SYN-0002-A", "SYN-0003-A", "SYN-0004-A")


def overview(path: Path) -> np.ndarray:
    with openslide.OpenSlide(path) as slide:
        size = slide.level_dimensions[1]
        return np.asarray(slide.read_region((0, 0), 1, size).convert("RGB")).astype(float)


def test_the_manifest_lists_every_slide_and_calls_it_synthetic(cohort: Path) -> None:
    with cohort.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert tuple(rows[0]) == COLUMNS
    assert [row["slide_id"] for row in rows] == [*GOOD, "SYN-0005-A", "SYN-0006-A"]
    assert all((cohort.parent / row["path"]).is_file() for row in rows)
    assert {row["synthetic"] for row in rows} == {"true"}
    assert [row["patient_id"] for row in rows][:2] == ["SYN-0001", "SYN-0001"]
    assert {row["look"] for row in rows} >= {"glandular", "solid", "inflamed"}


def test_both_resolutions_are_present_and_extents_agree(cohort: Path) -> None:
    found = {}
    for slide_id in GOOD:
        with openslide.OpenSlide(cohort.parent / f"{slide_id}.svs") as slide:
            mpp = float(slide.properties["openslide.mpp-x"])
            found[slide_id] = mpp
            assert slide.dimensions == (880 / mpp, 660 / mpp)
    assert set(found.values()) == {0.25, 0.5}


@pytest.mark.parametrize("slide_id", GOOD)
def test_a_good_slide_holds_about_twenty_tiles_of_tissue(cohort: Path, slide_id: str) -> None:
    image = overview(cohort.parent / f"{slide_id}.svs")
    tissue = (image.max(2) - image.min(2) > 18).mean()
    assert 0.2 < tissue < 0.7
    assert 8 < tissue * 880 * 660 / 112**2 < 35


def test_the_empty_slide_is_almost_white(cohort: Path) -> None:
    image = overview(cohort.parent / "SYN-0006-A.svs")
    assert np.median(image) > 238
    assert (image.min(2) < 225).mean() < 0.005


def test_the_truncated_slide_cannot_be_opened(cohort: Path) -> None:
    with pytest.raises(openslide.OpenSlideError):
        openslide.OpenSlide(cohort.parent / "SYN-0005-A.svs")


def test_the_same_seed_gives_the_same_bytes(cohort: Path, tmp_path: Path) -> None:
    again = write_demo_cohort(tmp_path, seed=3, size="small")
    for path in sorted(cohort.parent.iterdir()):
        twin = again.parent / path.name
        assert _sha256(path) == _sha256(twin), path.name


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
