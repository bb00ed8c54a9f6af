import numpy as np
import pytest
from sklearn import metrics

from histo_ray.learn.tiles.tile_metrics import score_classes


def test_scores_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    labels = rng.choice(4, 500, p=[0.5, 0.3, 0.15, 0.05])
    predicted = np.where(rng.random(500) < 0.7, labels, rng.integers(0, 4, 500))
    scores = score_classes(labels, predicted, 4)
    assert scores.accuracy == pytest.approx(metrics.accuracy_score(labels, predicted))
    balanced = metrics.balanced_accuracy_score(labels, predicted)
    assert scores.balanced_accuracy == pytest.approx(balanced)
    recalls = metrics.recall_score(labels, predicted, average=None)
    np.testing.assert_allclose(scores.recalls, recalls)


def test_rows_of_the_confusion_are_true_classes() -> None:
    scores = score_classes(np.array([0, 0, 0, 1]), np.array([0, 2, 2, 1]), 3)
    assert scores.confusion.tolist() == [[1, 0, 2], [0, 1, 0], [0, 0, 0]]
    np.testing.assert_array_equal(scores.recalls, [1 / 3, 1, np.nan])
    assert scores.balanced_accuracy == pytest.approx(2 / 3)
    assert scores.accuracy == 0.5


@pytest.mark.parametrize("predicted", [[0, 3], [0, -1]])
def test_a_class_that_is_not_there_is_refused(predicted: list[int]) -> None:
    with pytest.raises(ValueError, match=r"predicted: 2 rows, needs .* of classes 0\.\.2"):
        score_classes(np.array([0, 1]), np.array(predicted), 3)
