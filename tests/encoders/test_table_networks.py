"""Entries of the table with random weights: each is built whole, and encodes tiles.

They take up to 5 GB each, so one is built at a time; `-k NAME` runs one alone.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from histo_ray.encoders.base import EncoderSpec
from histo_ray.encoders.registry import list_encoders, resolve
from histo_ray.encoders.torch_encoder import load_encoder

Tiles = npt.NDArray[np.uint8]
MakeTiles = Callable[..., Tiles]
BUILT_BY_TIMM = [
    spec.name
    for spec in list_encoders()
    if spec.library == "timm" and not spec.architecture.startswith("hf-hub:")
]
FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def prepare(pixels: Tiles, spec: EncoderSpec) -> Tiles:
    """Tiles as the entry's authors resize and crop them, by Pillow."""
    side, seen = pixels.shape[1], spec.input_px or 0
    edge = spec.resize_px or seen
    mode = FILTERS[spec.interpolation or "bicubic"]
    resized = [Image.fromarray(tile).resize((edge, edge), mode) for tile in pixels]
    images = pixels if side == edge else np.stack([np.asarray(image) for image in resized])
    start = (edge - seen) // 2
    return images[:, start : start + seen, start : start + seen]


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", BUILT_BY_TIMM)
def test_an_entry_of_random_weights_encodes_tiles_as_its_authors_prepare_them(
    tiles: MakeTiles, name: str
) -> None:
    entry = resolve(name)
    random = {"source": "random", "seed": 0, "hub": None, "weights_file": None}
    encoder = load_encoder(entry.model_copy(update=random), device="cpu", threads=1)
    assert encoder.dim == entry.dim
    px = entry.tile_px[-1] if isinstance(entry.tile_px, tuple) else entry.tile_px
    pixels = tiles(2, px or 256)
    vectors = encoder.encode(pixels)
    assert vectors.shape == (2, entry.dim)
    assert np.isfinite(vectors).all()
    assert not np.array_equal(vectors[0], vectors[1])
    prepared = prepare(pixels, entry)
    assert prepared.shape[1] == entry.input_px
    apart = np.linalg.norm(vectors[0] - vectors[1])
    assert np.linalg.norm(vectors - encoder.encode(prepared), axis=1).max() < 0.1 * apart
