"""Heads that did not see a patient, as an evaluation had them, and what their tiles add up to."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from histo_ray.api.evaluate import evaluate
from histo_ray.evaluate.engine import run_here
from histo_ray.evaluate.evaluation_record import PatientRecord
from histo_ray.evaluate.find_run import prepare_again
from histo_ray.evaluate.jobs import Host
from histo_ray.evaluate.tasks.registry import TASKS
from histo_ray.predict.heat.out_of_fold import OutOfFold
from histo_ray.predict.heat.patient_tiles import EncoderSlides
from histo_ray.predict.heat.tile_scores import ScoredTiles, score_patient
from histo_ray.store.location import location_of
from tests.cluster.patients import write_labels, write_store

RUNS: dict[str, tuple[str, dict[str, Any]]] = {
    "ridge": ("expression", {"permutations": 0}),
    "pls": ("expression", {"head": ("pls", "ridge"), "permutations": 8}),
    "nets": ("expression", {"head": ("elastic-net",), "permutations": 0, "genes": "G0,G1"}),
    "logistic": ("mutation", {"pooling": ("tissue", "mean+std"), "genes": "TP53"}),
    "mil": ("mutation", {"head": ("mil",), "mil": ("epochs=2",), "genes": "TP53"}),
    "clam": (
        "mutation",
        {"head": ("mil",), "mil": ("epochs=2", "network=clam", "members=2"), "genes": "TP53"},
    ),
    "numbers": (
        "expression",
        {"head": ("mil",), "mil": ("epochs=2", "hidden=8", "members=2"), "genes": "G0,G1"},
    ),
}
HOST = Host(run_here)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], SimpleNamespace]:
    """Evaluations of one store by their names, made when they are asked for."""
    folder = tmp_path_factory.mktemp("runs")
    store = write_store(folder)
    write_labels(folder)
    (folder / "genes.txt").write_text("G0\nG1\nTP53\n")
    made: dict[str, SimpleNamespace] = {}

    def make(name: str) -> SimpleNamespace:
        if name not in made:
            task, settings = RUNS[name]
            genes = {"genes": str(folder / "genes.txt")} if "genes" in settings else {}
            labels = folder / ("expression.csv" if task == "expression" else "mutations.csv")
            config = TASKS[task].config.model_validate(
                {
                    "store": store, "labels": str(labels), "encoder": ("sharp",), "folds": 3,
                    "repeats": 2, "resamples": 100, "address": "none", **settings, **genes,
                }
            )  # fmt: skip
            result = evaluate(TASKS[task], config)
            record = result.evaluation.record
            assert isinstance(record, PatientRecord)
            made[name] = SimpleNamespace(
                store=store, record=record, predictions=result.predictions, folder=folder
            )
        return made[name]

    return make


def heads_of(run: SimpleNamespace, target: str) -> OutOfFold:
    return OutOfFold(prepare_again(run.store, run.record, HOST), target, "sharp")


def score(run: SimpleNamespace, heads: OutOfFold, patient: str) -> ScoredTiles:
    root = location_of(run.store)
    slides = EncoderSlides(root, "sharp", "t0", heads.prepared.plan.patients.slides)
    tiles = slides.tiles_of(patient)
    return score_patient(
        root, tiles, heads.heads_of(patient), lambda name: heads.pooled_vector(patient, name)
    )


@pytest.mark.parametrize(("name", "target"), [
    ("ridge", "G2"), ("pls", "G1"), ("nets", "G0"), ("logistic", "TP53"), ("mil", "TP53"),
    ("clam", "TP53"), ("numbers", "G1"),
])  # fmt: skip
def test_heads_are_those_of_the_run_and_tiles_add_up_to_its_prediction(
    name: str, target: str, runs: Callable[[str], SimpleNamespace]
) -> None:
    run = runs(name)
    heads = heads_of(run, target)
    frame: pd.DataFrame = run.predictions
    own = frame[frame["target"] == target].sort_values("repeat")
    assert own["patient_id"].nunique() > 50
    for patient in own["patient_id"].unique()[::14]:
        predicted = own.loc[own["patient_id"] == patient, "predicted"].to_numpy()
        found = heads.heads_of(patient)
        assert found.out_of_fold
        assert found.count == len(predicted) == 2
        np.testing.assert_allclose(_predict(heads, patient), predicted, rtol=0, atol=1e-6)
        scored = score(run, heads, patient)
        expected = predicted if target[0] == "G" else np.log(predicted / (1 - predicted))
        assert scored.decision == pytest.approx(expected.mean(), abs=1e-5)
        scores = scored.scores
        assert len(scored.coords) == len(scores.score) == scored.tiles.count
        assert scores.weight.sum() == pytest.approx(1)
        if scores.exact:
            assert scores.contribution.mean() == pytest.approx(expected.mean(), abs=1e-5)


def _predict(heads: OutOfFold, patient: str) -> list[float]:
    """Predictions of the single heads, in order of the repeats."""
    found = heads.heads_of(patient)
    row = heads.patients.index(patient)
    by_pooling = {one.pooling: list(one.fits) for one in found.pooled}
    bags = list(found.bags)
    predicted = []
    for one in heads.predictions[patient]:
        pooling = heads.prepared.plan.configurations[one.configuration].pooling
        if pooling == "bags":
            tiles = heads.bags.vectors[row]
            predicted.append(float(bags.pop(0).predict([tiles])[0, 0]))
        else:
            vector = heads.pooled_vector(patient, pooling)
            predicted.append(float(by_pooling[pooling].pop(0).predict(vector[None])[0, 0]))
    return predicted
