"""A segmenter in Python, as a user writes it: by colours alone, so that its masks are known."""

from pathlib import Path

SOURCE = '''\
"""Glass, tissue and dark things by the brightness of green."""

import numpy as np

from histo_ray.tiles.segmenter_protocol import SegmenterSpec, digest_file


class ByGreen:
    """Classes by two thresholds."""

    def __init__(self):
        self.limits = None

    def spec(self):
        """State what it is."""
        return SegmenterSpec(
            classes=("glass", "tissue", "dark"), tissue=("tissue", "dark"), mpp=4.0, input_px=64,
            margin_px=8, weights_sha256=digest_file(__file__), licence="mit", revision="r1",
            about="By green",
        )

    def load(self, device, threads):
        """Set the thresholds."""
        self.limits = (90, 215)

    def segment(self, pixels):
        """(N, height, width, 3) to (N, height, width)."""
        green = pixels[..., 1]
        dark, glass = self.limits
        return np.where(green < dark, 2, np.where(green < glass, 1, 0))


def make_segmenter():
    """What --tissue names."""
    return ByGreen()
'''


def write_segmenter(folder: Path, name: str, *changes: tuple[str, str]) -> Path:
    """The module in a folder, with parts of its text replaced; its file."""
    source = SOURCE
    for old, new in changes:
        assert old in source, old
        source = source.replace(old, new)
    file = folder / f"{name}.py"
    file.write_text(source, encoding="utf-8")
    return file


def write_segmenter_package(folder: Path, name: str, module: str) -> Path:
    """The module and its metadata in a folder for `PYTHONPATH`; the entry point is `name`."""
    about = folder / f"{module}-2.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 2.0\n")
    points = f"[histo_ray.segmenters]\n{name} = {module}:make_segmenter\n"
    (about / "entry_points.txt").write_text(points)
    write_segmenter(folder, module)
    return folder
