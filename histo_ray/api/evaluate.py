"""`hr.evaluate`: encoders compared by cross-validation, one function a task.

import histo_ray as hr
result = hr.evaluate.mutation("STORE", labels="mutations.csv", encoder=["a", "b"], repeats=10)
result.targets        # a row an encoder and gene: score, interval, P and q against chance
result.comparisons    # a row a pair of encoders and gene: difference, interval, P and q
"""

from dataclasses import dataclass
from typing import TypeVar

import pandas as pd

from histo_ray.config import Settings
from histo_ray.deferred import deferred
from histo_ray.evaluate.record import EvaluationRecord
from histo_ray.evaluate.run_once import Evaluation

_spread_on_ray = deferred("histo_ray.cluster.run_evaluate:spread_on_ray")

C = TypeVar("C", bound=Settings)


@dataclass(frozen=True)
class EvaluationResult:
    """An evaluation, its tables as pandas DataFrames."""

    store: str
    """Folder or URI of the store."""
    evaluation: Evaluation

    @property
    def record(self) -> EvaluationRecord:
        """What was done and what it comes to: `run.json`."""
        return self.evaluation.record

    @property
    def folder(self) -> str:
        """Where the tables are, below the store."""
        return self.evaluation.folder.folder

    def table(self, name: str) -> pd.DataFrame:
        """Read a table by its name.

        Raises:
            StoreError: There is no such table, or it is damaged.
        """
        frame: pd.DataFrame = self.evaluation.folder.read(name).to_pandas()
        return frame

    @property
    def scores(self) -> pd.DataFrame:
        """Scores of every repeat and fold."""
        return self.table("scores")

    @property
    def predictions(self) -> pd.DataFrame:
        """Every out-of-fold prediction."""
        return self.table("predictions")

    @property
    def comparisons(self) -> pd.DataFrame:
        """Every pair of encoders, with tests."""
        return self.table("comparisons")

    @property
    def folds(self) -> pd.DataFrame:
        """Which fold a patient or tile was in; a file of it can be given as `fold_file`."""
        return self.table("folds")

    @property
    def targets(self) -> pd.DataFrame:
        """Scores of every target, with tests against chance; of patients."""
        return self.table("targets")

    @property
    def cohort(self) -> pd.DataFrame:
        """Which patients were evaluated, and why others were not; of patients."""
        return self.table("cohort")

    @property
    def recalls(self) -> pd.DataFrame:
        """Recall of every class, repeat and fold; of tiles."""
        return self.table("recalls")
