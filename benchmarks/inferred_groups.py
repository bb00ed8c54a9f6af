"""What do random folds promise, and inferred groups, beside tiles of other slides? Real tiles.

`python -m benchmarks.inferred_groups --data DIR`, with DIR as HISTO_RAY_TEST_DATA: colorectal5,
whose halves have no patients. The test half is looked at as other slides; near-duplicates across
the halves are counted. `--weights none` leaves out MobileNetV2, which takes minutes.
"""

import argparse
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from histo_ray.cohort.folds import draw_folds
from histo_ray.encoders.registry import resolve
from histo_ray.encoders.torch_encoder import load_encoder
from histo_ray.learn.tiles.part_separability import separate_folds, separate_parts
from histo_ray.learn.tiles.tile_heads import (
    EmbeddedTiles,
    TileHeadSettings,
    predict_other_tiles,
    predict_tile_fold,
)
from histo_ray.tilesets.infer_groups import group_tiles, scale
from histo_ray.tilesets.near_duplicates import find_near_duplicates
from histo_ray.tilesets.read import read_tileset
from histo_ray.tilesets.tile_traits import TileTraits, join_traits, read_traits
from histo_ray.tilesets.tileset import TileSet, load_tiles

Floats = npt.NDArray[np.float32]
SHAPE = "pad_type=same&mean=0.5&std=0.5"
WEIGHTS = "weights/mobilenetv2_100_imagenet_dequant.safetensors"
HEAD = TileHeadSettings("least-squares")
FOLDS, REPEATS, BLOCK = 5, 3, 100


def cross_validate(tiles: EmbeddedTiles, fold_ids: npt.NDArray[np.int32]) -> float:
    """Mean accuracy over repeats and folds."""
    scores = []
    for own in fold_ids:
        for fold in range(FOLDS):
            found = predict_tile_fold(tiles, own, fold, HEAD)
            scores.append(float((found.predicted == tiles.labels[own == fold]).mean()))
    return float(np.mean(scores))


def embed(tiles: TileSet, weights: Path) -> Floats:
    """Embeddings by MobileNetV2."""
    encoder = load_encoder(resolve(f"{weights}?arch=mobilenetv2_100&{SHAPE}"))
    starts = range(0, len(tiles), BLOCK)
    rows = [range(start, min(start + BLOCK, len(tiles))) for start in starts]
    return np.concatenate([np.asarray(encoder.encode(load_tiles(tiles, some))) for some in rows])


def measure(data: Path, weights: Path | None) -> None:
    """Print the figures of colorectal5."""
    train, test = (
        read_tileset(str(data / "tiles/colorectal5" / half)) for half in ("train", "test")
    )
    began, cpu = time.monotonic(), time.process_time()
    traits = read_traits(train)
    groups = group_tiles(traits, train.labels)
    wall, cpu = time.monotonic() - began, time.process_time() - cpu
    other = read_traits(test)
    pairs = find_near_duplicates(*_joined(traits, other))
    across = int(((pairs < len(train)).sum(axis=1) == 1).sum())
    per_class = [len(set(groups.groups[train.labels == k].tolist())) for k in range(5)]
    print(f"tiles {len(train)} + {len(test)}; groups {groups.count} (by class {per_class})")
    print(f"traits and groups of the training half: {wall:.1f} s, {cpu:.1f} s of CPU")
    print(f"near-duplicate pairs: training half {len(groups.pairs)}, across the halves {across}")
    drawn = {
        "random": draw_folds(train.label_names, FOLDS, REPEATS, 0).fold_ids,
        "grouped": draw_folds(train.label_names, FOLDS, REPEATS, 0, groups.names).fold_ids,
    }
    count = len(train.classes)
    for name, fold_ids in drawn.items():
        _print(f"AUROC of colour, {name} folds", train.classes,
               separate_folds(traits.colours, train.labels, fold_ids[0], count))  # fmt: skip
    _print("AUROC of colour, other half", train.classes, separate_parts(
        np.concatenate([traits.colours, other.colours]),
        np.concatenate([train.labels, test.labels]),
        np.arange(len(train) + len(test)) >= len(train), count,
    ))  # fmt: skip
    features = {"colour": (traits.colours, other.colours)}
    if weights is not None:
        features["MobileNetV2"] = (embed(train, weights), embed(test, weights))
    _score(features, train, test, drawn)


def _joined(*parts: TileTraits) -> tuple[npt.NDArray[np.uint8], Floats]:
    joined = join_traits(parts)
    return joined.thumbs, scale(joined.colours)


def _print(what: str, classes: tuple[str, ...], values: npt.NDArray[np.float64]) -> None:
    print(f"{what}: {', '.join(f'{c} {v:.3f}' for c, v in zip(classes, values, strict=True))}")


def _score(
    features: Mapping[str, tuple[Floats, Floats]],
    train: TileSet,
    test: TileSet,
    drawn: Mapping[str, npt.NDArray[np.int32]],
) -> None:
    print("| features | random folds | grouped folds | other half |\n|---|---|---|---|")
    for name, (own, outside) in features.items():
        tiles = EmbeddedTiles(own, train.labels, len(train.classes))
        inside = [f"{cross_validate(tiles, fold_ids):.3f}" for fold_ids in drawn.values()]
        found = predict_other_tiles(tiles, drawn["grouped"][0], outside, HEAD)
        right = float((found.predicted == test.labels).mean())
        print(f"| {name} | {' | '.join(inside)} | {right:.3f} |", flush=True)


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", default=WEIGHTS, help="file below --data, or none")
    given = parser.parse_args()
    measure(given.data, None if given.weights == "none" else given.data / given.weights)


if __name__ == "__main__":
    main()
