"""AnnData and LazySlide's own code against imports and exports: the same bits, both ways.

    python -m venv /tmp/peers && /tmp/peers/bin/pip install anndata wsidata
    python -m benchmarks.exchange_readers --python /tmp/peers/bin/python

wsidata writes a SpatialData folder; it is imported, exported as AnnData, read by anndata, written
anew by it, and imported again. Vectors and coords must be the same at each step.
"""

import argparse
import json
import os
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import tifffile

from histo_ray.api.import_features import import_features
from histo_ray.pooling.feature_store import open_store

DRIVER = Path(__file__).parent / "peers" / "drive_exchange.py"
SLIDE = "my slide.1"


def drive(python: str, *arguments: str) -> str:
    """What the driver prints, run by the tools' own Python and away from our modules."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    command = [python, str(DRIVER), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return done.stdout


def main() -> None:
    """Print a line a step; raises where bits differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", required=True, help="that has anndata and wsidata")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        top = Path(temporary)
        for name in ("lazyslide", "out"):
            (top / name).mkdir()
        image = np.random.default_rng(0).integers(0, 255, (700, 1200, 3), dtype=np.uint8)
        with tifffile.TiffWriter(top / "lazyslide" / f"{SLIDE}.tif") as tiff:
            tiff.write(
                image,
                tile=(256, 256),
                photometric="rgb",
                resolution=(20_000, 20_000),
                resolutionunit="CENTIMETER",
            )
        drive(args.python, "write", str(top / "lazyslide"))
        vectors = np.load(top / "lazyslide/vectors.npy")
        uri = str(top / "store")
        import_features(top / "lazyslide", uri, encoder="wsidata")
        store = open_store(uri, create=True)
        compare("wsidata -> store", vectors, store.bag(SLIDE, "wsidata").embeddings)
        coords = store.bag(SLIDE, "wsidata").coords.tolist()
        store.export("anndata", top / "out", encoder="wsidata")
        said = json.loads(drive(args.python, "read", str(top / "out")))
        read = np.frombuffer(bytes.fromhex(said["vectors"]), np.float32).reshape(vectors.shape)
        compare("store -> anndata", vectors, read)
        import_features(top / "rewritten", uri, encoder="anndata")
        bag = store.bag(SLIDE, "anndata")
        compare("anndata -> store", vectors, bag.embeddings)
        if not coords == said["spatial"] == bag.coords.tolist():
            raise SystemExit(f"coords differ: {coords}, {said['spatial']}, {bag.coords.tolist()}")


def compare(step: str, one: np.ndarray, other: np.ndarray) -> None:
    """Print that a step kept the bits; raises SystemExit where it did not."""
    same = one.dtype == other.dtype and one.tobytes() == other.tobytes()
    print(f"{step}: {'the same bits' if same else 'OTHER BITS'}", flush=True)
    if not same:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
