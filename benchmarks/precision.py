"""What arithmetic costs: `python -m benchmarks.precision --data DIR` (DIR as the tests' real data).

Real tiles of five classes and ImageNet weights: how far vectors are from those of float32, and
whether a classifier on them is any worse. JSON on stdout.
"""

import argparse
import json
import sys
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.bench import cosines
from histo_ray.encoders.base import Engine, Precision
from histo_ray.encoders.probe import computes_bfloat16
from histo_ray.encoders.registry import resolve
from histo_ray.encoders.torch_encoder import load_encoder
from histo_ray.types import Floats

WEIGHTS = "weights/mobilenetv2_100_imagenet_dequant.safetensors"
KEYS = "arch=mobilenetv2_100&pad_type=same&mean=0.5&std=0.5&px=224"
TILES = "tiles/colorectal5"
PENALTY = 0.01
"""C of the logistic regression on standardised vectors."""


class Part(NamedTuple):
    """Tiles and their classes."""

    pixels: npt.NDArray[np.uint8]
    classes: npt.NDArray[np.str_]


def main() -> None:
    """Encode training and test tiles by each arithmetic, in turn, and classify them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    data = parser.parse_args().data
    train, test = (read_tiles(data / TILES / part) for part in ("train", "test"))
    precisions: tuple[Precision, ...] = ("float32", "bfloat16")
    engines: tuple[Engine, ...] = ("torch", "openvino")
    rows: dict[str, dict[str, Any]] = {}
    exact: tuple[Floats, npt.NDArray[np.bool_]] | None = None
    for precision, engine in product(
        precisions if computes_bfloat16() else precisions[:1], engines
    ):
        encoder = load_encoder(
            resolve(f"{data / WEIGHTS}?{KEYS}"), device="cpu", precision=precision, engine=engine
        )
        vectors = encoder.encode(test.pixels)
        probe = make_pipeline(StandardScaler(), LogisticRegression(C=PENALTY, max_iter=2000))
        probe.fit(encoder.encode(train.pixels), train.classes)
        right = probe.predict(vectors) == test.classes
        exact = exact or (vectors, right)
        cosine = cosines(vectors, exact[0])
        rows[f"{engine} {precision}"] = {
            "accuracy": float(right.mean()),
            "tiles_classified_otherwise": int((right != exact[1]).sum()),
            "cosine_min": float(cosine.min()),
            "cosine_median": float(np.median(cosine)),
        }
        print(json.dumps(rows), file=sys.stderr)
    print(json.dumps({"weights": WEIGHTS, "test_tiles": len(test.pixels), "ways": rows}, indent=1))


def read_tiles(folder: Path) -> Part:
    """All tiles of a folder with a folder a class."""
    files = sorted(folder.glob("*/*.jpg"))
    pixels = np.stack([np.asarray(Image.open(file).convert("RGB")) for file in files])
    return Part(pixels, np.array([file.parent.name for file in files]))


if __name__ == "__main__":
    main()
