from pathlib import Path

import pytest

from histo_ray.synth.cohort import write_demo_cohort


@pytest.fixture(scope="session")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Manifest of a small cohort."""
    return write_demo_cohort(tmp_path_factory.mktemp("cohort"), seed=3, size="small")
