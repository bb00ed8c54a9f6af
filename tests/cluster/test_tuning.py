"""How searches stop trials, and what settings they search. No Ray is started."""

from types import SimpleNamespace
from typing import Any

import pytest
from ray.exceptions import WorkerCrashedError
from ray.tune.schedulers import TrialScheduler

from histo_ray.cluster.tuning import EPOCH, INNER_SCORE, FoldwiseAsha, explain_failure
from histo_ray.errors import ConfigError, HistoRayError
from histo_ray.evaluate.patients.mil_variants import parse_variants


def trials(folds: list[str]) -> list[Any]:
    return [SimpleNamespace(trial_id=str(n), config={"fold": f}) for n, f in enumerate(folds)]


def run_rung(scheduler: FoldwiseAsha, some: list[Any], scores: list[float], epoch: int) -> str:
    """What becomes of each trial, in turn: c goes on, s is stopped."""
    decisions = [
        scheduler.on_trial_result(None, trial, {EPOCH: epoch, INNER_SCORE: score})
        for trial, score in zip(some, scores, strict=True)
    ]
    return "".join("c" if d == TrialScheduler.CONTINUE else "s" for d in decisions)


def test_trials_compete_within_their_fold_only() -> None:
    some = trials(["A", "A", "A", "B", "B", "B"])
    scheduler = FoldwiseAsha(lambda config: config["fold"], epochs=40)
    for trial in some:
        scheduler.on_trial_add(None, trial)
    decided = run_rung(scheduler, some, [0.9, 0.8, 0.7, 0.3, 0.2, 0.1], epoch=10)
    assert decided == "csscss"  # the best of fold B goes on, though all of fold A are better


def test_a_trial_that_runs_to_its_last_epoch_is_not_stopped() -> None:
    (trial,) = trials(["A"])
    scheduler = FoldwiseAsha(lambda config: config["fold"], epochs=12)
    scheduler.on_trial_add(None, trial)
    assert all(run_rung(scheduler, [trial], [0.5], epoch) == "c" for epoch in range(1, 13))


def test_all_combinations_of_values_are_searched_and_named_by_what_differs() -> None:
    variants = parse_variants(["rate=0.001,0.01", "hidden=16", "dropout=0,0.5"])
    assert list(variants) == [
        "rate=0.001,dropout=0",
        "rate=0.001,dropout=0.5",
        "rate=0.01,dropout=0",
        "rate=0.01,dropout=0.5",
    ]
    assert {settings.hidden for settings in variants.values()} == {16}
    assert list(parse_variants([])) == [""]


@pytest.mark.parametrize(
    ("texts", "told"),
    [
        (["rate"], "--mil 'rate' must be KEY=VALUE"),
        (["rate=1e-3", "rate=1e-2"], "each key once"),
        (["speed=3"], "--mil: speed: unknown key"),
        (["rate=fast"], "--mil: rate = fast: must be a number"),
    ],
)
def test_settings_that_are_none_are_refused_in_one_line(texts: list[str], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        parse_variants(texts)


def test_an_error_of_ours_comes_back_as_it_was_and_a_crash_as_one_line() -> None:
    ours = ConfigError("target TP53: one class")
    outer = RuntimeError("trial failed")
    outer.__cause__ = ours
    assert explain_failure(outer) is ours
    crash = explain_failure(WorkerCrashedError())
    assert isinstance(crash, HistoRayError)
    assert "processes keep dying" in str(crash)
    assert "\n" not in str(crash)
