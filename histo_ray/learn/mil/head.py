"""A trained attention head: predicts, gives attention weights, and becomes bytes and back."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.torch
import torch
from pydantic import ValidationError

from histo_ray.errors import ConfigError
from histo_ray.learn.mil.mil_settings import MilSettings
from histo_ray.learn.mil.network import AttentionNetwork
from histo_ray.learn.tile_contributions import TileScores, average_scores

Vectors = npt.NDArray[np.floating]
Floats = npt.NDArray[np.float64]
_KEY = "histo_ray_mil"


@dataclass(frozen=True)
class MilHead:
    """Members of one head, and the scale of its outputs."""

    networks: tuple[AttentionNetwork, ...]
    """The members."""
    settings: MilSettings
    shift: Floats
    """(T,) added to the scaled outputs."""
    spread: Floats
    """(T,) that outputs are multiplied by."""
    epochs: tuple[int, ...]
    """From which the weights of each member are, 1 the first; 0: untrained, for all gave nan."""
    inner_score: Floats
    """(T,) mean over members of their held-out bags' AUROC, or R2; nan where no labels differ."""
    binary: bool = True
    """Whether it predicts the probability of a class; else a number."""

    def predict(self, bags: Sequence[Vectors]) -> Floats:
        """Predict from all tiles of each bag.

        Args:
            bags: n of (N_i, D).

        Returns:
            (n, T) P(positive), or the predicted value.

        Raises:
            ConfigError: An empty bag, or one of another width.
        """
        outputs = np.empty((len(bags), len(self.shift)))
        for number, bag in enumerate(bags):
            outputs[number] = self._look(bag)[0]
        values = outputs * self.spread + self.shift
        if not self.binary:
            return values
        return np.asarray(0.5 * (1 + np.tanh(values / 2)))  # logistic, without overflow

    def attend(self, bag: Vectors) -> Floats:
        """Attention weight of each tile.

        Args:
            bag: (N, D).

        Returns:
            (N,) above 0, with sum 1.

        Raises:
            ConfigError: An empty bag, or one of another width.
        """
        attention = self._look(bag)[1]
        return np.asarray(attention / attention.sum())

    def score_tiles(self, bag: Vectors) -> TileScores:
        """Attention and score of each tile, for a head of one target.

        The output is linear in the attended sum of tiles, so it is the attention-weighted mean of
        what the head says of each tile alone.

        Args:
            bag: (N, D).

        Returns:
            Scores in log-odds, or as values; weights are the members' mean attention.

        Raises:
            ConfigError: An empty bag, or one of another width.
        """
        self._check(bag)
        parts = []
        for network in self.networks:
            outputs, attention = (part.double().cpu().numpy() for part in network.look_at(bag))
            score = outputs[:, 0] * self.spread[0] + self.shift[0]
            weight = attention / attention.sum()
            parts.append(TileScores(score, weight, len(bag) * weight * score))
        return average_scores(parts, [1] * len(parts))

    def to_bytes(self) -> bytes:
        """Weights as safetensors, settings in their header; no pickle."""
        facts = {
            "settings": self.settings.model_dump(),
            "binary": self.binary,
            "shift": self.shift.tolist(),
            "spread": self.spread.tolist(),
            "epochs": self.epochs,
            "inner_score": self.inner_score.tolist(),
        }
        weights = {
            f"{number}.{name}": value.cpu().contiguous()
            for number, network in enumerate(self.networks)
            for name, value in network.state_dict().items()
        }
        data: bytes = safetensors.torch.save(weights, {_KEY: json.dumps(facts)})
        return data

    def _check(self, bag: Vectors) -> None:
        dim = len(self.networks[0].mean)
        if bag.ndim != 2 or bag.shape[1] != dim or not len(bag):
            raise ConfigError(
                f"bag: shape {bag.shape}, must be (tiles, {dim}) with 1 tile or more; "
                "leave out patients without tiles, and use the encoder of the training"
            )

    def _look(self, bag: Vectors) -> tuple[Floats, Floats]:
        self._check(bag)
        looks = [network.predict(bag) for network in self.networks]
        output, attention = (
            torch.stack(same).double().mean(0) for same in zip(*looks, strict=True)
        )
        return output.cpu().numpy(), attention.cpu().numpy()


def read_head(data: bytes, origin: str) -> MilHead:
    """The inverse of `MilHead.to_bytes`; on CPU.

    Args:
        data: The bytes.
        origin: Where they came from, for messages.

    Raises:
        ConfigError: Not such a head, or damaged.
    """
    try:
        length = int.from_bytes(data[:8], "little")
        facts = json.loads(json.loads(data[8 : 8 + length])["__metadata__"][_KEY])
        given = facts["settings"] | {"device": "cpu"}
        written_for = given.pop("task", "")  # in heads from before `binary`
        binary = bool(facts.get("binary", written_for != "expression"))
        settings = MilSettings.model_validate(given)
        shift, spread, score = (
            np.array(facts[key], np.float64) for key in ("shift", "spread", "inner_score")
        )
        epochs = tuple(int(epoch) for epoch in facts["epochs"])
        weights = safetensors.torch.load(data)
        blank = np.ones(len(weights["0.mean"]))
        networks = []
        for number in range(len(epochs)):
            with torch.random.fork_rng(devices=[]):
                network = AttentionNetwork(settings, blank, blank, len(shift))
            network.load_state_dict(
                {
                    name.removeprefix(f"{number}."): value
                    for name, value in weights.items()
                    if name.startswith(f"{number}.")
                }
            )
            networks.append(network.eval())
    except (
        KeyError, TypeError, ValueError, RuntimeError, ValidationError, safetensors.SafetensorError,
    ):  # fmt: skip
        raise ConfigError(
            f"{origin}: damaged, or not an attention head of this version; train it again"
        ) from None
    return MilHead(tuple(networks), settings, shift, spread, epochs, score, binary)
