"""Speed and memory of `store import`, beside a plain copy of the same files in the same run.

    python -m benchmarks.import_speed --slides 40

Slides of 3,000 tiles x 1,024 numbers are written as TRIDENT, CLAM (HDF5, and tensors alone) and
STAMP write them. Each layout is imported in a process of its own, in turn with a copy of its files
that is flushed to disk, as what is imported is; both read files that were just written, so from
memory where that holds them. MB are those of the files with vectors; CPU is that of all threads of
the import, which says what a free machine would do where this one is shared.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from histo_ray.api.import_features import import_features
from testing.foreign_files import (
    Foreign,
    draw_slide,
    write_clam,
    write_stamp,
    write_trident,
)

TILES, DIM = 3_000, 1_024


def write_tensors(folder: Path, slide: Foreign) -> Path:
    """CLAM without HDF5."""
    return write_clam(folder, slide, h5=False)


CASES: dict[str, tuple[Callable[[Path, Foreign], Path], str]] = {
    "trident": (write_trident, "float32"),
    "clam": (write_clam, "float32"),
    "clam, .pt": (write_tensors, "float32"),
    "stamp": (write_stamp, "float16"),
}


def copy_files(files: list[Path], target: Path) -> float:
    """Seconds to copy some files one after the other, each flushed to disk."""
    target.mkdir()
    began = time.perf_counter()
    for path in files:
        shutil.copyfile(path, target / path.name)
        with (target / path.name).open("rb") as file:
            os.fsync(file.fileno())
    return time.perf_counter() - began


def import_folder(folder: Path, store: Path) -> dict[str, float]:
    """Seconds of wall and CPU, and MB of memory at most, of an import in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.import_speed", "--one", str(folder), str(store)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    said: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return said


def import_one(folder: str, store: str) -> None:
    """What the process of one import does; what it took before it began is taken off."""
    before, began, worked = _peak_mb(), time.perf_counter(), time.process_time()
    result = import_features(folder, store, encoder="e", slide_mpp=0.25)
    said = {"seconds": time.perf_counter() - began, "cpu_s": time.process_time() - worked}
    if set(result.summary.outcomes) != {"done"}:
        raise SystemExit(f"not all were imported: {result.summary.outcomes}")
    print(json.dumps(said | {"peak_mb": _peak_mb() - before}))


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Print a line a layout."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slides", type=int, default=40)
    parser.add_argument("--tiles", type=int, default=TILES)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="for the files (default: a temporary one)")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        import_one(*args.one)
        return
    print("layout      slides  MB     copy MB/s  import MB/s  CPU s/GB  memory added, MB")
    for name, (write, dtype) in CASES.items():
        with tempfile.TemporaryDirectory(dir=args.folder) as temporary:
            top = Path(temporary)
            files = [
                write(top / "source", draw_wide(f"S{at:04d}", args.tiles, dtype))
                for at in range(args.slides)
            ]
            size = sum(path.stat().st_size for path in files) / 1e6
            for turn in range(args.rounds):
                copied = copy_files(files, top / "copy")
                took = import_folder(top / "source", top / f"store{turn}")
                print(
                    f"{name:<11} {args.slides:>6}  {size:<6.0f} {size / copied:>8.0f}  "
                    f"{size / took['seconds']:>11.0f}  {took['cpu_s'] * 1e3 / size:>8.1f}  "
                    f"{took['peak_mb']:>16.0f}",
                    flush=True,
                )
                shutil.rmtree(top / "copy")
                shutil.rmtree(top / f"store{turn}")


def draw_wide(name: str, tiles: int, dtype: str) -> Foreign:
    """A slide of many tiles, more than the coords of `draw_slide` allow."""
    part = draw_slide(name, 500, DIM, dtype)
    times = -(-tiles // 500)
    coords, vectors = (np.tile(a, (times, 1))[:tiles] for a in (part.coords, part.vectors))
    return Foreign(name, coords, vectors)


if __name__ == "__main__":
    main()
