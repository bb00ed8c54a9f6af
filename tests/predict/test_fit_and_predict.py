"""From a fit in one store to an external validation in another, as users do it."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import histo_ray as hr
from tests.predict.external_store import COUNT, PEOPLE, write_external, write_labels
from tests.predict.made_predictor import make_bags, pool_mean

FITTED_ON = tuple(f"A{at:02d}" for at in range(60))


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two stores of different patients with the same biology, and the labels of both."""
    folder = tmp_path_factory.mktemp("two")
    home = make_bags(len(FITTED_ON), seed=3)
    write_external(folder / "A", FITTED_ON, home)
    write_labels(folder / "a.csv", FITTED_ON, home)
    write_external(folder / "B")
    write_labels(folder / "b.csv")
    for name, people, bags in (("a", FITTED_ON, home), ("b", PEOPLE, make_bags(COUNT, seed=8))):
        frame = pd.DataFrame(np.exp(pool_mean(bags)[:, :2]), columns=["CD8A", "PDCD1"])
        frame.insert(0, "patient_id", people)
        frame.to_csv(folder / f"{name}-expression.csv", index=False)
    return folder


def test_a_mutation_predictor_is_validated_elsewhere(here: Path) -> None:
    predictor = hr.fit.mutation(
        here / "A", labels=here / "a.csv", encoder="sharp", name="genes", folds=3, repeats=2
    )
    found = predictor.predict(here / "B", labels=str(here / "b.csv"))
    scores = found.validation
    areas = scores[scores.metric == "auroc"].set_index("target")
    assert (areas.score > 0.9).all()
    known = predictor.targets.set_index("name").score
    assert areas.trained.to_dict() == pytest.approx(known.to_dict())
    slopes = scores[scores.metric == "calibration_slope"]
    assert len(slopes) == 2
    assert found.record.outside < 0.1
    by_folder = hr.predict(here / "A" / "predictors" / "genes", here / "B")
    pd.testing.assert_frame_equal(by_folder.patients, found.patients)
    with pytest.raises(hr.ConfigError, match=r"fitted on all 60 patients .* evaluations/mutation"):
        predictor.predict(here / "A")


def test_an_expression_predictor_says_values_in_both_scales(here: Path) -> None:
    predictor = hr.fit.expression(
        here / "A", labels=here / "a-expression.csv", encoder="sharp", name="rna", folds=3,
        repeats=1, permutations=0,
    )  # fmt: skip
    found = predictor.predict(here / "B", labels=str(here / "b-expression.csv"))
    scores = found.validation.set_index(["target", "metric"])
    truth = pd.read_csv(here / "b-expression.csv").set_index("patient_id")
    assert list(truth) == ["CD8A", "PDCD1"]
    own = found.patients[found.patients.target == "CD8A"].set_index("patient_id")
    assert scores.score["CD8A", "pearson"] > 0.8
    assert scores.score["CD8A", "r2"] > 0.5
    low, high = scores.low["CD8A", "calibration_slope"], scores.high["CD8A", "calibration_slope"]
    assert low < 1.2
    assert high > 0.8
    values = own.label_value.loc[list(truth.index)]
    assert np.corrcoef(np.log(values), np.log(truth.CD8A))[0, 1] > 0.8
