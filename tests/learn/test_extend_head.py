"""The recipe `docs/extend/head.md`, followed to the letter."""

import importlib
import json
from pathlib import Path

import numpy as np
import pytest

from histo_ray.cli import main
from histo_ray.learn.heads import registry
from histo_ray.learn.heads.registry import HeadEntry, TrainsOn, load_patient_head
from histo_ray.types import TargetKind
from tests.cluster.patients import write_labels, write_store
from tests.extend_pages import code_blocks
from tests.learn.head_contract import PatientHeadContract


@pytest.fixture
def entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HeadEntry:
    """The page's head, registered in this process."""
    module, line = code_blocks("head.md")
    assert module.splitlines()[0] == "# histo_ray/learn/heads/neighbours.py"
    (tmp_path / "neighbours.py").write_text(module, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    names = {"HeadEntry": HeadEntry, "TrainsOn": TrainsOn, "TargetKind": TargetKind}
    (found,) = eval(line, names)
    assert found.module == "histo_ray.learn.heads.neighbours"
    here: HeadEntry = found._replace(module="neighbours")
    monkeypatch.setattr(registry, "HEADS", (*registry.HEADS, here))
    return here


class TestHeadOfThePage(PatientHeadContract):
    """The contract of heads."""

    @pytest.fixture(autouse=True)
    def _registered(self, entry: HeadEntry) -> None:
        self.name, (self.kind, *_) = entry.name, entry.kinds

    def test_the_nearest_rows_are_averaged(self) -> None:
        mean_of_nearest = importlib.import_module("neighbours").mean_of_nearest
        train, targets = np.array([[0.0, 0], [1, 0], [9, 9]]), np.array([[1.0], [3], [50]])
        found = mean_of_nearest(train, targets, np.array([[0.2, 0], [9, 8]]), 2)
        np.testing.assert_allclose(found, np.array([[2], [26.5]]))
        assert load_patient_head(self.name).choices == (25, 15, 9, 5)


def test_an_evaluation_takes_it_from_the_command_line(
    entry: HeadEntry, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = write_store(tmp_path)
    write_labels(tmp_path)
    labels = str(tmp_path / "expression.csv")
    flags = ["--store", store, "--labels", labels, "--encoder", "sharp", "--repeats", "2"]
    flags += ["--address", "none", "--json", "--head"]
    assert main(["evaluate", "expression", *flags, entry.name]) == 0
    record = json.loads(capsys.readouterr().out)
    assert [one["head"] for one in record["configurations"]] == [entry.name]
    best = max(record["shown"], key=lambda row: row["by_encoder"]["sharp"]["score"])
    assert best["target"] in ("G0", "G1")  # the genes that follow the patients' hidden state
    assert best["by_encoder"]["sharp"]["score"] > 0.5
    assert main(["evaluate", "expression", *flags, "neighbors"]) == 2
    assert "did you mean neighbours?" in capsys.readouterr().err
