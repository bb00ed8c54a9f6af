"""Ray Tune as it is used here: a grid of trials, quiet, stopped only by inner scores.

Tune's own files go into a folder that goes away: a trial writes its piece into the store, so
that a run that was killed goes on from there, on other machines too.
"""

import logging
import os
import tempfile
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

from ray.exceptions import OutOfMemoryError, RayTaskError, WorkerCrashedError

from histo_ray.cluster.pool import original_error
from histo_ray.errors import HistoRayError

os.environ.setdefault("TUNE_DISABLE_SIGINT_HANDLER", "1")  # Ctrl-C is ours
os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")
os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")

from ray import tune
from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler

MAX_FAILURES = 3
"""How often a trial's process may be lost."""
FEWEST_EPOCHS = 10
"""Epochs that every trial may run before it can be stopped."""
REDUCTION = 3
"""One of so many trials goes on at each rung of ASHA."""
INNER_SCORE = "inner_score"
EPOCH = "epoch"

logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # errors are raised by `run_trials`


class FoldwiseAsha(FIFOScheduler):
    """ASHA (Li et al. 2020, MLSys, arXiv 1810.05934) for each fold by itself.

    Trials of one fold compete with each other and with no others. If they were ranked over all
    folds, a patient's label would bear, through the training parts of other folds, on which
    configuration predicts that patient.
    """

    def __init__(self, fold_of: Callable[[dict[str, Any]], Hashable], epochs: int) -> None:
        """Make a scheduler.

        Args:
            fold_of: From a trial's config to the fold (and target, repeat, encoder) it is of.
            epochs: Most that a trial runs.
        """
        super().__init__()  # type: ignore[no-untyped-call]
        self._fold_of, self._epochs = fold_of, epochs
        self._folds: dict[Hashable, AsyncHyperBandScheduler] = {}

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        """Let it compete within its fold."""
        self._of(trial).on_trial_add(tune_controller, trial)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Decide whether it goes on."""
        decision: str = self._of(trial).on_trial_result(tune_controller, trial, result)
        return decision

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        """Count its last score for the others of its fold."""
        self._of(trial).on_trial_complete(tune_controller, trial, result)

    def on_trial_remove(self, tune_controller: Any, trial: Any) -> None:
        """Take it out of its fold."""
        self._of(trial).on_trial_remove(tune_controller, trial)

    def _of(self, trial: Any) -> AsyncHyperBandScheduler:
        key = self._fold_of(trial.config)
        if key not in self._folds:
            self._folds[key] = AsyncHyperBandScheduler(
                time_attr=EPOCH,
                metric=INNER_SCORE,
                mode="max",
                max_t=self._epochs
                + 1,  # a trial that reaches it is stopped before its piece is written
                grace_period=min(FEWEST_EPOCHS, self._epochs),
                reduction_factor=REDUCTION,
            )
        return self._folds[key]


def report_epoch(epoch: int, score: float) -> bool:
    """Report an epoch of the trial that this process works on; ASHA may end it there."""
    tune.report({EPOCH: epoch, INNER_SCORE: score})
    return True


def run_trials(
    trainable: Callable[..., None],
    shared: Any,
    grid: Sequence[int],
    resources: Mapping[str, float],
    on_end: Callable[[], None],
    scheduler: FIFOScheduler,
) -> None:
    """Run `trainable({"number": n}, job=shared)` for each n of `grid`.

    Args:
        trainable: A plain function; what it finds it writes into the store.
        shared: Put into the object store once; holds references, not data.
        grid: Numbers of the trials, begun in this order.
        resources: Of one trial, as Ray names them.
        on_end: Called when a trial ends, stopped or not.
        scheduler: Stops trials.

    Raises:
        HistoRayError: A trial refused its data, or its processes kept dying.
    """

    class CountEnds(tune.Callback):
        def on_trial_complete(self, *_: Any, **__: Any) -> None:
            on_end()

    with tempfile.TemporaryDirectory(prefix="histo-ray-tune-") as folder:
        tuner = tune.Tuner(
            tune.with_resources(tune.with_parameters(trainable, job=shared), dict(resources)),
            param_space={"number": tune.grid_search(list(grid))},
            tune_config=tune.TuneConfig(scheduler=scheduler, reuse_actors=True),
            run_config=tune.RunConfig(
                name="evaluate",
                storage_path=folder,
                verbose=0,
                callbacks=[CountEnds()],
                failure_config=tune.FailureConfig(max_failures=MAX_FAILURES),
            ),
        )
        results = tuner.fit()
    for error in results.errors:
        raise explain_failure(error) from None


def explain_failure(error: BaseException) -> BaseException:
    """Find the error of ours inside Ray's, or say in one line what Ray says."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, HistoRayError) and not isinstance(seen, RayTaskError):
            return seen
        if isinstance(seen, WorkerCrashedError | OutOfMemoryError):
            break
        seen = getattr(seen, "cause", None) or seen.__cause__
    if isinstance(error, RayTaskError) and seen is None:
        return original_error(error)
    lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return HistoRayError(
        f"evaluation: processes keep dying ({lines[-1].strip()[:200]}); what is done stays done, "
        "so run it again, with --memory-gb if a repeat needs more memory"
    )
