"""Made-up partitions and labelled tiles; subprocesses import it too, so it imports little."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from histo_ray.store.partition import PartitionFacts
from histo_ray.types import EncoderFacts, SlideFacts, TileRows, TilingFacts

COLOURS = {"ADI": (230, 215, 225), "LYM": (120, 80, 150), "TUM": (180, 100, 160)}


def facts_of(
    slide_id: str = "S1",
    encoder: str = "e",
    tiling: str = "abc123",
    dim: int = 5,
    dtype: Any = "float16",
    **changes: Any,
) -> PartitionFacts:
    """What a made-up partition's receipt says; `changes` go to the field of their name."""
    slide = SlideFacts(
        slide_id=slide_id,
        patient_id=changes.pop("patient_id", f"P-{slide_id}"),
        site=changes.pop("site", ""),
        path=f"/slides/{slide_id}.svs",
        fingerprint="f" * 64,
        size_px=(1200, 700),
        mpp=(0.25, 0.26),
        mpp_source="file",
        reader="openslide",
        vendor="aperio",
    )
    grid = TilingFacts(
        fingerprint=tiling,
        settings={"mpp": 0.5},
        level=0,
        downsample=(1.0, 1.0),
        side=(448.0, 431.0),
        realised_mpp=(0.5, 0.5),
        tissue_method="otsu",
        tissue_digest="",
    )
    about = EncoderFacts(
        name=encoder,
        request=encoder,
        architecture="made up",
        weights_sha256=changes.pop("weights", "a" * 64),
        dim=dim,
        input_px=changes.pop("input_px", 224),
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        interpolation="bicubic",
        pool="avg",
        dtype=dtype,
        precision="float32",
        device="cpu",
        batch_norm_folded=True,
        contract_broken="",
    )
    return PartitionFacts(slide, grid, about, changes.pop("run_id", "run1"), **changes)


def card_of(name: str, classes: tuple[str, ...], **changes: Any) -> dict[str, Any]:
    """The card of a published encoder, as `model.json` of version 1 (without a seal) holds it."""
    sha = changes.pop("weights_sha256", "b" * 64)
    spec = {"name": name, "request": name, "source": "store", "architecture": "made up"}
    card = {
        "format_version": 1,
        "name": name,
        "created": "2026-01-01T00:00:00+00:00",
        "fingerprint": "f" * 64,
        "weights_sha256": sha,
        "file_sha256": "c" * 64,
        "encoder": spec,
        "base": {"name": "base", "request": "base", "weights_sha256": "d" * 64},
        "classes": classes,
        "data": {
            "name": "tiles", "digest": "e" * 64, "train": {}, "held_out": {}, "held_out_from": "",
        },
        "recipe": {},
        "seed": 0,
        "workers": 1,
        "epoch": 1,
        "metrics": {},
        "device": "cpu",
        "versions": {},
    }  # fmt: skip
    return card | changes


def rows_of(
    count: int, dim: int = 5, dtype: str = "float16", seed: int = 0, block: int = 37
) -> Iterator[TileRows]:
    """Rows whose coords reach both far edges of a 1200 x 700 slide."""
    random = np.random.default_rng(seed)
    for start in range(0, count, block):
        n = min(block, count - start)
        coords = random.integers(0, [1200, 700], (n, 2)).astype(np.int32)
        coords[-1] = 1199, 699
        vectors = random.standard_normal((n, dim)).astype(dtype)
        vectors[0, 0] = -0.0
        tissue, focus = random.random(n, dtype=np.float32), random.random(n, dtype=np.float32)
        yield TileRows(coords, tissue, focus * 900, vectors)


def draw_tiles(folder: Path, count: int, seed: int) -> Path:
    """Noisy tiles of three colours, 32 px, so near to each other that heads err."""
    rng = np.random.default_rng(seed)
    for name, colour in COLOURS.items():
        (folder / name).mkdir(parents=True)
        for number in range(count):
            shade = np.asarray(colour) + rng.normal(0, 45, 3)
            pixels = np.clip(shade + rng.normal(0, 20, (32, 32, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return folder
