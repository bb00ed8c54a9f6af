"""WiSE-FT: weights between the base's and the tuned ones, chosen on held-out tiles."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from histo_ray.errors import ConfigError
from histo_ray.finetune.checkpoint import NoKeeper, Weights
from histo_ray.finetune.compute import Compute
from histo_ray.finetune.finetune_run import plan_finetune
from histo_ray.finetune.held_out import NO_SCORES, ClassifierScores
from histo_ray.finetune.loop import TrainingResult, train
from histo_ray.finetune.norms import measure_statistics
from histo_ray.finetune.publish_encoder import _describe_scores
from histo_ray.finetune.wise_ft import choose_alpha, interpolate
from tests.finetune.test_norms import build, draw_batches

MakeJob = Callable[..., tuple[Any, Any]]
BASE: Weights = {"a": torch.tensor([0.0, 4.0]), "count": torch.tensor(3)}
TUNED: Weights = {"a": torch.tensor([1.0, 0.0]), "count": torch.tensor(9)}


def run(make_job: MakeJob, *changes: str) -> TrainingResult:
    job, classifier = make_job("network.epochs=1", *changes, tiles=36)
    return train(job, classifier, Compute("cpu", 1), NoKeeper())


def test_a_share_of_the_tuned_weights_joins_those_before() -> None:
    mixed = interpolate(BASE, TUNED, 0.25)
    torch.testing.assert_close(mixed["a"], torch.tensor([0.25, 3.0]))
    assert mixed["count"] == 9
    torch.testing.assert_close(interpolate(BASE, TUNED, 1.0)["a"], TUNED["a"])
    assert BASE["a"].tolist() == [0.0, 4.0]


def test_the_share_with_the_best_accuracy_is_taken_and_of_equals_the_largest() -> None:
    accuracy = {1.0: 0.7, 0.75: 0.9, 0.5: 0.9, 0.25: 0.8}

    def evaluate(weights: Weights, alpha: float) -> tuple[Weights, ClassifierScores]:
        return weights, NO_SCORES._replace(accuracy=accuracy[alpha])

    choice = choose_alpha(BASE, TUNED, sorted(accuracy), evaluate)
    assert (choice.alpha, choice.scores.accuracy) == (0.75, 0.9)
    assert choice.accuracies == accuracy
    torch.testing.assert_close(choice.weights["a"], torch.tensor([0.75, 1.0]))


@pytest.mark.parametrize("norms", ["frozen", "recalibrate"])
def test_training_publishes_weights_between_those_before_and_after_step_2(
    make_job: MakeJob, norms: str
) -> None:
    settings = (f"network.batch_norm='{norms}'", "network.rate=1e-3")
    tuned = run(make_job, *settings)
    outcome = run(make_job, *settings, "network.wise_ft=[0.5, 1.0]")
    assert set(outcome.wise_ft_accuracies) == {0.5, 1.0}
    if outcome.epoch:
        assert outcome.wise_ft in (0.5, 1.0)
        assert outcome.scores.accuracy == max(outcome.wise_ft_accuracies.values())
    if tuned.epoch:
        assert outcome.wise_ft_accuracies[1.0] == tuned.scores.accuracy
    said = _describe_scores(outcome, ("dots", "plain", "stripes"))
    assert set(said.wise_ft_accuracy) == {"0.5", "1"}
    assert said.wise_ft == (outcome.wise_ft if outcome.epoch else None)


def test_a_single_share_needs_no_held_out_tiles(make_job: MakeJob) -> None:
    job, classifier = make_job("network.epochs=1", "network.wise_ft=[0.5]", tiles=36)
    alone = type(job)(job.spec, job.base_sha256, job.train, None, job.recipe, job.seed)
    before = {k: v.clone() for k, v in classifier.state_dict().items()}
    outcome = train(alone, classifier, Compute("cpu", 1), NoKeeper())
    job, classifier = make_job("network.epochs=1", tiles=36)
    plain = type(job)(job.spec, job.base_sha256, job.train, None, job.recipe, job.seed)
    tuned = train(plain, classifier, Compute("cpu", 1), NoKeeper())
    name = next(k for k in before if k.startswith("network.") and before[k].ndim == 4)
    torch.testing.assert_close(outcome.weights[name], before[name].lerp(tuned.weights[name], 0.5))
    assert outcome.wise_ft == 0.5
    said = _describe_scores(outcome, ("dots", "plain", "stripes"))
    assert (said.accuracy, said.wise_ft, said.wise_ft_accuracy) == (None, 0.5, {"0.5": None})


def test_statistics_are_measured_anew_for_mixed_weights() -> None:
    network, batches = build(), draw_batches()
    norm: Any = network[1]
    weight = norm.weight.clone()
    measure_statistics(network, [torch.cat(batches)])
    seen = network[0](torch.cat(batches)).detach()
    torch.testing.assert_close(norm.running_mean, seen.mean((0, 2, 3)), atol=1e-4, rtol=1e-5)
    torch.testing.assert_close(norm.running_var, seen.var((0, 2, 3)), atol=1e-3, rtol=1e-4)
    torch.testing.assert_close(norm.weight, weight)
    assert norm.momentum == 0.1
    assert not network.training
    assert not norm.training


def test_a_choice_without_held_out_tiles_is_refused_before_work(
    make_config: Callable[..., Any],
) -> None:
    config = make_config(set=("held_out=0.0", "network.wise_ft=[0.5, 1.0]"))
    with pytest.raises(ConfigError, match=r"wise_ft = 0\.5, 1: one of them is chosen .*held_out"):
        plan_finetune(config)
    with pytest.raises(ConfigError, match="no share of the tuned weights"):
        make_config(set=("network.wise_ft=[1.5]",)).read_recipe()
