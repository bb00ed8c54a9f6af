"""What `hr.evaluate` returns."""

from dataclasses import dataclass

import pandas as pd

from histo_ray.evaluate.evaluation_record import EvaluationRecord, PatientRecord, TissueRecord
from histo_ray.evaluate.run_once import Evaluation
from histo_ray.text import count_of, name_first


@dataclass(frozen=True, repr=False)
class EvaluationResult:
    """An evaluation, its tables as pandas DataFrames."""

    store: str
    """Folder or URI of the store."""
    evaluation: Evaluation

    def __repr__(self) -> str:
        """Describe the run in a few words; `record` and the tables have all of it."""
        record = self.record
        parts = [f"{record.task} {record.run_id}"]
        if isinstance(record, PatientRecord):
            parts += [
                f"encoders {name_first(list(record.encoders))}",
                count_of(record.labels.targets, "target"),
                count_of(record.cohort.patients_used, "patient"),
            ]
        elif isinstance(record, TissueRecord):
            parts += [
                f"encoders {name_first(list(record.encoders))}",
                count_of(len(record.classes), "class", "classes"),
                *(f"{some.name}: {count_of(some.tiles, 'tile')}" for some in record.sets.values()),
            ]
        parts.append(f"tables in {self.store.rstrip('/')}/{self.folder}")
        return f"<EvaluationResult {'; '.join(parts)}>"

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
    def endpoints(self) -> pd.DataFrame:
        """The primary endpoint of every pair of encoders: the mean difference; of patients."""
        return self.table("endpoints")

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
    def subgroups(self) -> pd.DataFrame:
        """Scores by site, and by the columns of `subgroup`; of patients."""
        return self.table("subgroups")

    @property
    def site_prediction(self) -> pd.DataFrame:
        """How well each encoder tells the site of a patient; of patients."""
        return self.table("site_prediction")

    @property
    def site_means(self) -> pd.DataFrame:
        """How well each target is predicted by the site alone; of patients."""
        return self.table("site_means")

    @property
    def calibration(self) -> pd.DataFrame:
        """Calibration slope and intercept, Brier's score and skill; of classes of patients."""
        return self.table("calibration")

    @property
    def calibration_curves(self) -> pd.DataFrame:
        """Observed shares by bins of out-of-fold probabilities; of classes of patients."""
        return self.table("calibration_curves")

    @property
    def decision_curves(self) -> pd.DataFrame:
        """Net benefit at every threshold; of classes of patients."""
        return self.table("decision_curves")

    @property
    def summary(self) -> pd.DataFrame:
        """Scores of every encoder, with intervals; of tiles."""
        return self.table("summary")

    @property
    def recalls(self) -> pd.DataFrame:
        """Recall of every class, repeat and fold; of tiles."""
        return self.table("recalls")
