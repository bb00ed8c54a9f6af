"""How long does it take to predict a cohort, and how much memory?

`python -m benchmarks.predict_speed [--slides 200 --tiles 3000 --dim 2048] [--folder DIR]`. A
predictor of two genes is fitted on a small synthetic store by `histo-ray fit`, then `histo-ray
predict` runs in a process of its own on a large one, and again, when it finds everything done.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from histo_ray.store.store import open_store
from histo_ray.types import TileRows
from testing.partitions import facts_of

SMALL = (60, 40)
"""Slides and tiles of the store that the predictor is fitted in."""


def write_store(folder: Path, slides: int, tiles: int, dim: int, letter: str) -> pd.Series:
    """Write slides of a patient each; returns the hidden states that the vectors carry."""
    store = open_store(str(folder), create=True)
    rng = np.random.default_rng(ord(letter))
    noise = rng.normal(size=(tiles, dim)).astype(np.float16)
    states = {}
    for at in range(slides):
        patient = f"{letter}{at:05d}"
        states[patient] = state = float(rng.normal())
        facts = facts_of(patient, "e", "t0123456789ab", dim, patient_id=patient)
        vectors = np.roll(noise, at, axis=1) + np.float16(0.2 * state)
        coords = np.arange(2 * tiles, dtype=np.int32).reshape(-1, 2)
        ones = np.ones(tiles, np.float32)
        store.commit(facts.key, facts, [TileRows(coords, ones, ones, vectors)])
    return pd.Series(states, name="state")


def write_labels(path: Path, states: pd.Series) -> None:
    """Write two genes that follow the states."""
    rng = np.random.default_rng(0)
    noisy = states.to_numpy()[:, None] + 0.5 * rng.normal(size=(len(states), 2))
    frame = pd.DataFrame((noisy > 0).astype(int), states.index, ["ALPHA", "BETA"])
    frame.rename_axis("patient_id").to_csv(path)


def run(command: list[str]) -> dict[str, float]:
    """Run `histo-ray` in a process of its own; seconds and peak memory."""
    program = [sys.executable, "-m", "benchmarks.measured", sys.executable, "-m", "histo_ray"]
    done = subprocess.run([*program, *command], capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    if found["exit_code"]:
        raise SystemExit(done.stderr)
    return found


def main() -> None:
    """Print what was measured as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.predict_speed")
    for name, default in (("slides", 200), ("tiles", 3000), ("dim", 2048)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument(
        "--folder", type=Path, help="where the stores are made (default: a new one)"
    )
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as made:
        folder = Path(made)
        write_labels(folder / "a.csv", write_store(folder / "A", *SMALL, args.dim, "A"))
        states = write_store(folder / "B", args.slides, args.tiles, args.dim, "B")
        write_labels(folder / "b.csv", states)
        fit = ["fit", "mutation", "--store", str(folder / "A"), "--labels", str(folder / "a.csv")]
        fit += ["--encoder", "e", "--name", "p", "--folds", "3", "--repeats", "1"]
        predictor, store = str(folder / "A/predictors/p"), str(folder / "B")
        predict = ["predict", "--predictor", predictor, "--store", store]
        answer = {
            "design": [args.slides, args.tiles, args.dim],
            "load average": round(os.getloadavg()[0], 1),
            "fit": run([*fit, "--address", "none"]),
            "predict": run(predict),
            "predict, done already": run(predict),
            "validate": run([*predict, "--labels", str(folder / "b.csv")]),
            "at": time.strftime("%Y-%m-%d"),
        }
    print(json.dumps(answer, indent=1))


if __name__ == "__main__":
    main()
