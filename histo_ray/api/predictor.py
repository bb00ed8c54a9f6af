"""A predictor in Python: `hr.fit.mutation(...)` makes one, `hr.load_predictor` loads one."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from histo_ray.deferred import deferred
from histo_ray.predict.card import PredictorCard
from histo_ray.predict.files import PREDICTORS
from histo_ray.predict.files import load_predictor as load_files
from histo_ray.predict.predictor import FittedPredictor
from histo_ray.text import count_of, name_first

_predict = deferred("histo_ray.predict.external.apply:predict")


@dataclass(frozen=True, repr=False)
class Predictor:
    """A predictor and where it lies."""

    folder: str
    """Path or URI of its folder, `STORE/predictors/NAME`."""
    fitted: FittedPredictor
    """Its heads, as arrays."""

    def __repr__(self) -> str:
        """Describe it in a few words; `card` has all of it."""
        card = self.card
        parts = [
            f"{card.name}: {card.task} by {card.encoder.name}",
            f"{count_of(len(card.targets), 'target')} ({name_first(list(card.target_names), 4)})",
            count_of(card.cohort.n_patients, "patient"),
            f"in {self.folder}",
        ]
        return f"<Predictor {'; '.join(parts)}>"

    @property
    def card(self) -> PredictorCard:
        """What it predicts, from what, and how good it is."""
        return self.fitted.card

    @property
    def targets(self) -> pd.DataFrame:
        """Table of one row a target: what was chosen, its score and interval, calibration."""
        rows = []
        for target in self.card.targets:
            part = self.card.parts[target.part]
            row = target.model_dump(exclude={"calibration", "thresholds", "part"})
            row |= {"pooling": part.pooling, "head": part.head}
            row |= {"calibration": target.calibration.method.value}
            row |= {f"threshold, {one.rule}": one.value for one in target.thresholds}
            rows.append(row)
        return pd.DataFrame(rows)

    def predict(self, store: str | Path, **settings: object) -> Any:
        """Predict the patients of another store; with `labels=` validate on them.

        Args:
            store: Folder or URI.
            **settings: As the flags of `histo-ray predict`, with underscores.
        """
        return _predict(self.fitted, str(store), **settings)


def load_predictor(predictor: str | Path, store: str | Path = "") -> Predictor:
    """Load a predictor, held against its digests.

    Args:
        predictor: Folder or URI of a predictor; or its name in `store`.
        store: Folder or URI of the store that it was published into.

    Raises:
        ConfigError: There is no such predictor.
        StoreError: It is damaged, was changed, or is of a newer version.
    """
    fitted = load_files(str(predictor), str(store))
    folder = f"{str(store).rstrip('/')}/{PREDICTORS}/{predictor}" if store else str(predictor)
    return Predictor(folder, fitted)
