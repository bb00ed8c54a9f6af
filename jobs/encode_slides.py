"""Make one vector of each slide: `python jobs/encode_slides.py run.toml [flags]`.

For `ray job submit --working-dir . -- python jobs/encode_slides.py run.toml`; the work is done in
one process, on the node where the job runs.
Any flag of `histo-ray encode-slides` may follow the file and wins over it.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # a shipped folder is not installed

from histo_ray.cli import run_job

if __name__ == "__main__":
    sys.exit(run_job("encode-slides"))
