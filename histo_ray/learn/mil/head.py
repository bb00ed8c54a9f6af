"""A trained attention head: predicts, shows where it looked, and becomes bytes and back."""

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
from histo_ray.learn.mil.network import AttentionNetwork
from histo_ray.learn.mil.settings import MilSettings

Vectors = npt.NDArray[np.floating]
Floats = npt.NDArray[np.float64]
_KEY = "histo_ray_mil"


@dataclass(frozen=True)
class MilHead:
    """What training came to."""

    networks: tuple[AttentionNetwork, ...]
    """The members."""
    settings: MilSettings
    shift: Floats
    """(T,) added to the scaled answers."""
    spread: Floats
    """(T,) that answers are multiplied by."""
    epochs: tuple[int, ...]
    """From which the weights of each member are, 1 the first; 0: untrained, for all gave nan."""
    inner_score: Floats
    """(T,) mean over members of their held-out bags' AUROC, or R2; nan where no labels differ."""

    def predict(self, bags: Sequence[Vectors]) -> Floats:
        """Judge bags by all of their tiles.

        Args:
            bags: n of (N_i, D).

        Returns:
            (n, T) P(positive), or the predicted value.

        Raises:
            ConfigError: An empty bag, or one of another width.
        """
        answers = np.empty((len(bags), len(self.shift)))
        for number, bag in enumerate(bags):
            answers[number] = self._judge(bag)[0]
        values = answers * self.spread + self.shift
        if self.settings.task == "expression":
            return values
        return np.asarray(0.5 * (1 + np.tanh(values / 2)))  # logistic, without overflow

    def attend(self, bag: Vectors) -> Floats:
        """Share of each tile in the bag's answer.

        Args:
            bag: (N, D).

        Returns:
            (N,) above 0, with sum 1.

        Raises:
            ConfigError: An empty bag, or one of another width.
        """
        attention = self._judge(bag)[1]
        return np.asarray(attention / attention.sum())

    def to_bytes(self) -> bytes:
        """Weights as safetensors, settings in their header; no pickle."""
        facts = {
            "settings": self.settings.model_dump(),
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

    def _judge(self, bag: Vectors) -> tuple[Floats, Floats]:
        dim = len(self.networks[0].mean)
        if bag.ndim != 2 or bag.shape[1] != dim or not len(bag):
            raise ConfigError(
                f"bag: shape {bag.shape}, must be (tiles, {dim}) with 1 tile or more; "
                "leave out patients without tiles, and use the encoder of the training"
            )
        judged = [network.judge(bag) for network in self.networks]
        answer, attention = (
            torch.stack(same).double().mean(0) for same in zip(*judged, strict=True)
        )
        return answer.cpu().numpy(), attention.cpu().numpy()


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
        settings = MilSettings.model_validate(facts.pop("settings") | {"device": "cpu"})
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
    return MilHead(tuple(networks), settings, shift, spread, epochs, score)
