"""Writes and reads AnnData and SpatialData with the tools' own code, for `exchange_readers`.

Run by a Python that has anndata and wsidata: `python drive_exchange.py write|read FOLDER`.
"""

import json
import sys
import warnings
from pathlib import Path

import anndata
import numpy as np
from wsidata import TileSpec, open_wsi
from wsidata.io import add_features, add_tiles

CORNERS = [[0, 0], [200, 0], [0, 200], [1000, 500]]


def write(folder: Path) -> None:
    """A SpatialData folder with features of a slide, as LazySlide has them."""
    wsi = open_wsi(str(folder / "my slide.1.tif"))
    spec = TileSpec.from_wsidata(wsi, tile_px=100, mpp=1.0)
    add_tiles(wsi, "tiles", np.array(CORNERS), spec, np.zeros(len(CORNERS), int))
    vectors = np.random.default_rng(1).normal(size=(len(CORNERS), 6)).astype(np.float32)
    add_features(wsi, "resnet50_tiles", "tiles", vectors)
    wsi.write()
    np.save(folder / "vectors.npy", vectors)


def read(folder: Path) -> None:
    """Print what anndata reads of each file, and write it anew with its own code."""
    for path in sorted(folder.rglob("*.h5ad")):
        data = anndata.read_h5ad(path)
        digest = data.X.tobytes().hex()
        print(json.dumps({"vectors": digest, "spatial": data.obsm["spatial"].tolist()}))
        again = folder.parent / "rewritten" / path.name
        again.parent.mkdir(exist_ok=True)
        data.write_h5ad(again)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    {"write": write, "read": read}[sys.argv[1]](Path(sys.argv[2]))
