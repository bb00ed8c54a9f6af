"""The recipe `docs/extend/slide-reader.md`, followed to the letter."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from histo_ray.cli import main
from histo_ray.errors import SlideError
from histo_ray.slides import registry
from histo_ray.slides.reader import open_slide
from histo_ray.slides.registry import ReaderEntry
from histo_ray.store.store import open_store
from tests.extend_pages import code_blocks
from tests.slides.reader_contract import Pixels, Sample, SlideReaderContract

PROGRAM = [sys.executable, "-m", "histo_ray"]


def follow_page(folder: Path) -> ReaderEntry:
    """Write the page's module into a folder of modules; the page's entry, of that module."""
    module, line = code_blocks("slide-reader.md")
    assert module.splitlines()[0] == "# histo_ray/slides/npy_reader.py"
    (folder / "npy_reader.py").write_text(module, encoding="utf-8")
    (entry,) = eval(line, {"ReaderEntry": ReaderEntry})
    assert entry.module == "histo_ray.slides.npy_reader"
    here: ReaderEntry = entry._replace(module="npy_reader")
    return here


@pytest.fixture
def entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ReaderEntry:
    """The page's reader, registered in this process."""
    entry = follow_page(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(registry, "READERS", (*registry.READERS, entry))
    return entry


class TestReaderOfThePage(SlideReaderContract):
    """The contract of readers."""

    @pytest.fixture
    def sample(self, entry: ReaderEntry, tmp_path: Path, gradient: Pixels) -> Sample:
        np.save(tmp_path / "array.npy", gradient)
        return Sample(entry.name, tmp_path / "array.npy", gradient)


def test_bad_arrays_are_refused_in_one_line(entry: ReaderEntry, tmp_path: Path) -> None:
    np.save(tmp_path / "deep.npy", np.zeros((4, 5, 3), np.uint16))
    (tmp_path / "cut.npy").write_bytes((tmp_path / "deep.npy").read_bytes()[:40])
    for asked in ("auto", entry.name):
        with pytest.raises(SlideError, match=r"deep\.npy: uint16 of shape \(4, 5, 3\), and the"):
            open_slide(str(tmp_path / "deep.npy"), mpp=0.5, reader=asked)
        with pytest.raises(SlideError, match=r"cut\.npy is no NumPy array"):
            open_slide(str(tmp_path / "cut.npy"), mpp=0.5, reader=asked)


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a manifest of one array, where every Python process knows the reader."""
    entry = follow_page(tmp_path)
    (tmp_path / "sitecustomize.py").write_text(
        "from histo_ray.slides import registry\n"
        f"registry.READERS += (registry.ReaderEntry{tuple(entry)!r},)\n",
        encoding="utf-8",
    )
    paths = [str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    rng = np.random.default_rng(0)
    pixels = np.full((300, 500, 3), 243, np.uint8)
    pixels[60:240, 100:400] = rng.integers((160, 60, 120), (230, 120, 190), (180, 300, 3))
    np.save(tmp_path / "S1.npy", pixels)
    with (tmp_path / "slides.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([("slide_id", "path", "mpp"), ("S1", "S1.npy", "0.5")])
    return tmp_path


SETTINGS = [
    *("--manifest", "slides.csv", "--store", "store", "--tile-px", "64", "--min-area-um2", "100"),
    *("--encoder", "random:resnet10t?seed=0&px=64", "--device", "cpu", "--encoder-threads", "1"),
]


def run(folder: Path, verb: str, *flags: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, verb, *SETTINGS, *flags], cwd=folder, capture_output=True, text=True
    )


def test_a_plan_reads_slides_with_it_and_help_lists_it(program: Path) -> None:
    told = subprocess.run([*PROGRAM, "plan", "--help"], capture_output=True, text=True).stdout
    assert "{auto,npy,direct,openslide,image}" in told
    done = run(program, "plan", "--json", "--slide-reader", "npy")
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)["rows"]
    assert (row["status"], row["width"], row["height"]) == ("todo", 500, 300)
    assert row["n_tiles"] > 0


def test_an_extraction_names_it_in_the_receipt(
    entry: ReaderEntry, program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(program)
    assert main(["extract", *SETTINGS, "--address", "none", "--slide-reader", entry.name]) == 0
    store = open_store("store")
    (key,) = store.list_keys()
    receipt = store.read_receipt(key)
    assert (receipt.slide.reader, receipt.slide.mpp_source) == ("npy", "manifest")
    assert receipt.tile_count > 0
