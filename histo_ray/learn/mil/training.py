"""Training of an attention head, stopped by held-out bags of the training part.

Plain torch: no Ray, no disk. On CPU with one thread the same seed gives the same weights.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch

from histo_ray.errors import ConfigError
from histo_ray.learn.mil.bags import Bags
from histo_ray.learn.mil.draw import TileDraw
from histo_ray.learn.mil.head import MilHead
from histo_ray.learn.mil.kinds.base import MilKind, Scale
from histo_ray.learn.mil.kinds.registry import find_kind
from histo_ray.learn.mil.mil_settings import MilSettings
from histo_ray.learn.mil.networks.base import MilNetwork
from histo_ray.learn.mil.networks.registry import check_network, load_network
from histo_ray.learn.mil.optimizer import AdamW
from histo_ray.learn.mil.stop_bags import Split, mean_scores, split_rows
from histo_ray.learn.mil.streams import Stream, draw_member_seeds, start_streams
from histo_ray.types import TargetKind

Floats = npt.NDArray[np.float64]
Report = Callable[[int, float], bool]
"""(epochs done, score of the held-out bags, higher is better) -> whether to go on."""


def keep_going(epoch: int, score: float) -> bool:
    """Go on whatever the score; a `Report` that reports nothing."""
    return True


def train_mil(
    bags: Bags,
    labels: Floats,
    settings: MilSettings,
    seed: int,
    report: Report = keep_going,
    *,
    kind: TargetKind = TargetKind.BINARY,
    shared: tuple[int, int] | None = None,
) -> MilHead:
    """Train each member until the loss of its held-out bags has not fallen for `patience` epochs.

    Args:
        bags: n of them, the whole training part.
        labels: (n, T); classes: 0 and 1, T is 1; numbers: nan where there is none.
        settings: Settings of the head.
        seed: Seed of held-out bags, and of the members' seeds: of weights, order, drawn tiles and
            dropout.
        report: Called after each epoch with the score that the head would have if it ended here:
            mean AUROC, or R2, of held-out bags; minus their loss where their labels do not differ.
        kind: Of the targets; decides the loss.
        shared: Seed and number of inner folds that other heads are scored on, too; None: its own.

    Returns:
        The head whose members are each of the epoch with the lowest held-out loss.

    Raises:
        ConfigError: Labels that no head can be trained on, a network that does not predict such
            targets, or no GPU where one was asked for.
    """
    of_kind = find_kind(kind)
    check_network(settings.network, kind)
    of_kind.check(labels)
    if settings.device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device cuda: no GPU is visible; use device cpu")
    devices = [torch.cuda.current_device()] if settings.device == "cuda" else []
    with torch.random.fork_rng(devices):
        return _train(bags, labels, settings, seed, report, of_kind, shared)


def _train(
    bags: Bags, labels: Floats, settings: MilSettings, seed: int, report: Report, kind: MilKind,
    shared: tuple[int, int] | None,
) -> MilHead:  # fmt: skip
    seeds = draw_member_seeds(settings, seed)
    draw = TileDraw(bags.vectors, settings)
    scaled, scale = kind.scale(labels, settings.balanced)
    moments = bags.moments()
    members = []
    splits = split_rows(labels, kind, settings, seed, bags.groups, shared)
    for split, stream in zip(splits, start_streams(settings, seeds), strict=True):
        with stream.enter():
            network = load_network(settings.network)(settings, *moments, labels.shape[1])
        with torch.no_grad():
            network.answer.bias.copy_(torch.from_numpy(scale.start))
        members.append(_Member(network, split, stream, draw, scaled, scale, settings, kind))
    for epoch in range(1, settings.epochs + 1):
        for member in members:
            if member.runs(epoch):
                member.advance(epoch)
        go_on = report(epoch, _summarise(members))
        if not go_on or not any(member.runs(epoch + 1) for member in members):
            break
    member_scores = np.array([member.scores for member in members])
    return MilHead(
        networks=tuple(member.finish() for member in members),
        settings=settings,
        shift=scale.shift,
        spread=scale.spread,
        epochs=tuple(member.best_epoch for member in members),
        inner_score=mean_scores([member.scores for member in members]),
        kind=kind.kind,
        seeds=seeds,
        member_scores=member_scores,
    )


class _Member:
    """One network and the bags that stop it."""

    def __init__(
        self, network: MilNetwork, split: Split, stream: Stream, draw: TileDraw, labels: Floats,
        scale: Scale, settings: MilSettings, kind: MilKind,
    ) -> None:  # fmt: skip
        self._network = network.to(settings.device)
        self._split, self._stream, self._draw, self._settings = split, stream, draw, settings
        self._kind = kind
        self._labels = torch.from_numpy(labels.astype(np.float32)).to(settings.device)
        self._stop_labels = labels[split.stop]  # scaled, float64
        self._positive_weight = torch.tensor(scale.positive_weight, device=settings.device)
        self._optimizer = AdamW(network.parameters(), settings)
        self._best = _copy(network)
        self.best_epoch, self.best_loss = 0, np.inf
        self.scores = np.full(labels.shape[1], np.nan)
        """(T,) of the best epoch."""

    def runs(self, epoch: int) -> bool:
        """Whether this epoch is still worth it."""
        return epoch - self.best_epoch <= self._settings.patience

    def advance(self, epoch: int) -> None:
        """Train once on every bag, then score the held-out ones."""
        with self._stream.enter():
            self._step_through()
        self._network.eval()
        with torch.inference_mode():
            stop = self._split.stop
            outputs = torch.stack([self._network.predict(self._draw.vectors[row]) for row in stop])
            loss_now = float(self._loss(outputs, self._labels[torch.from_numpy(stop)]))
        if loss_now < self.best_loss:  # never so where weights have run away to nan
            self._best, self.best_epoch, self.best_loss = _copy(self._network), epoch, loss_now
            values = outputs.double().cpu().numpy()
            self.scores = self._kind.score_inner(self._stop_labels, values)

    def finish(self) -> MilNetwork:
        """The network of the best epoch."""
        self._network.load_state_dict(self._best)
        return self._network.eval()

    def _step_through(self) -> None:
        """Take a step on each batch of the bags to train on."""
        self._network.train()
        order = self._stream.numbers.permutation(self._split.train)
        for rows in np.array_split(order, max(1, round(len(order) / self._settings.batch))):
            labels = self._labels[torch.from_numpy(rows)]
            tiles, missing = self._draw(rows, self._stream.numbers)
            loss = self._network.training_loss(tiles, missing, labels, self._loss)
            self._optimizer.step(loss)

    def _loss(self, outputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Mean over the labels that there are."""
        there = torch.isfinite(labels)
        labels = torch.where(there, labels, 0)
        losses = self._kind.losses(outputs, labels, self._positive_weight)
        return (losses * there).sum() / there.sum().clamp(min=1)


def _summarise(members: list[_Member]) -> float:
    """Mean score of the targets; minus the mean loss where there is none."""
    scores = mean_scores([member.scores for member in members])
    if np.isfinite(scores).any():
        return float(np.nanmean(scores))
    return -float(np.mean([member.best_loss for member in members]))


def _copy(network: MilNetwork) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}
