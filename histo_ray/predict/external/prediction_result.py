"""What `hr.predict` returns: predictions and validations as DataFrames."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from histo_ray.errors import ConfigError
from histo_ray.predict.external.applied import AppliedPredictor
from histo_ray.predict.external.prediction_record import PredictionRecord
from histo_ray.predict.external.validation import (
    COMPARISONS,
    CURVES,
    SCORES,
    Comparison,
    Validation,
)
from histo_ray.store.tables import TableFolder
from histo_ray.text import count_of, name_first

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, repr=False)
class PredictionResult:
    """Predictions of one or several predictors in one store.

    Tables of several predictors are one below the other; the column `predictor` tells them apart.
    """

    store: str
    """Folder or URI of the store."""
    applied: tuple[AppliedPredictor, ...]
    validations: tuple[Validation, ...] = ()
    """Validation of each predictor, where there are labels."""
    comparison: Comparison | None = None
    problems: tuple[str, ...] = ()
    """Why predictors could not be validated, though there are labels; a sentence each."""

    def __repr__(self) -> str:
        """Describe the predictions in a few words; `records` and the tables have all of it."""
        first = self.record
        parts = [
            f"predictors {name_first([one.record.predictor for one in self.applied])}",
            count_of(first.patients, "patient"),
            f"{count_of(len(self.validations), 'validation')}" if self.validations else "no labels",
            f"tables in {self.store.rstrip('/')}/{self.folder}",
        ]
        return f"<PredictionResult {'; '.join(parts)}>"

    @property
    def record(self) -> PredictionRecord:
        """What was done with the first predictor: its `run.json`."""
        return self.applied[0].record

    @property
    def records(self) -> tuple[PredictionRecord, ...]:
        """What was done, by predictor."""
        return tuple(one.record for one in self.applied)

    @property
    def folder(self) -> str:
        """Where the tables of the first predictor are, below the store."""
        return self.applied[0].folder.folder

    @property
    def is_whole(self) -> bool:
        """Whether every target that has labels could be validated."""
        return not self.problems and not any(v.record.one_class for v in self.validations)

    @property
    def patients(self) -> "pd.DataFrame":
        """A row a patient and target: `schemas/predicted_patients.json`.

        Raises:
            ConfigError: The predictor says the class of tiles.
        """
        return self._read("patients")

    @property
    def tiles(self) -> "pd.DataFrame":
        """A row a tile; only where tiles were asked for.

        Raises:
            ConfigError: They were not.
        """
        return self._read("tiles")

    @property
    def shares(self) -> "pd.DataFrame":
        """A row a slide and class, of a predictor of classes of tiles.

        Raises:
            ConfigError: The predictor is none.
        """
        return self._read("shares")

    @property
    def validation(self) -> "pd.DataFrame":
        """A row a target and metric, all patients: `schemas/external_scores.json`.

        Raises:
            ConfigError: There were no labels, or they tell nothing apart.
        """
        scores = self._read_validations(SCORES)
        return scores[scores["column"] == ""].reset_index(drop=True)

    @property
    def subgroups(self) -> "pd.DataFrame":
        """The same for each site and each value of the columns asked for."""
        scores = self._read_validations(SCORES)
        return scores[scores["column"] != ""].reset_index(drop=True)

    @property
    def curves(self) -> "pd.DataFrame":
        """Calibration curves: `schemas/external_curves.json`."""
        return self._read_validations(CURVES)

    @property
    def comparisons(self) -> "pd.DataFrame":
        """A row a pair of predictors, target and metric: `schemas/external_comparisons.json`.

        Raises:
            ConfigError: There was one predictor alone, or no labels.
        """
        if self.comparison is None:
            raise ConfigError(
                "no comparison: it needs labels and two predictors, as in "
                'hr.predict([ONE, OTHER], "STORE", labels=...)'
            )
        return _read([self.comparison.folder], COMPARISONS)

    def _read(self, name: str) -> "pd.DataFrame":
        folders = [one.folder for one in self.applied]
        if any(f"{name}.parquet" not in folder.names() for folder in folders):
            there = sorted({n for f in folders for n in f.names() if n.endswith(".parquet")})
            hint = "; ask for it with tiles=True" if name == "tiles" else ""
            raise ConfigError(
                f"no table {name} in these predictions, which have {', '.join(there)}{hint}"
            )
        return _read(folders, name)

    def _read_validations(self, name: str) -> "pd.DataFrame":
        if not self.validations and self.problems:
            raise ConfigError("; ".join(self.problems))
        if not self.validations:
            raise ConfigError("nothing was validated, as there were no labels; give labels=...")
        return _read([one.folder for one in self.validations], name)


def _read(folders: Sequence[TableFolder], name: str) -> "pd.DataFrame":
    import pandas as pd

    frames: list[pd.DataFrame] = [folder.read(name).to_pandas() for folder in folders]
    return pd.concat(frames, ignore_index=True)
