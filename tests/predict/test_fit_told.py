"""What a fit tells in its card: caveats, label files, slides; and what it does not predict."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from histo_ray.api.fit import fit
from histo_ray.config import parse_settings
from histo_ray.evaluate.caveats import CaveatCode
from histo_ray.evaluate.tasks.registry import TASKS
from histo_ray.predict.card import TargetCard
from histo_ray.predict.files import load_predictor
from histo_ray.predict.fitting.chance_caveats import find_useless_targets
from histo_ray.predict.fitting.fit import FitResult
from histo_ray.predict.fitting.fit_command import fit_settings
from histo_ray.predict.patient_hashes import is_known_slide
from histo_ray.report.caveat_words import write_caveat
from histo_ray.report.external.predictor_words import describe_predictor
from histo_ray.store.store import open_store
from tests.cluster.patients import COUNT, write_labels, write_store


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("told")
    write_store(folder)
    write_labels(folder)
    return folder


def run_fit(place: Path, **changes: Any) -> FitResult:
    given = {
        "store": str(place / "store"), "encoder": ("sharp",), "name": "made", "repeats": 2,
        "labels": str(place / "mutations.csv"), "resamples": 100, "address": "none",
    }  # fmt: skip
    task = TASKS["mutation"]
    return fit(task, parse_settings(fit_settings(task), given | changes, "test"))


@pytest.fixture(scope="module")
def mutation(place: Path) -> FitResult:
    return run_fit(place)


def test_label_files_are_kept_with_the_whole_path(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    found = run_fit(place, name="elsewhere", labels="mutations.csv", seed=4, repeats=1)
    card = found.predictor.card
    assert card.settings["labels"] == str(place / "mutations.csv")
    record = json.loads((place / "store" / card.evaluation.folder / "run.json").read_text())
    assert record["settings"]["labels"] == str(place / "mutations.csv")


def test_targets_that_are_not_predicted_are_told_in_the_card(
    place: Path, mutation: FitResult
) -> None:
    card = mutation.predictor.card
    run = place / "store" / card.evaluation.folder
    record = json.loads((run / "run.json").read_text())
    *evaluated, useless = card.caveats
    assert [one.code.value for one in evaluated] == [one["code"] for one in record["caveats"]]
    assert {CaveatCode.FEW_PATIENTS, CaveatCode.SITES_SPLIT} <= {one.code for one in evaluated}
    assert useless.code is CaveatCode.NO_BETTER_THAN_CHANCE
    table = pd.read_parquet(run / "targets.parquet").set_index("target")
    poor = table[table["q_chance"] >= 0.05]  # as the evaluation says
    assert set(useless.names("targets")) == set(poor.index) == {"KRAS", "EGFR"}
    again = run_fit(place, name="after", sensitivity=0.8)  # its evaluation is found
    lines = "\n".join(describe_predictor(again.predictor.card, "there"))
    assert "KRAS, EGFR: not better than chance; their calls mean nothing." in lines
    assert "Beware: 60 patients only" in lines
    assert load_predictor("after", str(place / "store")).card.caveats == card.caveats


@pytest.mark.parametrize(
    ("changes", "useless"),
    [
        ({"score": 0.7, "low": 0.6, "q_chance": 0.01}, False),
        ({"score": 0.7, "low": 0.5, "q_chance": 0.01}, False),
        ({"score": 0.7, "low": 0.5}, True),
        ({"score": 0.7, "low": 0.6, "q_chance": 0.05}, True),
        ({"score": 0.7}, False),
        ({"score": 0.5}, True),
        ({"score": None}, True),
        ({"score": 0.1, "metric": "recall"}, False),
        ({"score": 0.1, "low": 0.05, "q_chance": 0.04, "metric": "pearson"}, False),
        ({"score": 0.1, "low": -0.05, "q_chance": 0.04, "metric": "pearson"}, False),
        ({"score": 0.1, "low": -0.05, "metric": "pearson"}, True),
    ],
)
def test_a_target_is_useless_where_chance_is_not_excluded(
    changes: dict[str, Any], useless: bool
) -> None:
    known: dict[str, Any] = {"name": "G", "n_patients": 9, "part": 0, "metric": "auroc"}
    target = TargetCard(**(known | changes))
    found = list(find_useless_targets([target]))
    assert [one.names("targets") for one in found] == ([["G"]] if useless else [])
    if found:
        assert write_caveat(found[0]) == ("G: not better than chance; its predictions mean nothing")


def test_slides_are_kept_as_hashes_unless_these_are_left_out(
    place: Path, mutation: FitResult
) -> None:
    cohort = mutation.predictor.card.cohort
    assert len(cohort.slide_hashes or ()) == COUNT + 6  # vectors alone: made-up files are all alike
    store = open_store(str(place / "store"))
    receipts = [store.read_receipt(key) for key in store.list_keys("sharp")]
    assert all(is_known_slide(cohort, receipt) for receipt in receipts)
    other = next(store.read_receipt(key) for key in store.list_keys("dull"))
    assert not is_known_slide(cohort, other)
    hidden = run_fit(place, name="hidden", patient_hashes=False)
    assert hidden.predictor.card.cohort.slide_hashes is None
