"""The recipe `docs/extend/pooling.md`, followed to the letter."""

import importlib
import json
from pathlib import Path

import numpy as np
import pytest

from histo_ray.cli import main
from histo_ray.pooling import registry as poolings
from histo_ray.pooling.base import PoolingMethod
from histo_ray.pooling.feature_store import open_store
from tests.cluster.patients import write_labels, write_store
from tests.extend_pages import code_blocks
from tests.pooling.pooling_contract import PoolingContract


@pytest.fixture
def pooling(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> type[PoolingMethod]:
    """The page's pooling, registered in this process."""
    module, line = code_blocks("pooling.md")
    assert module.splitlines()[0] == "# histo_ray/pooling/methods/extremes.py"
    (tmp_path / "extremes.py").write_text(module, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    names = vars(importlib.import_module("extremes"))
    (kind,) = eval(line, dict(names))
    monkeypatch.setattr(poolings, "POOLINGS", [*poolings.POOLINGS, kind])
    made: type[PoolingMethod] = kind
    return made


class TestPoolingOfThePage(PoolingContract):
    """The contract of poolings."""

    texts = ("extremes",)

    @pytest.fixture(autouse=True)
    def _registered(self, pooling: type[PoolingMethod]) -> None:
        """Names are read by the registry."""


def test_a_store_pools_by_it(pooling: type[PoolingMethod], tmp_path: Path) -> None:
    store = open_store(write_store(tmp_path))
    frame = store.matrix("sharp", pool=pooling.usage)
    slide = str(frame.index[0])
    vectors = store.bag(slide, "sharp").embeddings.astype(np.float32)
    expected = np.concatenate([vectors.min(axis=0), vectors.max(axis=0)])
    np.testing.assert_array_equal(frame.loc[slide], expected)


def test_an_evaluation_takes_it_from_the_command_line(
    pooling: type[PoolingMethod], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = write_store(tmp_path)
    write_labels(tmp_path)
    flags = [
        *("--store", store, "--labels", str(tmp_path / "expression.csv"), "--encoder", "sharp"),
        *("--pooling", pooling.usage, "--repeats", "1", "--permutations", "20"),
        *("--address", "none"),
    ]
    assert main(["evaluate", "expression", *flags, "--json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert [one["pooling"] for one in record["configurations"]] == ["extremes"]
    assert main(["evaluate", "expression", *flags[:-4], "--pooling", "extremas"]) == 2
    assert "extremes" in capsys.readouterr().err
