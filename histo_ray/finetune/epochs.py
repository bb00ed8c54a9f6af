"""Step 2: trains the head and the network epoch by epoch, from a checkpoint on."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from histo_ray.encoders.network_ends import Normaliser
from histo_ray.finetune.agreement import check_same_weights, take_first
from histo_ray.finetune.augment import Draws, augment, draw
from histo_ray.finetune.checkpoint import Checkpoint, Keeper
from histo_ray.finetune.classifier import Classifier
from histo_ray.finetune.compute import Compute, read_ahead
from histo_ray.finetune.curves import CurveRow
from histo_ray.finetune.held_out import evaluate_classifier
from histo_ray.finetune.job import FinetuneJob, ReportProgress, TrainingProgress
from histo_ray.finetune.layers import choose_layers, group_layers
from histo_ray.finetune.norms import set_mode
from histo_ray.finetune.schedule import (
    batch_random,
    batch_rows,
    count_batches,
    rate_factor,
    share,
)
from histo_ray.finetune.stain_swap import StainStatistics, measure_donors
from histo_ray.finetune.training_tiles import Pixels
from histo_ray.finetune.worker_group import WorkerGroup


class TrainingBatch:
    """This worker's share of a batch."""

    def __init__(
        self,
        job: FinetuneJob,
        group: WorkerGroup,
        epoch: int,
        batch: int,
        bank: StainStatistics | None,
    ) -> None:
        """Choose and read it; decided by the job and the position alone."""
        size = job.recipe.batch_size
        rows = batch_rows(len(job.train), size, job.seed, epoch, batch)
        random = batch_random(job.seed, epoch, batch)
        draws = draw(random, len(rows), job.recipe.augment, bank)
        mine = share(len(rows), group.rank, group.size)
        self.tiles = len(rows)
        """Tiles of the batch over all workers."""
        self.pixels: Pixels = job.train.read(rows[mine])
        self.labels: npt.NDArray[np.int32] = job.train.labels[rows[mine]]
        self.draws: Draws = draws.part(mine)


