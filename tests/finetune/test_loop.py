"""The loop learns, repeats itself to the bit, and goes on as if never stopped."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from histo_ray.encoders.base import Precision
from histo_ray.encoders.torch_encoder import TorchEncoder
from histo_ray.encoders.weights import digest_weights
from histo_ray.errors import ConfigError
from histo_ray.finetune.checkpoint import Checkpoint, FileKeeper, NoKeeper
from histo_ray.finetune.compute import Compute, read_ahead
from histo_ray.finetune.frozen_head import fit_head
from histo_ray.finetune.held_out import score_logits
from histo_ray.finetune.job import TrainingProgress
from histo_ray.finetune.loop import TrainingResult, is_worse, train
from histo_ray.finetune.schedule import share
from histo_ray.store.location import location_of

MakeJob = Callable[..., tuple[Any, Any]]
ALL = (
    "network.batch_norm='recalibrate'", "network.ema=0.9", "network.patience=5",
    "augment.crop=0.5", "head.views=2", "network.epochs=3",
)  # fmt: skip


class StoppedError(Exception):
    """Raised in the middle of training."""


def run(make_job: MakeJob, *changes: str, keeper: Any = None, **options: Any) -> TrainingResult:
    report = options.pop("report", lambda progress: None)
    job, classifier = make_job(*changes, **options)
    return train(job, classifier, Compute("cpu", 2), keeper or NoKeeper(), report)


def test_both_steps_learn_and_leave_their_figures(make_job: MakeJob) -> None:
    seen: list[TrainingProgress] = []
    outcome = run(make_job, "network.epochs=4", report=seen.append)
    assert [(row.step, row.epoch) for row in outcome.curves] == [
        ("head", 1), ("network", 1), ("network", 2), ("network", 3), ("network", 4),
    ]  # fmt: skip
    losses = [row.loss for row in outcome.curves]
    assert math.isnan(losses[0])
    assert losses[4] < losses[1]
    assert outcome.scores.accuracy >= 0.9
    assert outcome.first_accuracy == outcome.curves[0].held_out_accuracy
    assert outcome.second_accuracy == outcome.curves[-1].held_out_accuracy
    assert outcome.scores.accuracy == max(outcome.first_accuracy, outcome.second_accuracy)
    assert outcome.epoch == (0 if outcome.second_accuracy < outcome.first_accuracy else 4)
    assert seen[-1].seconds_left == 0
    assert (seen[-1].batch, seen[-1].batches) == (3, 3)


@pytest.mark.parametrize("changes", [(), ALL], ids=["plain", "everything"])
def test_a_run_that_is_stopped_anywhere_ends_with_the_same_weights(
    make_job: MakeJob, tmp_path: Path, changes: tuple[str, ...]
) -> None:
    whole = run(make_job, *changes)
    keeper = FileKeeper(location_of(str(tmp_path)), "cache/run.safetensors")
    for stop_at in (2, 1, 2):
        count = 0

        def stop(progress: TrainingProgress, stop_at: int = stop_at) -> None:
            nonlocal count
            count += progress.step == "network"
            if count == stop_at:
                raise StoppedError

        with pytest.raises(StoppedError):
            run(make_job, *changes, keeper=keeper, report=stop, save_every_s=0.0)
    resumed = run(make_job, *changes, keeper=keeper)
    assert digest_weights(resumed.weights) == digest_weights(whole.weights)
    assert [row[:7] for row in resumed.curves[1:]] == [row[:7] for row in whole.curves[1:]]
    assert resumed.scores == whole.scores


@pytest.mark.parametrize(
    ("before", "after"),
    [("float32", "float16"), ("bfloat16", "float16"), ("float16", "bfloat16"),
     ("float16", "float16")],
)  # fmt: skip
def test_a_run_goes_on_in_another_precision(
    make_job: MakeJob, tmp_path: Path, before: Precision, after: Precision
) -> None:
    keeper = FileKeeper(location_of(str(tmp_path)), "run.safetensors")
    changes = ("network.ema=0.9", "network.patience=5")
    few = {"tiles": 36}  # half precision is slow on a CPU

    def stop(progress: TrainingProgress) -> None:
        if progress.step == "network" and progress.epoch == 2:
            raise StoppedError

    with pytest.raises(StoppedError):
        train(*make_job(*changes, **few, save_every_s=0.0), Compute("cpu", 2, before), keeper, stop)
    kept = keeper.load(make_job(*changes, **few)[0].fingerprint(1))
    assert kept is not None
    assert bool(kept.scaler) is (before == "float16")
    outcome = train(*make_job(*changes, **few), Compute("cpu", 2, after), keeper)
    assert [row.epoch for row in outcome.curves] == [1, 1, 2]
    assert all(np.isfinite(row.loss) for row in outcome.curves[1:])
    assert all(v.isfinite().all() and v.dtype != torch.half for v in outcome.weights.values())


def test_a_worker_without_a_share_of_its_first_batch_can_take_a_float16_step(
    make_job: MakeJob,
) -> None:
    class First:  # of three workers, one of which has no tile of a batch of two
        rank, size = 0, 3

        def add(self, tensors: Any) -> None:
            for tensor in tensors:
                if tensor.dtype == torch.int64:  # what is compared: all have what this one has
                    tensor[:] = tensor[0]

        def copy_first(self, tensors: Any) -> None:
            return None

    job, classifier = make_job("batch_size=2", "network.epochs=1")
    assert share(2, First.rank, First.size) == slice(0, 0)
    outcome = train(job, classifier, Compute("cpu", 1, "float16"), NoKeeper(), group=First())
    assert len(outcome.curves) == 2


def test_another_seed_ends_with_other_weights(make_job: MakeJob) -> None:
    first, second = run(make_job, seed=0), run(make_job, seed=1)
    assert digest_weights(first.weights) != digest_weights(second.weights)


def test_a_checkpoint_of_another_run_or_a_damaged_one_is_refused(
    make_job: MakeJob, tmp_path: Path
) -> None:
    keeper = FileKeeper(location_of(str(tmp_path)), "run.safetensors")
    run(make_job, keeper=keeper)
    with pytest.raises(
        ConfigError,
        match=r"run\.safetensors is a checkpoint of another run, with other tiles.*delete it",
    ):
        run(make_job, keeper=keeper, seed=1)
    (tmp_path / "run.safetensors").write_bytes((tmp_path / "run.safetensors").read_bytes()[:1000])
    with pytest.raises(ConfigError, match=r"run\.safetensors is damaged.*delete it"):
        run(make_job, keeper=keeper)


def test_patience_stops_early_and_takes_the_best_epoch(make_job: MakeJob) -> None:
    worse = ("network.epochs=9", "network.patience=2", "network.rate=0.3", "network.warm_up=0.0")
    outcome = run(make_job, *worse)
    first, *accuracies = [row.held_out_accuracy for row in outcome.curves]
    assert len(accuracies) < 9
    assert outcome.second_accuracy == max(accuracies)
    assert outcome.epoch == (1 + int(np.argmax(accuracies)) if max(accuracies) >= first else 0)
    assert outcome.scores.accuracy == max(first, *accuracies)


@pytest.mark.parametrize("norms", ["frozen", "recalibrate"])
def test_where_step_two_is_worse_on_held_out_tiles_the_weights_of_step_one_are_kept(
    make_job: MakeJob, tmp_path: Path, norms: str
) -> None:
    ruin = (
        "network.epochs=2", "network.rate=3.0", "network.warm_up=0.0", "network.clip=1e9",
        f"network.batch_norm='{norms}'",
    )  # fmt: skip
    job, classifier = make_job(*ruin)
    keeper = FileKeeper(location_of(str(tmp_path)), "run.safetensors")
    outcome = train(job, classifier, Compute("cpu", 2), keeper)
    assert outcome.second_accuracy < outcome.first_accuracy
    assert outcome.second_accuracy == outcome.curves[-1].held_out_accuracy
    assert outcome.first_accuracy == outcome.curves[0].held_out_accuracy
    assert (outcome.epoch, outcome.scores.accuracy) == (0, outcome.first_accuracy)
    assert digest_weights(classifier.network.state_dict()) == job.base_sha256
    again = train(*make_job(*ruin), Compute("cpu", 2), keeper)  # from the checkpoint
    assert digest_weights(again.weights) == digest_weights(outcome.weights)
    assert again.epoch == 0


@pytest.mark.parametrize(
    ("second", "first", "worse"),
    [(0.8, 0.9, True), (0.9, 0.8, False), (0.9, 0.9, False), (math.nan, math.nan, False)],
)
def test_step_two_is_kept_unless_it_is_worse(second: float, first: float, worse: bool) -> None:
    assert is_worse(second, first) is worse


def test_without_step_two_there_is_one_accuracy(make_job: MakeJob) -> None:
    without = run(make_job, "network.epochs=0")
    assert math.isnan(without.second_accuracy)
    assert without.scores.accuracy == without.first_accuracy


@pytest.mark.parametrize("norms", ["frozen", "recalibrate"])
def test_without_step_two_the_encoder_stays_as_it_was(make_job: MakeJob, norms: str) -> None:
    job, classifier = make_job("network.epochs=0", f"network.batch_norm='{norms}'")
    outcome = train(job, classifier, Compute("cpu", 1), NoKeeper())
    assert digest_weights(classifier.network.state_dict()) == job.base_sha256
    assert outcome.epoch == 0
    assert outcome.scores.accuracy > 0.5


def test_step_one_sees_the_very_vectors_of_the_encoder(make_job: MakeJob) -> None:
    job, classifier = make_job()
    from histo_ray.encoders.network_ends import Normaliser
    from histo_ray.finetune.frozen_head import encode_subset, plain_look
    from histo_ray.finetune.worker_group import Solo

    compute = Compute("cpu", 2)
    look = plain_look(32, "bicubic")
    classifier.eval()
    normalise = Normaliser(job.spec, compute.device)
    features = encode_subset(classifier, normalise, job.train, compute, Solo(), look, 2)
    spec = job.spec.model_copy(update={"input_px": 32})
    encoder = TorchEncoder(spec, classifier.network, "cpu", "float32", 1)
    np.testing.assert_allclose(
        features, encoder.encode(job.train.read(slice(None))), atol=1e-4, rtol=1e-3
    )


def test_parts_of_a_batch_on_several_threads_give_the_gradient_of_the_whole(
    make_job: MakeJob,
) -> None:
    outcomes = []
    for threads in (1, 2):
        job, classifier = make_job("network.epochs=1", "batch_size=32", "augment.crop=0.6")
        outcomes.append(train(job, classifier, Compute("cpu", threads), NoKeeper()))
    one, two = outcomes
    assert one.curves[1].loss == pytest.approx(two.curves[1].loss, rel=1e-4)
    for name, value in one.weights.items():
        torch.testing.assert_close(value, two.weights[name], atol=2e-3, rtol=1e-2)


@pytest.mark.parametrize("classes", [2, 4])
def test_the_head_decides_as_the_regression_on_standardised_features(classes: int) -> None:
    rng = np.random.default_rng(0)
    labels = (np.arange(120) % classes).astype(np.int32)
    features = rng.normal(3, 2, (120, 7)).astype(np.float32)
    features[:, 2] += 3 * labels
    weight, bias = fit_head(features, labels, classes, 0.5)
    assert (weight.shape, bias.shape) == ((classes, 7), (classes,))
    logits = features @ weight.T + bias
    chances = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.5)).fit(features, labels)
    np.testing.assert_allclose(chances, model.predict_proba(features), atol=1e-3)


def test_scores_are_those_of_scikit_learn_by_hand() -> None:
    logits = np.log(np.array([[0.7, 0.2, 0.1], [0.6, 0.3, 0.1], [0.2, 0.5, 0.3]], np.float32))
    scores = score_logits(logits, np.array([0, 1, 1], np.int32), 3)
    assert scores.accuracy == pytest.approx(2 / 3)
    assert scores.balanced_accuracy == pytest.approx(0.75)
    assert scores.loss == pytest.approx(-np.log([0.7, 0.3, 0.5]).mean(), rel=1e-5)
    assert scores.recall[:2] == (1.0, 0.5)
    assert math.isnan(scores.recall[2])


def test_reading_ahead_keeps_the_order_and_passes_errors_on() -> None:
    assert list(read_ahead(lambda i: i * i, range(3, 40), 3)) == [i * i for i in range(3, 40)]

    def fail(i: int) -> int:
        if i == 5:
            raise StoppedError
        return i

    with pytest.raises(StoppedError):
        list(read_ahead(fail, range(9), 2))


def test_the_weights_evaluated_are_the_best_then_the_average_then_the_last() -> None:
    from histo_ray.finetune.checkpoint import Position

    names = ("weights", "average", "best")
    tensors = {name: {"w": torch.tensor(float(i))} for i, name in enumerate(names)}
    full = Checkpoint("f", Position(), **tensors)  # type: ignore[arg-type]
    assert full.outcome is tensors["best"]
    full.best = {}
    assert full.outcome is tensors["average"]
    full.average = {}
    assert full.outcome is tensors["weights"]
