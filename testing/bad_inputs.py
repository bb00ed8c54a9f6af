"""Bad inputs, and the pattern of what the program says to each in one line.

`list_commands` gives commands that end with exit code 2 before anything starts; `SLIDES` are slides
of one manifest, each of which fails alone (exit code 1).
"""

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from testing import bad_files
from testing.jpeg_slides import write_jpeg_slide

RANDOM = "random:resnet10t?seed=0&px=64"
EXTRACT = ["extract", "--manifest", "slides.csv", "--store", "store", "--encoder"]
FINETUNE = ["finetune", "--tiles", "tiles", "--store", "store", "--encoder"]
READS_ALL = [*EXTRACT, RANDOM, "--tile-px", "64", "--json"]


class Bad(NamedTuple):
    """One bad input."""

    what: str
    arguments: list[str]
    message: str
    """Pattern of the line that is printed."""
    code: int = 2


class BadSlide(NamedTuple):
    """One slide that cannot be used."""

    what: str
    name: str
    """Name of its file."""
    write: Callable[[Path], None]
    message: str
    """Pattern of the reason."""
    mask: str = ""
    """Pattern of masks that it is read with."""


def manifest(text: str, name: str = "bad.csv") -> list[str]:
    """Arguments of an extraction whose manifest is `text`."""
    Path(name).write_text(text, encoding="utf-8")
    return ["extract", "--manifest", name, "--store", "store", "--encoder", RANDOM]


def list_commands() -> list[Bad]:
    """Make the inputs in the current folder."""
    _make_common()
    return [
        Bad("a slide_id that climbs out of the store",
            manifest("slide_id,path\n../../evil,a.svs\n"), "slide_id '../../evil' is not safe"),
        Bad("a slide_id that is an absolute path",
            manifest("slide_id,path\n/etc/passwd,a.svs\n", "b.csv"), "'/etc/passwd' is not safe"),
        Bad("ids that differ in case only",
            manifest("slide_id,path\nS1,a.svs\ns1,a.svs\n", "c.csv"), "only in case from 'S1'"),
        Bad("a slide at a web address",
            manifest("slide_id,path\nS1,http://169.254.169.254/latest\n", "d.csv"),
            "http:// is not supported; give a local path"),
        Bad("a slide that is a named pipe",
            manifest("slide_id,path\nS1,pipe\n", "e.csv"), "a pipe or a device, not a file"),
        Bad("a manifest that is a named pipe",
            ["extract", "--manifest", "pipe", "--store", "store", "--encoder", RANDOM],
            "not a regular file"),
        Bad("a Parquet manifest cut in the middle",
            ["extract", "--manifest", "cut.parquet", "--store", "store", "--encoder", RANDOM],
            "not readable as Parquet"),
        Bad("an encoder name that climbs out of the store's models",
            [*EXTRACT, "../../evil"], "neither in an encoder table nor in timm"),
        Bad("a hub repository that is a path",
            [*EXTRACT, "hf-hub:../../etc/passwd"], "a hub repository is named ORG/NAME"),
        Bad("a key that would make timm load a file",
            [*EXTRACT, "resnet10t?checkpoint_path=/tmp/x"], "there is no key 'checkpoint_path'"),
        Bad("the same in a table of encoders",
            [*FINETUNE, "mine", "--encoder-table", "table.toml", "--name", "new"],
            "argument 'checkpoint_path' makes timm load"),
        Bad("weights that run code when they are unpickled",
            [*FINETUNE, "evil.pth?arch=resnet10t&px=64", "--name", "new"],
            "is refused, because a pickle"),
        Bad("a name for a new encoder that climbs out of the store",
            [*FINETUNE, RANDOM, "--name", "../../evil"], "--name ../../evil: must be a name"),
        Bad("a labelled tile that is a decompression bomb",
            ["finetune", "--tiles", "bombs", "--store", "store", "--encoder", RANDOM,
             "--name", "new"], "30000 x 30000 px; a tile has at most 4096"),
        Bad("a labelled tile that is a device without end",
            ["finetune", "--tiles", "endless.csv", "--store", "store", "--encoder", RANDOM,
             "--name", "new"], "dev/zero: cannot be read .*not a regular file"),
        Bad("a tissue pattern that is any file",
            [*EXTRACT, RANDOM, "--tissue", "/etc/passwd"],
            "--tissue /etc/passwd: must be otsu, none, a path"),
        Bad("a store of a newer version", ["store", "ls", "newer"], "upgrade histo-ray"),
        Bad("a folder of something else as store",
            ["extract", "--manifest", "slides.csv", "--store", "bombs", "--encoder", RANDOM],
            "the folder holds other things"),
        Bad("SQL that is none", ["store", "sql", "store", "drop everything"], "Parser Error"),
    ]  # fmt: skip


