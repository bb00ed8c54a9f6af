"""Does fine-tuning make better features? Real tiles, real weights, five seeds, one linear probe.

`python -m benchmarks.finetune_colorectal --data DIR --work DIR`, with DIR as HISTO_RAY_TEST_DATA.
It goes on where it stopped. First the settings of recipe and probe are chosen on groups held out of
the training tiles (`colorectal_choice`), then one network a seed is fine-tuned on all of them; the
test tiles are evaluated once, at the end. Rows that were not fine-tuned get a probe chosen on
groups of the training tiles, too. The tiles have no patients: groups are inferred from their
pixels, and intervals are over the inferred groups of the test tiles.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from benchmarks.colorectal_choice import SWAPS, Choice, choose, hold_out_groups, load_groups
from benchmarks.grouped_probe import (
    Floats,
    Groups,
    ProbeSettings,
    best_of,
    fit_probe,
    group_interval,
    score_probes,
    split_groups,
)
from histo_ray.cli.finetune import describe
from histo_ray.encoders.base import Engine
from histo_ray.encoders.heap import restart_keeping_memory
from histo_ray.encoders.registry import resolve
from histo_ray.encoders.torch_encoder import load_encoder
from histo_ray.finetune.finetune_config import FinetuneConfig
from histo_ray.finetune.finetune_run import finetune
from histo_ray.finetune.job import TrainingProgress
from histo_ray.learn.tiles.tile_metrics import score_classes
from histo_ray.tilesets.infer_groups import infer_groups
from histo_ray.tilesets.read import read_tileset
from histo_ray.tilesets.split import check_disjoint
from histo_ray.tilesets.tileset import TileSet, load_tiles

Pixels = npt.NDArray[np.uint8]
SHAPE = "pad_type=same&mean=0.5&std=0.5"
OFF_THE_SHELF, RANDOM, COLOUR = "off the shelf", "random weights", "RGB mean and sd alone"
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


class Bench(NamedTuple):
    """Tiles, their inferred groups, and where everything is kept."""

    work: Path
    base: str
    recipe: str
    threads: int | None
    engine: Engine
    train: TileSet
    test: TileSet
    train_groups: Groups
    test_groups: Groups

    @property
    def store(self) -> Path:
        """Store of the fine-tuned encoders."""
        return self.work / "store"

    def tune(self, name: str, tiles: str, seed: int, *changes: str) -> None:
        """Fine-tune once; at once where it is done."""
        config = FinetuneConfig(
            tiles=tiles, encoder=self.base, name=name, store=str(self.store), recipe=self.recipe,
            seed=seed, save_every_s=60, set=changes, threads=self.threads,
        )  # fmt: skip
        finetune(config, Notes(name), note)

    def embed(self, name: str, request: str, part: TileSet) -> Floats:
        """Embeddings from their file, computed and kept there if they are new."""
        path = self.work / f"{name.replace(' ', '-').replace(',', '')}-{part.name}.npy"
        if not path.is_file():
            encode = measure_colour
            if request:
                spec = resolve(request, store=str(self.store))
                encode = load_encoder(spec, threads=self.threads, engine=self.engine).encode
            fresh = path.with_suffix(".new.npy")
            np.save(fresh, describe_tiles(part, encode))
            fresh.replace(path)
        kept: Floats = np.load(path)
        return kept


def open_bench(args: argparse.Namespace) -> Bench:
    """Read the tiles and infer their groups."""
    folder = args.data / "tiles" / "colorectal5"
    train, test = (read_tileset(str(folder / part), part) for part in ("train", "test"))
    check_disjoint(train, test)
    weights = args.data / "weights" / "mobilenetv2_100_imagenet_dequant.safetensors"
    groups = [
        load_groups(args.work / f"groups-{part.name}.npy", partial(infer_groups, part, part.labels))
        for part in (train, test)
    ]
    base = f"{weights}?arch=mobilenetv2_100&{SHAPE}"
    return Bench(args.work, base, args.recipe, args.threads, args.engine, train, test, *groups)


def run_choice(bench: Bench) -> Choice:
    """Fine-tune each candidate without the held-out groups, and choose."""
    split = hold_out_groups(bench.train, bench.train_groups)
    table = bench.work / "choice.csv"
    lines = ["path,label"]
    lines += [f"{bench.train.paths[r]},{bench.train.classes[bench.train.labels[r]]}"
              for r in split[0].tolist()]  # fmt: skip
    table.write_text("\n".join(lines) + "\n")
    for swap, changes in SWAPS.items():
        bench.tune(f"choice-{swap}", str(table), 0, *changes)

    def encode(name: str, request: str) -> Floats:
        return bench.embed(name, request, bench.train)

    choice = choose(bench.store, bench.base, SHAPE, bench.train, split, list(SWAPS), encode)
    note(f"chosen on held-out groups: {choice}")
    return choice


def evaluate(
    bench: Bench, name: str, request: str, settings: ProbeSettings | None
) -> tuple[dict[str, Any], npt.NDArray[np.float64]]:
    """One row: the figures, and which test tiles are right; a probe is chosen where none is given.

    Args:
        bench: The tiles.
        name: Of the row.
        request: Of the encoder; empty: colour alone.
        settings: Of the probe.
    """
    features = [bench.embed(name, request, part) for part in (bench.train, bench.test)]
    labels = bench.train.labels
    if settings is None:
        splits = split_groups(labels, bench.train_groups)
        settings = best_of(score_probes(features[0], labels, splits))
    found = fit_probe(features[0], labels, settings).predict(features[1])
    scores = score_classes(bench.test.labels, found, len(bench.test.classes))
    right = (found == bench.test.labels).astype(float)
    row = {
        "accuracy": scores.accuracy,
        "interval": group_interval(right, bench.test_groups),
        "balanced_accuracy": scores.balanced_accuracy,
        "recall": dict(zip(bench.test.classes, np.round(scores.recalls, 4).tolist(), strict=True)),
        "probe": settings._asdict(),
    }
    note(f"{name}: {json.dumps(row)}")
    return row, right


def run(bench: Bench, seeds: list[int]) -> dict[str, Any]:
    """Choose, fine-tune once a seed, and evaluate; what `main` prints."""
    choice = run_choice(bench)
    suffix = f"?rotations={choice.rotations}" if choice.rotations else ""
    rows, right = {}, {}
    for seed in seeds:
        name, folder = f"fine-tuned, seed {seed}", str(Path(bench.train.paths[0]).parents[1])
        bench.tune(f"ft-seed{seed}", folder, seed, *choice.changes)
        rows[name], right[name] = evaluate(bench, name, f"ft-seed{seed}{suffix}", choice.probe)
    accuracies = [row["accuracy"] for row in rows.values()]
    off = f"{bench.base}{suffix.replace('?', '&')}"
    for name, request in {
        OFF_THE_SHELF: bench.base,
        f"{OFF_THE_SHELF}, as chosen": off,
        RANDOM: f"random:mobilenetv2_100?seed=0&{SHAPE}",
        COLOUR: "",
    }.items():
        rows[name], right[name] = evaluate(bench, name, request, None)
    mean = np.mean([right[f"fine-tuned, seed {seed}"] for seed in seeds], axis=0)
    return {
        "choice": choice._asdict() | {"probe": choice.probe._asdict()},
        "groups": {"train": int(bench.train_groups.max()) + 1,
                   "test": int(bench.test_groups.max()) + 1},
        "rows": rows,
        "mean": float(np.mean(accuracies)),
        "seed_sd": float(np.std(accuracies, ddof=1)) if len(seeds) > 1 else None,
        "mean_interval": group_interval(mean, bench.test_groups),
        "difference": float((mean - right[OFF_THE_SHELF]).mean()),
        "difference_interval": group_interval(mean - right[OFF_THE_SHELF], bench.test_groups),
    }  # fmt: skip


def main() -> None:
    """Print the result as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--recipe", default=str(RECIPE))
    parser.add_argument("--threads", type=int)
    parser.add_argument("--engine", choices=("torch", "openvino"), default="torch")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    print(json.dumps(run(open_bench(args), args.seeds), indent=2))


if __name__ == "__main__":
    restart_keeping_memory()  # as the program does
    main()
