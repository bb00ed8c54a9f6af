"""Does fine-tuning make better features? Real tiles, real weights, three seeds, one linear probe.

`python -m benchmarks.finetune_colorectal --data DIR --work DIR`, with DIR as HISTO_RAY_TEST_DATA.
It goes on where it stopped. Fine-tuning, the encoder off the shelf and every choice of the probe
see the training tiles alone; the test tiles are evaluated once, at the end.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from histo_ray.cli.finetune import describe
from histo_ray.encoders.heap import restart_keeping_memory
from histo_ray.encoders.registry import resolve
from histo_ray.encoders.torch_encoder import load_encoder
from histo_ray.finetune.finetune_config import FinetuneConfig
from histo_ray.finetune.finetune_run import finetune
from histo_ray.finetune.job import TrainingProgress
from histo_ray.learn.statistics import bootstrap_difference
from histo_ray.learn.tile_metrics import score_classes
from histo_ray.tilesets.read import read_tileset
from histo_ray.tilesets.split import check_disjoint
from histo_ray.tilesets.tileset import TileSet, load_tiles

Floats = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]
SHAPE = "pad_type=same&mean=0.5&std=0.5"
OFF_THE_SHELF, RANDOM, COLOUR = "off the shelf", "random weights", "RGB mean and sd alone"
PENALTIES = (0.001, 0.01, 0.1)
"""C of the probe, chosen by three-fold cross-validation on the training tiles."""
BLOCK = 250
RECIPE = Path(__file__).with_suffix(".toml")


def note(text: str) -> None:
    """Progress, on stderr."""
    print(text, file=sys.stderr, flush=True)


def measure_colour(pixels: Pixels) -> Floats:
    """(N, H, W, 3) to (N, 6): mean and standard deviation of each channel."""
    flat = pixels.reshape(len(pixels), -1, 3).astype(np.float32)
    return np.concatenate([flat.mean(1), flat.std(1)], axis=1)


def describe_tiles(tileset: TileSet, describe_some: Callable[[Pixels], Floats]) -> Floats:
    """Features of all tiles of a set."""
    blocks = np.array_split(np.arange(len(tileset)), max(1, len(tileset) // BLOCK))
    return np.concatenate([describe_some(load_tiles(tileset, rows)) for rows in blocks])


def remember(path: Path, tileset: TileSet, encode: Callable[[Pixels], Floats]) -> Floats:
    """Features from their file, computed and kept there if they are new."""
    if not path.is_file():
        fresh = path.with_suffix(".new.npy")
        np.save(fresh, describe_tiles(tileset, encode))
        fresh.replace(path)
    kept: Floats = np.load(path)
    return kept


def probe(train: Floats, labels: Any, test: Floats) -> tuple[npt.NDArray[np.int32], float]:
    """Multinomial logistic regression on standardised features; classes found, and C."""
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    search = GridSearchCV(model, {"logisticregression__C": PENALTIES}, cv=3)
    search.fit(train, labels)
    return search.predict(test), float(search.best_params_["logisticregression__C"])


class Notes:
    """A line now and then."""

    def __init__(self, name: str) -> None:
        self._name, self._next = name, 0.0

    def __call__(self, progress: TrainingProgress) -> None:
        """Note how far training is."""
        last = progress.batch == progress.batches
        if last or time.monotonic() >= self._next:
            self._next = time.monotonic() + 15
            note(f"{self._name}: {describe(progress)}")


def run(data: Path, work: Path, seeds: list[int], recipe: str) -> dict[str, Any]:
    """Fine-tune once a seed, encode, probe; what `main` prints."""
    folder = data / "tiles" / "colorectal5"
    parts = [read_tileset(str(folder / part), part) for part in ("train", "test")]
    test = parts[1]
    check_disjoint(*parts)
    weights = data / "weights" / "mobilenetv2_100_imagenet_dequant.safetensors"
    base = f"{weights}?arch=mobilenetv2_100&{SHAPE}"
    store = str(work / "store")
    requests = {OFF_THE_SHELF: base, RANDOM: f"random:mobilenetv2_100?seed=0&{SHAPE}"}
    for seed in seeds:
        config = FinetuneConfig(
            tiles=str(folder / "train"), encoder=base, name=f"ft-seed{seed}", store=store,
            recipe=recipe, seed=seed, save_every_s=60,
        )  # fmt: skip
        finetune(config, Notes(config.name), note)
        requests[f"fine-tuned, seed {seed}"] = config.name
    rows, found = {}, {}
    for row, request in {**requests, COLOUR: ""}.items():
        encode = measure_colour
        if request:
            encode = load_encoder(resolve(request, store=store)).encode
        stem = row.replace(" ", "-").replace(",", "")
        features = [remember(work / f"{stem}-{part.name}.npy", part, encode) for part in parts]
        found[row], penalty = probe(features[0], parts[0].labels, features[1])
        scores = score_classes(test.labels, found[row], len(test.classes))
        recalls = np.round(scores.recalls, 4).tolist()
        rows[row] = {
            "accuracy": scores.accuracy,
            "balanced_accuracy": scores.balanced_accuracy,
            "recall": dict(zip(test.classes, recalls, strict=True)),
            "C": penalty,
        }
        note(f"{row}: {json.dumps(rows[row])}")
    return {"rows": rows, "differences": compare(found, test)}


def compare(found: dict[str, Any], test: TileSet) -> dict[str, Any]:
    """Fine-tuned less off the shelf, each seed and their mean: 95 % bootstrap over test tiles."""
    right = {row: (classes == test.labels).astype(float) for row, classes in found.items()}
    tuned = {row: values for row, values in right.items() if row.startswith("fine-tuned")}
    tuned["fine-tuned, mean of seeds"] = np.mean(list(tuned.values()), axis=0)
    result = {}
    for row, values in tuned.items():
        interval = bootstrap_difference(values - right[OFF_THE_SHELF], resamples=10_000)
        result[row] = {
            "accuracy": float(values.mean()),
            "difference": interval.estimate,
            "low": interval.low,
            "high": interval.high,
        }
    return result


def main() -> None:
    """Print the result as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--recipe", default=str(RECIPE))
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    print(json.dumps(run(args.data, args.work, args.seeds, args.recipe), indent=2))


if __name__ == "__main__":
    restart_keeping_memory()  # as the program does
    main()
