"""Fit a predictor: `python jobs/fit.py TASK run.toml [flags]`, TASK as for `histo-ray fit`.

For `ray job submit --working-dir . -- python jobs/fit.py mutation run.toml`; it joins the job's
cluster.
Any flag of `histo-ray fit TASK` may follow the file and wins over it.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # a shipped folder is not installed

from histo_ray.cli import run_job

if __name__ == "__main__":
    task = sys.argv[1:2]
    del sys.argv[1:2]
    sys.exit(run_job("fit", *task))
