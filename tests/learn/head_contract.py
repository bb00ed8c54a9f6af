"""What every head keeps: the contract that each member of the registry is held against."""

import numpy as np
import numpy.typing as npt
import pytest

from histo_ray.learn.fold_data import FoldData
from histo_ray.learn.heads.base import EmbeddedTiles
from histo_ray.learn.heads.linear_fit import apply_link
from histo_ray.learn.heads.registry import load_patient_head, load_tile_head
from histo_ray.types import TargetKind
from tests.learn.patient_data import make_features, make_fold, make_labels, make_times, make_values

MAKERS = {
    TargetKind.CONTINUOUS: make_values,
    TargetKind.BINARY: make_labels,
    TargetKind.SURVIVAL: make_times,
}
"""Labels for features, by what they are."""


def make_tiles(rows: int = 90, dim: int = 7) -> tuple[EmbeddedTiles, npt.NDArray[np.int32]]:
    rng = np.random.default_rng(4)
    labels = (np.arange(rows) % 3).astype(np.int32)
    vectors = rng.normal(size=(rows, dim)) + np.eye(3, dim)[labels] * 4
    return EmbeddedTiles(vectors.astype(np.float16), labels, 4), (np.arange(rows) // 3 % 5).astype(
        np.int32
    )


class TileHeadContract:
    """Held by every head of tiles; a subclass names the head."""

    name: str

    def test_choices_run_from_the_most_regular_on_and_each_is_scored(self) -> None:
        head = load_tile_head(self.name)
        tiles, fold_ids = make_tiles()
        score = head.start(tiles, fold_ids)
        scores = list(score([1, 2, 3], tiles.embeddings[fold_ids == 0], head.choices))
        assert len(scores) == len(head.choices) >= 1
        assert {one.shape for one in scores} == {((fold_ids == 0).sum(), 4)}
        assert all(one.dtype == np.float32 for one in scores)

    def test_a_class_that_the_training_part_lacks_is_never_predicted(self) -> None:
        head = load_tile_head(self.name)
        tiles, fold_ids = make_tiles()
        for scores in head.start(tiles, fold_ids)([1, 2, 3, 4], tiles.embeddings, head.choices):
            assert 3 not in scores.argmax(1)

    def test_classes_that_lie_apart_are_told_apart(self) -> None:
        head = load_tile_head(self.name)
        tiles, fold_ids = make_tiles()
        score = head.start(tiles, fold_ids)
        tested = fold_ids == 0
        paths = list(score([1, 2, 3, 4], tiles.embeddings[tested], head.choices))
        right = [(one.argmax(1) == tiles.labels[tested]).mean() for one in paths]
        assert max(right) > 0.9

    def test_labels_of_the_test_part_bear_on_nothing(self) -> None:
        head = load_tile_head(self.name)
        tiles, fold_ids = make_tiles()
        other = tiles.labels.copy()
        other[fold_ids == 0] = (other[fold_ids == 0] + 1) % 3
        poisoned = EmbeddedTiles(tiles.embeddings, other, 4)
        for one, two in zip(
            head.start(tiles, fold_ids)([1, 2, 3, 4], tiles.embeddings, head.choices),
            head.start(poisoned, fold_ids)([1, 2, 3, 4], tiles.embeddings, head.choices),
            strict=True,
        ):
            np.testing.assert_array_equal(one, two)

    @pytest.mark.parametrize("n_classes", [2, 3])
    def test_what_is_kept_scores_what_score_does(self, n_classes: int) -> None:
        head = load_tile_head(self.name)
        if head.fit is None:
            return
        made, fold_ids = make_tiles()
        rows = made.labels < n_classes
        tiles = EmbeddedTiles(made.embeddings[rows], made.labels[rows], n_classes)
        choice = head.choices[2]
        (scores,) = head.start(tiles, fold_ids[rows])(range(5), made.embeddings, [choice])
        kept = head.fit(tiles, choice)
        assert kept.weights.shape == (7, n_classes)
        raw = (made.embeddings - kept.mean) * kept.scale @ kept.weights + kept.bias
        np.testing.assert_allclose(apply_link(head.link, raw), scores, atol=1e-4)


class PatientHeadContract:
    """Held by every head of patients' vectors; a subclass names the head and its targets."""

    name: str
    kind: TargetKind

    def make(self, targets: int = 3, dim: int = 11) -> FoldData:
        features = make_features(60, dim)
        values = MAKERS[self.kind](features, targets)
        choices = load_patient_head(self.name).choices[:3]
        return make_fold(features, values, 44, choices, inner_folds=3)

    def test_predictions_choices_and_inner_scores_have_their_shapes(self) -> None:
        fold = self.make()
        found = load_patient_head(self.name).predict(fold)
        assert found.predicted.shape == (16, 3)
        assert np.isfinite(found.predicted).all()
        assert set(found.choice) <= set(fold.choices)
        assert (found.inner_score <= 1).all()

    def test_classes_are_predicted_as_probabilities(self) -> None:
        if self.kind is TargetKind.BINARY:
            found = load_patient_head(self.name).predict(self.make())
            assert ((found.predicted >= 0) & (found.predicted <= 1)).all()

    def test_the_same_fold_gives_the_same_bits(self) -> None:
        head = load_patient_head(self.name)
        for one, two in zip(head.predict(self.make()), head.predict(self.make()), strict=True):
            np.testing.assert_array_equal(one, two)

    def test_choices_are_named(self) -> None:
        head = load_patient_head(self.name)
        assert head.choices_are
        assert all(choice > 0 for choice in head.choices)

    @pytest.mark.parametrize("dim", [11, 70])
    @pytest.mark.parametrize("targets", [1, 4])
    def test_what_is_kept_predicts_what_predict_does(self, dim: int, targets: int) -> None:
        head = load_patient_head(self.name)
        if head.fit is None:
            return
        fold = self.make(targets, dim)
        found, kept = head.predict(fold), head.fit(fold)
        assert kept.weights.shape == (dim, targets)
        decided = fold.test @ kept.weights + kept.bias
        np.testing.assert_allclose(apply_link(head.link, decided), found.predicted, atol=1e-6)
        np.testing.assert_array_equal(kept.choice, found.choice)
        np.testing.assert_allclose(kept.inner_score, found.inner_score, atol=1e-9)

    def test_a_target_without_variance_is_kept_as_it_is_predicted(self) -> None:
        head = load_patient_head(self.name)
        if head.fit is None or self.kind is not TargetKind.CONTINUOUS:
            return
        fold = self.make()
        fold.targets[:, 1] = 4.25
        found, kept = head.predict(fold), head.fit(fold)
        assert (found.predicted[:, 1] == 4.25).all()
        np.testing.assert_allclose(fold.test @ kept.weights + kept.bias, found.predicted, atol=1e-6)
        assert np.isnan(kept.inner_score[1])
