import os
import subprocess
import sys
from pathlib import Path

from histo_ray.store.atomic_write import stage, sweep_staging
from histo_ray.store.location import location_of


def test_a_dead_process_of_this_machine_leaves_nothing_behind(tmp_path: Path) -> None:
    dead = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True
    )
    staging = tmp_path / ".staging"
    staging.mkdir()
    root = location_of(str(tmp_path))
    with stage(root) as mine:
        here = mine.name.removesuffix(mine.name.rpartition("-")[2]).removesuffix(f"{os.getpid()}-")
    (staging / f"{here}{int(dead.stdout)}-abc").mkdir()
    other = staging / f"histo-ray-another.host-{int(dead.stdout)}-abc"
    other.mkdir()
    with stage(root) as mine:
        assert f"-{os.getpid()}-" in mine.name
        assert len(sweep_staging(root)) == 1
        assert sorted(staging.iterdir()) == sorted([other, mine])