class Epochs:
    """Step 2 of one job on one worker."""

    def __init__(
        self,
        job: FinetuneJob,
        classifier: Classifier,
        normalise: Normaliser,
        compute: Compute,
        keeper: Keeper,
        group: WorkerGroup,
        checkpoint: Checkpoint,
    ) -> None:
        """Take over the classifier and put it where `checkpoint` stands."""
        self.checkpoint = checkpoint
        self._job, self._classifier, self._normalise = job, classifier, normalise
        self._compute, self._keeper, self._group = compute, keeper, group
        self._config = job.recipe.network
        classifier.load_state_dict(checkpoint.weights)
        choose_layers(classifier, self._config.stages)
        groups = group_layers(classifier, self._config)
        self._parameters: list[Any] = [p for group in groups for p in group["params"]]
        self._optimizer = torch.optim.AdamW(groups, lr=self._config.rate)
        half = compute.precision == "float16"
        self._scaler = torch.amp.GradScaler(compute.device.type, enabled=half)
        self._scaler.scale(torch.zeros((), device=compute.device))  # else the first tile makes it
        if checkpoint.optimizer:
            self._optimizer.load_state_dict(checkpoint.optimizer)
            if checkpoint.scaler:  # empty where the run began on CPU or in bfloat16
                self._scaler.load_state_dict(checkpoint.scaler)
        elif self._config.ema:
            checkpoint.average = self._copy_weights()
        for weights in (checkpoint.average, checkpoint.best):
            weights.update({k: v.to(compute.device) for k, v in weights.items()})
        self._batches = count_batches(len(job.train), job.recipe.batch_size)
        self._bank = measure_donors(job.train, job.seed) if job.recipe.augment.stain_swap else None
        self._saved = time.monotonic()

    def run(self, report: ReportProgress) -> None:
        """Train until all epochs are done, or `patience` epochs brought no improvement."""
        position = self.checkpoint.position
        position.done = position.done or position.epoch >= self._config.epochs
        while not position.done:
            self._run_epoch(report)
            self._finish_epoch()
            self._save()
        self._gather()

    def _run_epoch(self, report: ReportProgress) -> None:
        position, size = self.checkpoint.position, self._job.recipe.batch_size
        set_mode(self._classifier.network, True, self._config.batch_norm == "frozen")
        left = range(position.batch, self._batches)
        began, done = time.monotonic(), 0
        for batch in read_ahead(self._read, left, self._job.loaders):
            loss, correct = self._step(batch)
            position.batch += 1
            position.loss += loss
            position.correct += correct
            now = time.monotonic()
            position.seconds += now - began
            began, done = now, position.batch * size
            if now - self._saved > self._job.save_every_s and position.batch < self._batches:
                self._save()
            report(self._progress(min(done, len(self._job.train))))

    def _read(self, batch: int) -> TrainingBatch:
        epoch = self.checkpoint.position.epoch
        return TrainingBatch(self._job, self._group, epoch, batch, self._bank)

    def _step(self, batch: TrainingBatch) -> tuple[float, int]:
        """Train on one batch; its summed loss and number of correctly predicted tiles."""
        position = self.checkpoint.position
        step = position.epoch * self._batches + position.batch
        factor = rate_factor(step, self._config.epochs * self._batches, self._config.warm_up)
        for group in self._optimizer.param_groups:
            group["lr"] = self._config.rate * group["lr_scale"] * factor
        whole = self._config.batch_norm != "frozen"
        parts = self._compute.split(self._learner(batch), len(batch.pixels), whole)
        gradients = [torch.stack(same).sum(0) for same in zip(*(p[1] for p in parts), strict=True)]
        tally = torch.stack([p[0] for p in parts]).sum(0)
        self._group.add([*gradients, tally])
        for parameter, gradient in zip(self._parameters, gradients, strict=True):
            parameter.grad = gradient
        self._scaler.unscale_(self._optimizer)
        torch.nn.utils.clip_grad_norm_(self._parameters, self._config.clip)
        self._scaler.step(self._optimizer)
        self._scaler.update()
        self._move_average(step)
        loss, correct = tally.tolist()
        return loss, round(correct)

    def _learner(
        self, batch: TrainingBatch
    ) -> Callable[[slice], tuple[torch.Tensor, tuple[torch.Tensor, ...]]]:
        """Make a function of some tiles of `batch`: (loss, correct predictions) and gradients."""
        device, px = self._compute.device, self._job.train_px

        def learn(rows: slice) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
            if not len(batch.pixels[rows]):  # a batch smaller than the group
                empty = torch.zeros(2, dtype=torch.float64, device=device)
                return empty, tuple(torch.zeros_like(p) for p in self._parameters)
            tiles = torch.from_numpy(batch.pixels[rows]).to(device, non_blocking=True)
            labels = torch.from_numpy(batch.labels[rows]).long().to(device, non_blocking=True)
            values = self._normalise(augment(tiles, batch.draws.part(rows), px))
            with self._compute.autocast():
                logits = self._classifier(values)
            loss = functional.cross_entropy(
                logits.float(), labels, label_smoothing=self._config.label_smoothing,
                reduction="sum",
            )  # fmt: skip
            gradients = torch.autograd.grad(
                self._scaler.scale(loss / batch.tiles), self._parameters,
                allow_unused=True, materialize_grads=True,
            )  # fmt: skip
            right = (logits.argmax(1) == labels).sum()
            return torch.stack([loss.detach().double(), right.double()]), gradients

        return learn

    def _move_average(self, step: int) -> None:
        """Moving average of all weights; its memory grows from nothing to `ema`."""
        if not self.checkpoint.average:
            return
        decay = min(self._config.ema, (1 + step) / (10 + step))
        with torch.no_grad():
            for name, value in self._classifier.state_dict().items():
                if value.is_floating_point():
                    self.checkpoint.average[name].lerp_(value, 1 - decay)
                else:
                    self.checkpoint.average[name].copy_(value)

    def _finish_epoch(self) -> None:
        """Evaluate the epoch, add its row to the curves, and decide whether it was the last."""
        self._share_statistics()
        checkpoint, job = self.checkpoint, self._job
        position, device = checkpoint.position, self._compute.device
        check_same_weights(self._classifier, position.epoch + 1, self._group, device)
        current = self._copy_weights() if checkpoint.average else {}
        self._classifier.load_state_dict(checkpoint.average or self._classifier.state_dict())
        scores = evaluate_classifier(
            job, self._classifier, self._normalise, self._compute, self._group
        )
        position.epoch += 1
        if self._config.patience and scores.accuracy > position.best_accuracy:
            position.best_accuracy, position.best_epoch = scores.accuracy, position.epoch
            checkpoint.best = self._copy_weights()
        if current:
            self._classifier.load_state_dict(current)
        tiles = min(len(job.train), self._batches * job.recipe.batch_size)
        checkpoint.curves.append(
            CurveRow(
                "network",
                position.epoch,
                self._optimizer.param_groups[-1]["lr"],
                position.loss / tiles,
                position.correct / tiles,
                scores.loss,
                scores.accuracy,
                tiles / position.seconds,
                position.seconds,
            )
        )
        position.batch, position.loss, position.correct, position.seconds = 0, 0.0, 0, 0.0
        waited = position.epoch - position.best_epoch
        patient = not self._config.patience or job.held_out is None
        done = position.epoch >= self._config.epochs or (
            not patient and waited >= (self._config.patience or 0)
        )
        position.done = bool(take_first((done,), self._group, device)[0])

    def _share_statistics(self) -> None:
        """Average the workers' running statistics: each saw other tiles."""
        if self._group.size == 1 or self._config.batch_norm == "frozen":
            return
        buffers = [b for b in self._classifier.buffers() if b.is_floating_point()]
        self._group.add(buffers)
        for buffer in buffers:
            buffer.div_(self._group.size)

    def _copy_weights(self) -> dict[str, torch.Tensor]:
        return {name: value.clone() for name, value in self._classifier.state_dict().items()}

    def _gather(self) -> None:
        self.checkpoint.weights = self._copy_weights()
        self.checkpoint.optimizer = self._optimizer.state_dict()
        self.checkpoint.scaler = self._scaler.state_dict()

    def _save(self) -> None:
        if self._group.rank == 0:
            self._gather()
            self._keeper.save(self.checkpoint)
        self._saved = time.monotonic()

    def _progress(self, tiles: int) -> TrainingProgress:
        position, epochs = self.checkpoint.position, self._config.epochs
        rate = tiles / max(position.seconds, 1e-9)
        left = (epochs - position.epoch) * self._batches - position.batch
        last = self.checkpoint.curves[-1].held_out_accuracy
        return TrainingProgress(
            "network", position.epoch + 1, epochs, position.batch, self._batches,
            position.loss / tiles, position.correct / tiles, last, rate,
            left * self._job.recipe.batch_size / rate,
        )  # fmt: skip
