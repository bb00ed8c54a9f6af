"""One undisturbed extraction on the shared Ray, for all tests that compare others with it."""

from collections.abc import Callable
from typing import Any

import pytest

from histo_ray.cluster.run_extract import run_extract
from histo_ray.config import ExtractConfig
from histo_ray.extract.recorder import RunSummary

MakeConfig = Callable[..., ExtractConfig]


@pytest.fixture(scope="session")
def first(
    shared_ray: None, make_config: MakeConfig, tmp_path_factory: pytest.TempPathFactory
) -> tuple[ExtractConfig, RunSummary]:
    """A run over the whole cohort; its store must not be changed, only copied."""
    config = make_config(tmp_path_factory.mktemp("first") / "store")
    return config, run_extract(config)


@pytest.fixture(scope="session")
def first_vectors(
    first: tuple[ExtractConfig, RunSummary], read_vectors: Callable[[str], dict[Any, bytes]]
) -> dict[Any, bytes]:
    """Its vectors, by partition."""
    return read_vectors(first[0].store)
