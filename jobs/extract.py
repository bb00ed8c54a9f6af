"""Extract features for every slide of a manifest: `python jobs/extract.py run.toml [flags]`.

For `ray job submit --working-dir . -- python jobs/extract.py run.toml`; it joins the job's cluster.
Any flag of `histo-ray extract` may follow the file and wins over it.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # a shipped folder is not installed

from histo_ray.cli import main

if __name__ == "__main__":
    arguments = sys.argv[1:]
    if arguments and not arguments[0].startswith("-"):
        arguments.insert(0, "--config")
    sys.exit(main(["extract", *arguments]))
