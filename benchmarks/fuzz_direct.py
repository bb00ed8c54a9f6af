"""Damaged slides, without end, in the direct reader alone and as a run opens them.

`python -m benchmarks.fuzz_direct --minutes 10`. Inputs are TIFFs of every kind that the direct
reader takes, plain ones, and slides of makers' formats, whose pixels are compared with
OpenSlide's, with one to four faults each: hostile numbers in tags, directories that point at
themselves, broken JPEG headers, missing ends. Each is opened in a child under limits on CPU time,
address space and memory. JSON to stdout; faulty inputs are kept in `--keep`.
"""

import argparse
import itertools
import json
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from histo_ray.slides.plain_image import MAX_PIXELS
from testing import fuzz
from testing.dicom_slides import write_dicom
from testing.file_damage import damage
from testing.jpeg_slides import KINDS, texture, write_jpeg_slide
from testing.maker_slides import YCBCR, write_bif, write_philips, write_scn
from testing.ndpi_slides import write_ndpi

TARGETS = {
    "direct alone": fuzz.read_alone,
    "auto": fuzz.read_by_auto,
    "makers' formats": fuzz.read_alike,
}
MOST_BYTES = {"direct alone": 256 * 2**20, "auto": 8 * MAX_PIXELS, "makers' formats": 3 * 2**30}
"""By which one input may raise a process's memory: the cache of tiles and some more; a plain image
of the largest size that is decoded; what OpenSlide takes to open an NDPI of a made-up size."""


def main() -> None:
    """Fuzz each target for half of the time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--inputs", type=int, help="so many for each target, in place of minutes")
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    parser.add_argument("--keep", type=Path, help="folder for inputs that are faults")
    args = parser.parse_args()
    share = args.minutes * 60 / len(TARGETS)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        originals = {
            "direct alone": write_slides(folder),
            "auto": [*write_slides(folder), *write_plain(folder)],
            "makers' formats": write_makers(folder),
        }
        found = {}
        for what, target in TARGETS.items():
            numbers = until(time.monotonic() + share, args.first)
            if args.inputs:
                numbers = iter(range(args.first, args.first + args.inputs))
            outcomes = list(fuzz.fuzz(originals[what], numbers, target, folder))
            found[what] = describe(outcomes, MOST_BYTES[what])
            if args.keep:
                faults = [x for x in outcomes if x.is_fault(MOST_BYTES[what])]
                keep(args.keep / what.replace(" ", "-"), faults, originals[what])
    print(json.dumps(found, indent=1))


def until(end: float, first: int) -> Iterator[int]:
    """Numbers as long as there is time."""
    return itertools.takewhile(lambda _: time.monotonic() < end, itertools.count(first))


def write_slides(folder: Path) -> list[bytes]:
    """Small slides of every kind that the direct reader takes."""
    made = []
    for kind in KINDS.values():
        factors = tuple(factor for factor in kind.factors if factor < 4)
        small = replace(kind, size=(301, 203), tile=(96, 96), factors=factors)
        made.append(write_jpeg_slide(folder / "whole.svs", small).read_bytes())
    return made


def write_makers(folder: Path) -> list[bytes]:
    """A slide of each maker's format; read by OpenSlide, too, and to the same pixels."""
    kind = replace(YCBCR, tile=(64, 64))
    one = [((150, 101), (200, 156))]
    made = [
        write_scn(folder / "a.scn", one, kind=kind),
        write_philips(folder / "a.tiff", (301, 203), kind=kind, factors=(1, 2), missing=[(0, 3)]),
        write_bif(folder / "a.bif", [((1, 0), (2, 3), (64, 32))], kind=kind, factors=(1, 2)),
        write_ndpi(folder / "a.ndpi", ((256, 128), (64, 32)), kind=kind, interval_px=128),
        write_dicom(folder / "full", (301, 203), kind=kind, factors=(1,)),
        write_dicom(folder / "sparse", (301, 203), kind=kind, factors=(1,), full=False,
                    missing=[(0, 3)], undefined=True),
    ]  # fmt: skip
    return [path.read_bytes() for path in made]


def write_plain(folder: Path) -> list[bytes]:
    """Plain TIFFs: strips and odd tiles, of several compressions."""
    image, path = texture(150, 110), folder / "plain.tif"
    options: list[dict[str, Any]] = [
        {"rowsperstrip": 16},
        {"rowsperstrip": 16, "compression": "deflate"},
        {"rowsperstrip": 32, "compression": "lzw", "predictor": True},
        {"compression": "zstd"},
        {"compression": "packbits", "byteorder": ">"},
        {"rowsperstrip": 32, "compression": "jpeg"},
        {"tile": (48, 80), "compression": "lzma", "bigtiff": True},
        {"planarconfig": "separate", "compression": "deflate"},
    ]
    made = []
    for option in options:
        stored = image
        if option.get("planarconfig"):
            stored = np.ascontiguousarray(np.moveaxis(image, -1, 0))
        tifffile.imwrite(path, stored, photometric="rgb", **option)
        made.append(path.read_bytes())
    return made


def describe(outcomes: list[fuzz.Outcome], most_bytes: int) -> dict[str, Any]:
    """Figures of one target."""
    return {
        "inputs": len(outcomes),
        "outcomes": fuzz.count_words(outcomes),
        "most CPU s": round(max(outcome.cpu_s for outcome in outcomes), 2),
        "most memory MiB": round(max(outcome.rise_bytes for outcome in outcomes) / 2**20),
        "faults": [outcome.number for outcome in outcomes if outcome.is_fault(most_bytes)][:200],
    }


def keep(folder: Path, faults: list[fuzz.Outcome], originals: list[bytes]) -> None:
    """Write the inputs that are faults."""
    folder.mkdir(parents=True, exist_ok=True)
    for fault in faults:
        data = damage(originals[fault.number % len(originals)], fault.number)
        (folder / f"{fault.number}-{fault.word.replace(': ', '-')}.tif").write_bytes(data)


if __name__ == "__main__":
    main()
