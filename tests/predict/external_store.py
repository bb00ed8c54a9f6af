"""A store of other patients than `made_predictor`'s, with the same two genes, and their labels."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from histo_ray.learn.calibration import Calibration, CalibrationMethod
from histo_ray.learn.fit_heads import fit_patients
from histo_ray.learn.fold_data import PatientHeadSettings
from histo_ray.learn.heads.linear_fit import Link
from histo_ray.learn.label_scale import fit_label_scale
from histo_ray.learn.patient_heads import PatientData
from histo_ray.predict.predictor import FittedPredictor, LinearPart, PredictorParts
from histo_ray.store.store import open_store
from histo_ray.types import TileRows
from tests.made_up import facts_of
from tests.predict.made_predictor import DIM, make_bags, make_labels, make_predictor, pool_mean

TILING = "t0123456789ab"
SITES = ("HD", "MA")
COUNT = 36
PEOPLE = tuple(f"B{at:02d}" for at in range(COUNT))

Bags = Sequence[npt.NDArray[np.float16]]


def write_external(
    folder: Path,
    patients: Sequence[str] = PEOPLE,
    bags: Bags | None = None,
    **changes: str,
) -> str:
    """Write a store with a slide a patient, but two for every fifth; `B` is another site each."""
    bags = make_bags(len(patients), seed=8) if bags is None else bags
    store = open_store(str(folder), create=True)
    for at, (patient, bag) in enumerate(zip(patients, bags, strict=True)):
        parts = np.array_split(bag, 2) if at % 5 == 0 else [bag]
        for section, vectors in enumerate(parts):
            slide = f"{patient}-{section}"
            facts = facts_of(
                slide,
                changes.get("encoder", "sharp"),
                changes.get("tiling", TILING),
                DIM,
                patient_id=patient,
                site=SITES[at % 2],
                weights=changes.get("weights", "ab" * 32),
            )
            settings = {"mpp": float(changes.get("mpp", "0.5")), "tile_px": 64}
            facts = replace(facts, tiling=facts.tiling.model_copy(update={"settings": settings}))
            coords = np.arange(2 * len(vectors), dtype=np.int32).reshape(-1, 2)
            ones = np.ones(len(vectors), np.float32)
            store.commit(facts.key, facts, [TileRows(coords, ones, ones, vectors)])
    return str(folder)


def write_labels(
    path: Path,
    patients: Sequence[str] = PEOPLE,
    bags: Bags | None = None,
    **columns: Sequence[str | float],
) -> str:
    """Write the two genes of these patients, and further columns."""
    bags = make_bags(len(patients), seed=8) if bags is None else bags
    frame = pd.DataFrame(make_labels(list(bags)), columns=["ALPHA", "BETA"])
    for name, values in columns.items():
        frame[name] = values
    frame.insert(0, "patient_id", list(patients))
    frame.to_csv(path, index=False)
    return str(path)


def make_numbers(name: str = "numbers") -> FittedPredictor:
    """A predictor of two numbers by ridge regression on means, ranks on a normal scale."""
    bags = make_bags()
    raw = np.exp(pool_mean(bags)[:, :2].astype(np.float64))
    scaled = np.log(raw)  # rises with it, as ranks do
    data = PatientData(pool_mean(bags), scaled, ("ALPHA", "BETA"))
    fits = fit_patients(data, PatientHeadSettings("ridge", inner_folds=3))
    parts = PredictorParts(
        tuple(LinearPart("mean", "ridge", fit) for fit in fits),
        (),
        fit_label_scale("rank", raw, scaled),
        make_predictor().parts.tile_range,
    )
    binary = make_predictor(name).card
    calibration = Calibration(method=CalibrationMethod.LINEAR, slope=0.9, intercept=0.1)
    changes: Mapping[str, object] = {
        "task": "expression",
        "kind": "continuous",
        "parts": tuple(
            binary.parts[0].model_copy(
                update={"head": "ridge", "targets": fit.targets, "link": Link.IDENTITY}
            )
            for fit in fits
        ),
        "targets": tuple(
            target.model_copy(
                update={"metric": "pearson", "thresholds": (), "calibration": calibration}
            )
            for target in binary.targets
        ),
    }
    return FittedPredictor(binary.model_copy(update=changes), parts)
