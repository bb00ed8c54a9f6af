"""An empty store."""

from pathlib import Path

import pytest

from histo_ray.pooling.feature_store import FeatureStore, open_store


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    return open_store(str(tmp_path / "store"), create=True)
