"""Pools a made-up cohort's tiles to patients, every way, a fresh process each: time and memory.

`python -m benchmarks.bench_pooling [--quick]`. Memory is the process's peak beyond what it had
before the first tile; it is measured for a quarter of the slides and for all of them.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save

from benchmarks.bench_store import make_facts, make_rows
from histo_ray.pooling.matrix import pool_matrix
from histo_ray.store.store import Store, open_store

DIM = 2048
CLASSES = ("ADI", "BACK", "DEB", "LYM", "MUC", "MUS", "NORM", "STR", "TUM")
SLIDES_A_PATIENT = 2
ENCODERS = ("plain", "tuned")
LARGE = "large"
"""Encoder of one slide that has as many tiles as a quarter of the cohort."""
WAYS = (
    ("plain", "mean"), ("plain", "mean+std"), ("plain", "tissue"), ("plain", "quantiles"),
    ("tuned", "class:TUM"), ("plain", "class:TUM"), ("tuned", "classes"), (LARGE, "mean"),
    (LARGE, "mean+std"),
)  # fmt: skip


def write_cohort(store: Store, root: Path, slides: int, tiles: int) -> None:
    """Two encoders of the same tiles, one with a head, and the large slide."""
    random = np.random.default_rng(0)
    pool = np.maximum(random.standard_normal((tiles + 4096, DIM), np.float32), 0).astype(np.float16)
    coords = random.integers(0, 60_000, (tiles, 2)).astype(np.int32)
    for number in range(slides):
        for encoder in ENCODERS:
            start = int(random.integers(0, 4096))
            facts = _facts_of(encoder, number)
            store.commit(facts.key, facts, make_rows(pool[start : start + tiles], coords))
    facts = _facts_of(LARGE, 0)
    blocks = (rows for _ in range(slides // 4) for rows in make_rows(pool[:tiles], coords))
    store.commit(facts.key, facts, blocks)
    head = random.standard_normal((len(CLASSES), DIM)).astype(np.float32) * np.float32(0.05)
    prefix = "classification_head."
    data = save({f"{prefix}weight": head, f"{prefix}bias": np.zeros(len(CLASSES), np.float32)})
    card = {
        "classes": CLASSES,
        "weights_sha256": _facts_of("tuned", 0).encoder.weights_sha256,
        "file_sha256": sha256(data).hexdigest(),
    }
    folder = root / "models/tuned"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(data)
    (folder / "model.json").write_text(json.dumps(card), encoding="utf-8")


def pool_once(root: str, encoder: str, pool: str, slides: int) -> dict[str, float]:
    """Pool some slides to patients in this process, not from the cache, then from it."""
    store = open_store(root)
    frame = store.patients(encoder)  # imports and receipts come first
    chosen = sorted(name for row in frame["slide_ids"] for name in row)[:slides]
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak starts from here
    before_mib, before_s = _status_mib("VmRSS"), time.process_time()
    began = time.perf_counter()
    pool_matrix(store, encoder, pool, "patient", class_encoder="tuned", slide_ids=chosen)
    seconds, cpu_s = time.perf_counter() - began, time.process_time() - before_s
    peak_mib = _status_mib("VmHWM")
    began = time.perf_counter()
    pool_matrix(store, encoder, pool, "patient", class_encoder="tuned", slide_ids=chosen)
    return {
        "seconds": round(seconds, 2),
        "cpu_seconds": round(cpu_s, 2),
        "extra_mib": round(peak_mib - before_mib),
        "again_seconds": round(time.perf_counter() - began, 2),
    }


def run_benchmark(root: Path, slides: int, tiles: int, rounds: int) -> dict[str, Any]:
    """Every way for a quarter and for all of the slides."""
    store = open_store(str(root), create=True)
    write_cohort(store, root, slides, tiles)
    results: dict[str, Any] = {}
    for encoder, pool in WAYS:
        quarter, whole = (
            [_pool_apart(root, encoder, pool, count) for _ in range(turns)]
            for count, turns in ((slides // 4, 1), (slides, rounds))
        )
        best = min(whole, key=lambda run: run["seconds"])
        count = tiles * (slides // 4 if encoder == LARGE else slides)
        results[f"{encoder} {pool}"] = {
            "tiles_per_s": round(count / best["seconds"]),
            "gb_per_s": round(count * DIM * 2 / best["seconds"] / 1e9, 2),
            "tiles_per_cpu_s": round(count / min(run["cpu_seconds"] for run in whole)),
            "again_seconds": best["again_seconds"],
            "extra_mib": max(run["extra_mib"] for run in whole),
            "extra_mib_of_a_quarter": quarter[0]["extra_mib"],
        }
        print(encoder, pool, results[f"{encoder} {pool}"], file=sys.stderr, flush=True)
    return {"slides": slides, "tiles": tiles, "dim": DIM, "ways": results}


def _status_mib(field: str) -> float:
    """What Linux says of this process's memory."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024


def _facts_of(encoder: str, number: int) -> Any:
    facts = make_facts(encoder)
    slide = facts.slide.model_copy(
        update={"slide_id": f"S{number:05d}", "patient_id": f"P{number // SLIDES_A_PATIENT:05d}"}
    )
    about = facts.encoder.model_copy(
        update={"dim": DIM, "weights_sha256": sha256(encoder.encode()).hexdigest()}
    )
    return replace(facts, slide=slide, encoder=about)


def _pool_apart(root: Path, encoder: str, pool: str, slides: int) -> dict[str, float]:
    shutil.rmtree(root / "cache", ignore_errors=True)
    call = [sys.executable, "-m", "benchmarks.bench_pooling", "--pool", str(root), encoder, pool]
    done = subprocess.run([*call, str(slides)], check=True, capture_output=True, text=True)
    result: dict[str, float] = json.loads(done.stdout)
    return result


def main() -> None:
    """Parse flags, run, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the slides, one round")
    parser.add_argument("--pool", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.pool:
        root, encoder, pool, slides = options.pool
        print(json.dumps(pool_once(root, encoder, pool, int(slides))))
        return
    with tempfile.TemporaryDirectory() as folder:
        slides, rounds = (20, 1) if options.quick else (200, 3)
        result = run_benchmark(Path(folder) / "store", slides, 3000, rounds)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
