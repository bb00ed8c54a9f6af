"""Predicted survival of patients at several times, where a predictor has baseline hazards."""

import numpy as np
import pyarrow as pa

from histo_ray.learn.calibration import Calibration
from histo_ray.learn.targets.follow_up import QUARTILES
from histo_ray.predict.card import PredictorCard
from histo_ray.schema import arrow_schema


def predicts_survival(card: PredictorCard) -> bool:
    """Whether any target has a baseline hazard."""
    return any(target.calibration.times for target in card.targets)


def tabulate_survival(card: PredictorCard, patients: pa.Table) -> pa.Table:
    """Tabulate survival as rows of `schemas/predicted_survival.json`.

    Args:
        card: Of the predictor.
        patients: Its predictions, as `schemas/predicted_patients.json`.
    """
    frame = patients.to_pandas()
    schema = arrow_schema("predicted_survival")
    tables = [schema.empty_table()]
    for target in card.targets:
        if not target.calibration.times:
            continue
        own = frame[frame["target"] == target.name]
        times = choose_survival_times(card, target.calibration)
        survival = target.calibration.survive(own["raw"].to_numpy(np.float64), times)
        columns: dict[str, object] = {
            "predictor": [card.name] * survival.size,
            "target": [target.name] * survival.size,
            "patient_id": np.repeat(own["patient_id"].to_numpy(object), len(times)),
            "time": np.tile(times, len(own)),
            "survival": survival.reshape(-1),
        }
        tables.append(pa.table([pa.array(columns[f.name], f.type) for f in schema], schema))
    return pa.concat_tables(tables)


def choose_survival_times(card: PredictorCard, calibration: Calibration) -> list[float]:
    """Times that were stated when the predictor was fitted, else quartiles of its events' times."""
    stated = card.settings.get("times")
    if isinstance(stated, list | tuple) and stated:
        return sorted(float(str(time)) for time in stated)
    found = np.quantile(calibration.times, QUARTILES).tolist()
    return sorted({*found, calibration.at})
