"""The SLURM script with the real Python and Ray; only SLURM's own programs are stand-ins."""

import sys
from pathlib import Path

import pytest

from histo_ray.store.store import open_store
from tests.conftest import ENCODER, GOOD, TILE_PX, Cohort
from tests.infra.slurm import Slurm, ended

pytestmark = [pytest.mark.ray, pytest.mark.slow]


def test_a_job_on_one_node_runs_to_its_end(tmp_path: Path, cohort: Cohort) -> None:
    run = tmp_path / "run.toml"
    run.write_text(
        f'manifest = "{cohort.manifest}"\nstore = "{tmp_path / "store"}"\n'
        f'encoder = ["{ENCODER}"]\ntile_px = {TILE_PX}\nencoder_threads = 1\n',
        encoding="utf-8",
    )
    slurm = Slurm(tmp_path).install(stand_ins=False)
    job = slurm.start("jobs/extract.py", str(run), HISTO_RAY_PYTHON=sys.executable)
    code, output = ended(job)
    assert code == 1, output  # one slide of the cohort is broken on purpose
    assert "with_nodes.py: 1 nodes, 2 CPUs, 0 GPUs" in output
    stored = {key.slide_id for key in open_store(str(tmp_path / "store")).list_keys()}
    assert set(GOOD) <= stored
    assert slurm.leftovers() == []
