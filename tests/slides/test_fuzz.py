"""Damaged slides by the hundred: `python -m benchmarks.fuzz_direct` runs the same without end."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histo_ray.errors import SlideError
from histo_ray.slides.direct.layout import UnrecognisedError
from testing.file_damage import damage
from testing.fuzz import read_alone
from testing.jpeg_slides import Kind, write_jpeg_slide

ROOT = Path(__file__).parents[2]
SMALL = {"size": (301, 203), "tile": (96, 96), "factors": (1, 2)}
FUZZED = [
    Kind(shared_tables=True, **SMALL),  # type: ignore[arg-type]
    Kind(rgb=False, subsampling=(2, 2), aperio=False, big=True, **SMALL),  # type: ignore[arg-type]
    Kind(aperio=False, byteorder=">", **SMALL),  # type: ignore[arg-type]
]


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    folder = tmp_path_factory.mktemp("whole")
    return [write_jpeg_slide(folder / "a.svs", kind).read_bytes() for kind in FUZZED]


def test_the_direct_reader_reads_or_refuses_whatever_the_header_says(
    originals: list[bytes], tmp_path: Path
) -> None:
    seen: Counter[str] = Counter()

    @settings(max_examples=600, derandomize=True, database=None)
    @given(st.sampled_from(originals), st.integers(0, 2**32))
    def read(original: bytes, number: int) -> None:
        path = tmp_path / "hurt.svs"
        path.write_bytes(damage(original, number))
        try:
            read_alone(path)
            seen["read"] += 1
        except (SlideError, UnrecognisedError):
            seen["refused"] += 1

    read()
    assert min(seen["read"], seen["refused"]) > 50  # damage that hurts, and is not always fatal


def test_damage_is_the_same_for_the_same_number(originals: list[bytes]) -> None:
    for original in originals:
        hurt = [damage(original, number) for number in range(20)]
        assert hurt == [damage(original, number) for number in range(20)]
        assert len(set(hurt)) == 20
        assert original not in hurt


def test_no_damaged_slide_ends_a_process_or_takes_time_or_memory_without_end() -> None:
    answer = subprocess.run(
        [sys.executable, "-m", "benchmarks.fuzz_direct", "--inputs", "400"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = json.loads(answer.stdout)
    assert found.keys() == {"direct alone", "auto", "makers' formats"}
    for figures in found.values():
        assert figures["inputs"] == 400
        assert figures["faults"] == []
        assert figures["outcomes"].keys() == {"read", "refused"}


def test_a_tile_larger_than_its_file_is_not_given_to_openslide(
    originals: list[bytes], tmp_path: Path
) -> None:
    import tifffile

    from histo_ray.slides.reader import open_slide

    path = tmp_path / "a.svs"
    path.write_bytes(originals[0])
    with tifffile.TiffFile(path) as tiff:
        entry = tiff.pages.first.tags["TileByteCounts"].offset
    hurt = bytearray(originals[0])
    hurt[entry + 2] = 16  # numbers of 8 bytes: each count is two of the old ones
    path.write_bytes(hurt)
    for reader in ("auto", "direct"):
        with pytest.raises(
            SlideError, match=r"damaged: a tile of \d+ bytes in a file of \d+; copy"
        ):
            open_slide(str(path), mpp=0.5, reader=reader)


@pytest.mark.parametrize("tag", ["TileWidth", "TileLength"])
def test_tiles_that_fit_into_no_memory_are_refused_before_openslide_reads_them(
    originals: list[bytes], tmp_path: Path, tag: str
) -> None:
    import tifffile

    from histo_ray.slides.reader import open_slide

    path = tmp_path / "a.svs"
    path.write_bytes(originals[0])
    with tifffile.TiffFile(path, mode="r+") as tiff:
        tiff.pages.first.tags[tag].overwrite(2**31 - 1, dtype=4)
    for reader in ("auto", "direct", "openslide"):
        with pytest.raises(SlideError, match=r"2147483647.* px, more than memory can hold"):
            open_slide(str(path), mpp=0.5, reader=reader)
