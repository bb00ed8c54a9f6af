"""One extraction in a process of its own: `python -m benchmarks.one_run SETTINGS.json` prints JSON.

The file holds a list of settings of `ExtractConfig`; their runs share one Ray session.
"""

import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.process_cpu import measure_work
from histo_ray.cluster.run_extract import run_extract
from histo_ray.cluster.session import ray_session
from histo_ray.config import ExtractConfig, parse_settings


def measure_run(settings: dict[str, Any]) -> dict[str, Any]:
    """Extract once; what the run counted.

    Raises:
        SystemExit: A slide is not `done`, so the figure would mean something else.
    """
    with measure_work() as cpu_s:
        summary = run_extract(parse_settings(ExtractConfig, settings, "benchmark"))
    if set(summary.outcomes) != {"done"}:
        raise SystemExit(f"benchmark: outcomes {summary.outcomes} instead of done only")
    counts = summary.counts
    encode_s = counts.encode_ended - counts.encode_began
    return {
        "tiles": counts.tiles_encoded,
        "encode_s": encode_s,
        "tiles_per_s": counts.tiles_encoded / encode_s,
        "run_s": summary.seconds,
        "work_s": summary.record.work_s,
        "cpu_s": cpu_s,
        "deaths": counts.deaths,
        "gpu_busy": summary.record.gpu_busy,
        "verdict": summary.record.hint,
    }


def main() -> None:
    """Run all settings of the file, one after the other."""
    runs = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    with ray_session("local"):
        print(json.dumps([measure_run(settings) for settings in runs]))


if __name__ == "__main__":
    main()
