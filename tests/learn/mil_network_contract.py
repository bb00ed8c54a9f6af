"""What every MIL network must get right."""

from collections.abc import Iterator
from functools import cache

import numpy as np
import numpy.typing as npt
import pytest
import torch
from sklearn.metrics import roc_auc_score

from histo_ray.errors import ConfigError
from histo_ray.learn.mil.bags import measure_bags
from histo_ray.learn.mil.head import MilHead, read_head
from histo_ray.learn.mil.mil_settings import MilSettings
from histo_ray.learn.mil.networks.registry import NetworkEntry
from histo_ray.learn.mil.training import train_mil
from histo_ray.types import TargetKind
from tests.learn.mil_bags import DIM, Floats, make_bags

_TRAINED = 50
_WIDTHS = {"hidden": 12, "attention": 6, "tiles_per_bag": 16, "batch": 10, "transformer_heads": 2}


class MilNetworkContract:
    """Inherit it, and give the line of the registry as the fixture `entry`."""

    @pytest.fixture(autouse=True)
    def _one_thread(self) -> Iterator[None]:
        """Same bits need one thread."""
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        yield
        torch.set_num_threads(threads)

    @pytest.fixture
    def head(self, entry: NetworkEntry) -> MilHead:
        """A head of two members that is trained on a needle."""
        return _train_on_needle(entry)

    def test_it_learns_a_needle(self, head: MilHead) -> None:
        bags, labels = make_bags(90, shift=8, rare=0.2)
        predicted = head.predict(bags[_TRAINED:])
        assert predicted.shape == (40, 1)
        assert ((predicted > 0) & (predicted < 1)).all()
        assert roc_auc_score(labels[_TRAINED:, 0], predicted[:, 0]) > 0.9

    def test_the_order_of_tiles_bears_on_nothing(self, head: MilHead) -> None:
        (bag, *_), _ = make_bags(1, seed=5)
        order = np.random.default_rng(0).permutation(len(bag))
        np.testing.assert_allclose(head.predict([bag[order]]), head.predict([bag]), atol=1e-5)

    def test_a_bag_is_the_same_padded_alone_and_in_blocks(
        self, head: MilHead, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bags, _ = make_bags(4, seed=6)
        network = head.networks[0]
        most = max(map(len, bags))
        tiles = torch.zeros(len(bags), most, DIM)
        missing = torch.ones(len(bags), most, dtype=torch.bool)
        for at, bag in enumerate(bags):
            tiles[at, : len(bag)] = torch.from_numpy(bag)
            missing[at, : len(bag)] = False
        with torch.inference_mode():
            together = network(tiles, missing)
        alone = torch.stack([network.predict(bag) for bag in bags])
        np.testing.assert_allclose(together, alone, atol=1e-4, rtol=1e-4)
        monkeypatch.setattr("histo_ray.learn.mil.networks.base.BLOCK_VALUES", 3 * DIM)
        blocks = torch.stack([network.predict(bag) for bag in bags])
        np.testing.assert_allclose(blocks, alone, atol=1e-4, rtol=1e-4)

    def test_a_bag_of_one_tile_is_trained_on_and_predicted(self, entry: NetworkEntry) -> None:
        bags, labels = make_bags(30)
        head = train_mil(measure_bags([bag[:1] for bag in bags]), labels, _settings(entry), 0)
        assert np.isfinite(head.predict([bags[0][:1]])).all()
        mixed = train_mil(measure_bags([bags[0][:1], *bags[1:]]), labels, _settings(entry), 0)
        assert np.isfinite(mixed.predict([bags[0][:1], bags[1]])).all()

    def test_a_seed_gives_the_same_bits_and_members_differ(self, entry: NetworkEntry) -> None:
        one, same, other = (_train(entry, seed=seed) for seed in (4, 4, 5))
        assert one.to_bytes() == same.to_bytes()
        bags, _ = make_bags(3)
        assert (one.predict(bags) != other.predict(bags)).all()
        outputs = one.look(bags)
        assert (outputs[0] != outputs[1]).all()
        assert len(set(one.seeds)) == len(one.networks) == 2
        np.testing.assert_array_equal(_train(entry, seed=4, members=1).look(bags), outputs[:1])

    def test_every_weight_moves(self, entry: NetworkEntry) -> None:
        before, after = (_train(entry, epochs=3, rate=rate, members=1) for rate in (1e-9, 0.01))
        now = dict(after.networks[0].named_parameters())
        for name, weight in before.networks[0].named_parameters():
            assert not torch.allclose(weight, now[name], atol=1e-5), name

    def test_it_survives_as_bytes_that_hold_no_pickle(self, head: MilHead) -> None:
        data = head.to_bytes()
        again = read_head(data, "a head")
        bags, _ = make_bags(5)
        np.testing.assert_array_equal(again.predict(bags), head.predict(bags))
        assert (again.settings, again.seeds) == (head.settings, head.seeds)
        np.testing.assert_array_equal(again.member_scores, head.member_scores)
        header = int.from_bytes(data[:8], "little")
        assert data[8:9] == b"{"  # safetensors: a JSON header, then plain arrays
        assert len(data) > header

    def test_attention_is_given_or_refused(self, entry: NetworkEntry, head: MilHead) -> None:
        bags, _ = make_bags(2)
        if not entry.attends:
            with pytest.raises(ConfigError, match=rf"network {entry.name}: its prediction is no"):
                head.score_tiles(bags[0])
            with pytest.raises(ConfigError, match=r"network=abmil or clam"):
                head.attend(bags[0])
            return
        attention = head.attend(bags[0])
        assert (attention > 0).all()
        assert attention.sum() == pytest.approx(1, abs=1e-12)
        scores = head.score_tiles(bags[0])
        decision = head.look(bags[:1]).mean()
        assert scores.contribution.mean() == pytest.approx(decision, abs=1e-4)

    def test_numbers_are_predicted_together_or_refused(self, entry: NetworkEntry) -> None:
        bags, _ = make_bags(40, seed=4)
        measured, values = measure_bags(bags), _values(bags)
        settings = _settings(entry, epochs=20, rate=0.01, dropout=0.0)
        if TargetKind.CONTINUOUS not in entry.kinds:
            with pytest.raises(ConfigError, match=rf"network {entry.name}: it predicts binary"):
                train_mil(measured, values, settings, 0, kind=TargetKind.CONTINUOUS)
            return
        head = train_mil(measured, values, settings, 0, kind=TargetKind.CONTINUOUS)
        predicted = head.predict(bags)
        for target in range(2):
            assert np.corrcoef(predicted[:, target], values[:, target])[0, 1] > 0.7
        np.testing.assert_allclose(head.take([1]).predict(bags), predicted[:, [1]], rtol=1e-5)


@cache
def _train_on_needle(entry: NetworkEntry) -> MilHead:
    return _train(entry, epochs=20, dropout=0.0, members=2)


def _settings(entry: NetworkEntry, **changes: float) -> MilSettings:
    given = {"network": entry.name, "members": 2, "epochs": 2, "rate": 0.01, **_WIDTHS, **changes}
    return MilSettings.model_validate(given)


def _train(entry: NetworkEntry, seed: int = 3, **changes: float) -> MilHead:
    bags, labels = make_bags(90, shift=8, rare=0.2)
    return train_mil(
        measure_bags(bags[:_TRAINED]), labels[:_TRAINED], _settings(entry, **changes), seed
    )


def _values(bags: list[npt.NDArray[np.float16]]) -> Floats:
    """Two numbers of each bag, of other scales: the means of two features."""
    means = np.array([bag[:, :2].astype(np.float64).mean(0) for bag in bags])
    values: Floats = (means - means.mean(0)) / means.std(0) * [5, 0.2] + [100, -3]
    return values
