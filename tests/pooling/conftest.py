"""An empty store."""

from pathlib import Path

import pytest

from histo_ray.store.store import Store, open_store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"), create=True)