SLIDES = [
    BadSlide("a PNG of 30,000 x 30,000 px in 3.2 MB", "bomb.png",
             lambda path: bad_files.write_png(path, 30000, 30000), "30000 px is decoded whole"),
    BadSlide("a JPEG strip that claims 65,500 x 65,500 px", "lying.tif",
             bad_files.write_lying_jpeg, "65500 x 65500 px where it has room for 4096"),
    BadSlide("a TIFF of 60,000 channels", "channels.tif",
             bad_files.write_many_channels, "60000 samples a pixel: grey and 59999 more"),
    BadSlide("tiles of 2,147,483,647 px", "large.svs",
             bad_files.write_large_tiles, "tiles of 2147483647 x 96 px, more than memory can hold"),
    BadSlide("tiles of terabytes in a file of some kB", "long.svs",
             bad_files.write_long_tiles, "a tile of .* bytes in a file of"),
    BadSlide("a slide of which a third has arrived", "cut.svs",
             bad_files.write_cut, "the file is damaged, cut short or another format"),
    BadSlide("a tile that states another size than its slide", "tile.svs",
             bad_files.write_damaged_tile, "OpenSlide cannot read it"),
    BadSlide("text named .svs", "text.svs",
             lambda path: _text(path, "not a slide"), "does not find an Aperio SVS in it"),
    BadSlide("a GeoJSON mask nested 100,000 deep", "deep.geojson",
             lambda path: _text(path, "[" * 100_000), "nested too deeply", "deep.geojson"),
    BadSlide("a GeoJSON mask whose outlines take hours to draw", "zigzag.geojson",
             bad_files.write_zigzag, "too large or too jagged to draw", "zigzag.geojson"),
    BadSlide("a mask PNG of 30,000 x 20,000 px", "mask.png",
             lambda path: bad_files.write_png(path, 30000, 20000), "more than the 268435456 px",
             "mask.png"),
]  # fmt: skip


def write_slide(slide: BadSlide) -> str:
    """Make it; the file that its row of a manifest names."""
    slide.write(Path(slide.name))
    if not slide.mask:
        return slide.name
    write_jpeg_slide(Path("whole.svs"), bad_files.SMALL)
    return "whole.svs"


def _make_common() -> None:
    """Files that several of the inputs name."""
    Path("a.svs").write_bytes(b"no slide")
    _text(Path("slides.csv"), "slide_id,path\na,a.svs\n")
    os.mkfifo("pipe")
    Path("cut.parquet").write_bytes(b"PAR1" + bytes(100))
    Path("newer").mkdir()
    _text(Path("newer/store.json"), '{"format_version": 99}')
    Path("store").mkdir()
    _text(Path("store/store.json"), '{"format_version": 1}')
    _text(Path("model.json"), "{}")
    rng = np.random.default_rng(0)
    for folder in ("tiles/a", "tiles/b", "bombs/a", "bombs/b"):
        Path(folder).mkdir(parents=True)
        for number in range(4):
            pixels = rng.integers(0, 256, (64, 64, 3), np.uint8)
            Image.fromarray(pixels).save(f"{folder}/{number}.png")
    bad_files.write_png(Path("bombs/a/bomb.png"), 30000, 30000)
    _text(Path("endless.csv"), "path,label\n/dev/zero,a\ntiles/b/0.png,b\n")
    Path("evil.pth").write_bytes(pickle.dumps(bad_files.Payload()))
    Path("w.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    _text(Path("table.toml"), '[mine]\narchitecture = "resnet10t"\nfile = "w.safetensors"\n'
          'timm_kwargs = { checkpoint_path = "evil.pth" }\n')  # fmt: skip


def _text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
