"""A trained MIL head: predicts, gives attention weights, and becomes bytes and back."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.torch
import torch
from pydantic import JsonValue, ValidationError

from histo_ray.errors import ConfigError
from histo_ray.learn.heads.linear_fit import Link
from histo_ray.learn.mil.kinds.registry import find_kind
from histo_ray.learn.mil.mil_settings import MilSettings
from histo_ray.learn.mil.networks.base import MilNetwork
from histo_ray.learn.mil.networks.registry import check_attends, load_network
from histo_ray.learn.tiles.tile_contributions import TileScores, average_scores
from histo_ray.types import TargetKind

Vectors = npt.NDArray[np.floating]
Floats = npt.NDArray[np.float64]
_KEY = "histo_ray_mil"


@dataclass(frozen=True)
class MilHead:
    """Members of one head, and the scale of its outputs."""

    networks: tuple[MilNetwork, ...]
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
    kind: TargetKind = TargetKind.BINARY
    """Whether it predicts the probability of a class, or a number."""
    seeds: tuple[int, ...] = ()
    """Seeds of the members; empty: a head from before they were kept."""
    member_scores: Floats = field(default_factory=lambda: np.empty((0, 0)))
    """(members, T) scores whose mean is `inner_score`; empty: a head from before they were kept."""

    @property
    def link(self) -> Link:
        """From the members' mean output to the prediction."""
        return find_kind(self.kind).link

    def predict(self, bags: Sequence[Vectors]) -> Floats:
        """Predict from all tiles of each bag: the link of the members' mean output.

        Args:
            bags: n of (N_i, D).

        Returns:
            (n, T) P(positive), or the predicted value.

        Raises:
            ConfigError: An empty bag, or one of another width.
        """
        return self.join_members(self.look(bags))

    def look(self, bags: Sequence[Vectors]) -> Floats:
        """Outputs of the members; arguments and errors as of `predict`.

        Returns:
            (members, n, T) log-odds, or values, on the scale of the labels.
        """
        outputs = np.empty((len(self.networks), len(bags), len(self.shift)))
        for at, bag in enumerate(bags):
            self._check(bag)
            for member, network in enumerate(self.networks):
                outputs[member, at] = network.predict(bag).double().cpu().numpy()
        return outputs * self.spread + self.shift

    def join_members(self, outputs: Floats) -> Floats:
        """Predictions, (n, T), from (members, n, T) of `look`."""
        return find_kind(self.kind).predict(outputs.mean(0))

    def predict_members(self, outputs: Floats) -> Floats:
        """Predictions of each member, (members, n, T), from the same of `look`."""
        return find_kind(self.kind).predict(outputs)

    def take(self, columns: Sequence[int]) -> Self:
        """The same head for some of its targets."""
        at = list(columns)
        if at == list(range(len(self.shift))):
            return self
        return replace(
            self,
            networks=tuple(network.take(at) for network in self.networks),
            shift=self.shift[at],
            spread=self.spread[at],
            inner_score=self.inner_score[at],
            member_scores=self.member_scores[:, at]
            if self.member_scores.size
            else self.member_scores,
        )

    def attend(self, bag: Vectors) -> Floats:
        """Attention weight of each tile: the mean over members.

        Args:
            bag: (N, D).

        Returns:
            (N,) above 0, with sum 1.

        Raises:
            ConfigError: An empty bag, one of another width, or a network without attention of which
                the output is the mean.
        """
        check_attends(self.settings.network)
        self._check(bag)
        looks = [network.attend(bag).double() for network in self.networks]
        attention = torch.stack(looks).mean(0).cpu().numpy()
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
            ConfigError: As for `attend`.
        """
        check_attends(self.settings.network)
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
            "kind": self.kind.value,
            "shift": self.shift.tolist(),
            "spread": self.spread.tolist(),
            "epochs": self.epochs,
            "inner_score": self.inner_score.tolist(),
            "seeds": self.seeds,
            "member_scores": self.member_scores.tolist(),
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
        settings = MilSettings.from_record(given)
        kind = _read_kind(facts)
        shift, spread, score = (
            np.array(facts[key], np.float64) for key in ("shift", "spread", "inner_score")
        )
        epochs = tuple(int(epoch) for epoch in facts["epochs"])
        weights = safetensors.torch.load(data)
        member_scores = np.array(facts.get("member_scores", np.empty((0, 0))), np.float64)
        blank = np.ones(len(weights["0.mean"]))
        networks = []
        for number in range(len(epochs)):
            with torch.random.fork_rng(devices=[]):
                network = load_network(settings.network)(settings, blank, blank, len(shift))
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
    return MilHead(
        tuple(networks), settings, shift, spread, epochs, score, kind,
        tuple(facts.get("seeds", ())), member_scores,
    )  # fmt: skip


def _read_kind(facts: Mapping[str, JsonValue]) -> TargetKind:
    """Kind of the targets of a head; before 0.5 it stood as `binary`, before 0.2 as the task."""
    if "kind" in facts:
        return TargetKind(str(facts["kind"]))
    settings = facts["settings"]
    written_for = settings.get("task", "") if isinstance(settings, Mapping) else ""
    binary = facts.get("binary", written_for != "expression")
    return TargetKind.BINARY if binary else TargetKind.CONTINUOUS
