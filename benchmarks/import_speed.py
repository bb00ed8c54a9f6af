"""Speed and memory of `store import`, beside a plain copy of the same files in the same run.

    python -m benchmarks.import_speed --slides 40

Slides of 3,000 tiles x 1,024 numbers are written as TRIDENT, CLAM (HDF5, and tensors alone) and
STAMP write them. Each layout is imported by the command line in a process of its own, in turn with a copy of
its files that is flushed to disk, as what is imported is; both read files that were just written,
so from memory where that holds them. MB are those of the source's vectors.
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


def import_folder(folder: Path, store: Path) -> tuple[float, float]:
    """Seconds of the import's own work, and MB of memory at most, of the command line."""
    command = [sys.executable, "-m", "benchmarks.import_speed", "--one", str(folder), str(store)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    said = json.loads(done.stdout.splitlines()[-1])
    return float(said["seconds"]), float(said["peak_mb"])


def import_one(folder: str, store: str) -> None:
    """What the process of one import does; memory before the first slide is taken off."""
    from histo_ray.api.import_features import import_features

    before = _peak_mb()
    began = time.perf_counter()
    result = import_features(folder, store, encoder="e", slide_mpp=0.25)
    seconds = time.perf_counter() - began
    if set(result.summary.outcomes) != {"done"}:
        raise SystemExit(f"not all were imported: {result.summary.outcomes}")
    print(json.dumps({"seconds": seconds, "peak_mb": _peak_mb() - before}))


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
    print("layout      slides  MB     copy MB/s  import MB/s  memory added, MB")
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
                seconds, peak = import_folder(top / "source", top / f"store{turn}")
                print(
                    f"{name:<11} {args.slides:>6}  {size:<6.0f} {size / copied:>8.0f}  "
                    f"{size / seconds:>11.0f}  {peak:>16.0f}",
                    flush=True,
                )
                shutil.rmtree(top / "copy")
                shutil.rmtree(top / f"store{turn}")


def draw_wide(name: str, tiles: int, dtype: str) -> Foreign:
    """A slide of many tiles, more than the coords of `draw_slide` allow."""
    import numpy as np

    part = draw_slide(name, 500, DIM, dtype)
    times = -(-tiles // 500)
    steps = np.repeat(np.arange(times), 500)[:, None] % 2
    coords = np.tile(part.coords, (times, 1))[:tiles] + 0 * steps[:tiles]
    return Foreign(name, coords, np.tile(part.vectors, (times, 1))[:tiles])


if __name__ == "__main__":
    main()
