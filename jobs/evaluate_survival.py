"""Compare encoders by what they predict: `python jobs/evaluate_survival.py run.toml [flags]`.

For `ray job submit --working-dir . -- python jobs/evaluate_survival.py run.toml`; it joins the
job's cluster.
Any flag of `histo-ray evaluate survival` may follow the file and wins over it.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # a shipped folder is not installed

from histo_ray.cli import run_job

if __name__ == "__main__":
    sys.exit(run_job("evaluate", "survival"))
