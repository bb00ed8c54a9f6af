"""A predictor in memory: parts, calibration, calls, and who it was fitted on."""

import numpy as np
import pytest

from histo_ray.errors import ConfigError
from histo_ray.predict.patient_hashes import find_overlap, hash_patient
from histo_ray.predict.predictor import FittedPredictor
from tests.predict.made_predictor import PATIENTS, SALT, make_bags, make_predictor, pool_mean


@pytest.fixture(scope="module")
def made() -> FittedPredictor:
    return make_predictor(mil=True)


def test_targets_come_in_the_order_of_the_card_whatever_part_predicts_them(
    made: FittedPredictor,
) -> None:
    bags = make_bags(9, seed=4)
    pooled = pool_mean(bags)
    found = made.predict({"mean": pooled}, bags)
    (linear,), (attention,) = made.parts.linear, made.parts.bags
    np.testing.assert_array_equal(found[:, 0], linear.predict(pooled)[:, 0])
    members = [head.predict(bags)[:, 0] for head in attention.members]
    np.testing.assert_allclose(found[:, 1], np.mean(members, axis=0))
    assert (made.card.poolings, made.card.needs_bags) == (("mean",), True)
    np.testing.assert_allclose(attention.attend(bags[3]).sum(), 1, rtol=1e-5)


def test_the_head_that_did_not_see_a_fold_is_found(made: FittedPredictor) -> None:
    (attention,) = made.parts.bags
    assert attention.member(0, 1) is attention.members[1]
    for repeat, fold in ((1, 0), (0, 2)):
        with pytest.raises(ConfigError, match="it has 1 repeats of 2 folds"):
            attention.member(repeat, fold)


def test_what_is_missing_is_named(made: FittedPredictor) -> None:
    bags = make_bags(9, seed=4)
    with pytest.raises(ConfigError, match="needs vectors of pooling mean, but there are max"):
        made.predict({"max": pool_mean(bags)}, bags)
    with pytest.raises(ConfigError, match="target BETA: it is predicted from bags"):
        made.predict({"mean": pool_mean(bags)})


def test_calls_are_made_on_uncalibrated_predictions(made: FittedPredictor) -> None:
    first, second = (target.thresholds for target in made.card.targets)
    values = np.array([[first[0].value, second[1].value - 1e-9], [np.nan, 1.0]])
    assert made.call(values)[0, 0] == 1
    np.testing.assert_array_equal(
        made.call(values, "sensitivity 0.9"), [[first[0].value >= first[1].value, 0], [np.nan, 1]]
    )
    assert np.isnan(made.call(values, "no such rule")).all()


def test_each_target_has_a_calibration_of_its_own(made: FittedPredictor) -> None:
    values = np.array([[0.2, 0.2], [0.9, np.nan]])
    found = made.calibrate(values)
    one, two = (target.calibration for target in made.card.targets)
    odds = np.log(0.2 / 0.8)
    expected = [1 / (1 + np.exp(-(c.slope * odds + c.intercept))) for c in (one, two)]
    np.testing.assert_allclose(found[0], expected)
    assert np.isnan(found[1, 1])


def test_patients_are_found_again_by_their_hashes(made: FittedPredictor) -> None:
    cohort = made.card.cohort
    assert find_overlap(cohort, ["P3", "Q3", f"P{PATIENTS}"]) == {"P3"}
    assert "P3" not in made.card.model_dump_json()
    hidden = cohort.model_copy(update={"patient_hashes": None})
    assert find_overlap(hidden, ["P3"]) == set()
    assert hash_patient(SALT, "P3") != hash_patient("other", "P3")


def test_slides_and_samples_of_a_person_are_that_person() -> None:
    one = hash_patient(SALT, "TCGA-05-4249")
    assert hash_patient(SALT, "tcga-05-4249-01Z-00-DX1") == one
    assert hash_patient(SALT, "TCGA-05-4250") != one
