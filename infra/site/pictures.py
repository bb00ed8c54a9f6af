"""Write the pictures of the documentation: `python -m infra.site.pictures demo`."""

import argparse
from pathlib import Path

from PIL import Image

from infra.site.reference import ROOT

WIDTH = 1400
"""Pixels; twice what a page shows, for fine screens."""
_DRAWN = {"pictures/heatmap-and-truth.png": "heatmap-and-truth.jpg"}
"""What the demo draws, by the name that it has in `docs/pictures`."""


def main(argv: list[str] | None = None) -> int:
    """Shrink what the demo drew, and write it into `docs/pictures`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("demo", type=Path, help="folder that `histo-ray demo --out` made")
    parser.add_argument("--out", type=Path, default=ROOT / "docs/pictures", help="folder to fill")
    args = parser.parse_args(argv)
    args.out.mkdir(parents=True, exist_ok=True)
    for source, name in _DRAWN.items():
        print(write_shrunk(args.demo / source, args.out / name))
    return 0


def write_shrunk(source: Path, target: Path) -> Path:
    """Write a picture as JPEG, at most `WIDTH` pixels wide."""
    with Image.open(source) as opened:
        picture = opened.convert("RGB")
    height = round(picture.height * WIDTH / picture.width)
    if picture.width > WIDTH:
        picture = picture.resize((WIDTH, height), Image.Resampling.LANCZOS)
    picture.save(target, quality=85, optimize=True)
    return target


if __name__ == "__main__":
    main()
