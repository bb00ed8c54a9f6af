import numpy as np

from histo_ray.learn.targets.configurations import (
    Configuration,
    assemble_predictions,
    select_configurations,
)

A1, A2, B1 = (
    Configuration("a", "mean", "ridge"),
    Configuration("a", "quantiles", "ridge"),
    Configuration("b", "mean", "ridge"),
)


def test_each_encoder_has_one_configuration_selected_for_each_fold_and_target() -> None:
    scores = np.full((3, 1, 2, 2), np.nan)
    scores[:, 0, 0] = [[0.1, 0.5], [0.2, 0.5], [-3, np.nan]]
    scores[:, 0, 1] = [[np.nan, np.nan], [0.0, np.nan], [np.nan, 1]]
    selected = select_configurations([A1, A2, B1], scores)
    assert selected[:, 0, 0].tolist() == [[False, True], [True, False], [True, True]]
    assert selected[:, 0, 1].tolist() == [[False, True], [True, False], [True, True]]


def test_predictions_come_from_the_configuration_selected_for_the_patients_fold() -> None:
    predicted = np.arange(2 * 1 * 3 * 2, dtype=np.float32).reshape(2, 1, 3, 2)
    selected = np.zeros((2, 1, 2, 2), bool)
    selected[0, 0, 0] = [True, False]
    selected[1, 0, 0] = [False, True]
    selected[1, 0, 1] = True
    parts = np.array([[0, 1, 0]])
    found = assemble_predictions(predicted, selected, parts)
    assert found.tolist() == [[[0, 7], [8, 9], [4, 11]]]


def test_targets_may_have_folds_of_their_own_and_patients_without_a_label() -> None:
    predicted = np.stack([np.zeros((1, 3, 2)), np.ones((1, 3, 2))]).astype(np.float32)
    selected = np.zeros((2, 1, 2, 2), bool)
    selected[0, 0, 0] = True  # fold 0 takes the first configuration
    selected[1, 0, 1] = True
    parts = np.array([[[0, 1, 1]], [[1, -1, 0]]])
    found = assemble_predictions(predicted, selected, parts)
    np.testing.assert_array_equal(found, [[[0, 1], [1, np.nan], [1, 0]]])


def test_one_configuration_alone_is_taken_as_it_is() -> None:
    predicted = np.ones((1, 2, 3, 1), np.float32)
    selected = np.ones((1, 2, 2, 1), bool)
    assert assemble_predictions(predicted, selected, np.zeros((2, 3), int)) is not None
