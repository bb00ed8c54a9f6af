"""A store of patients whose hidden state two encoders see, and label files that follow it."""

from pathlib import Path

import numpy as np
import pandas as pd

from histo_ray.store.store import open_store
from histo_ray.types import TileRows
from tests.made_up import facts_of

COUNT, TILES, DIM = 60, 9, 11
PATIENTS = [f"TCGA-{number % 7:02d}-{4000 + number}" for number in range(COUNT)]


def write_store(folder: Path) -> str:
    """Patients with a hidden state; encoder `sharp` sees it better than `dull`."""
    store = open_store(str(folder / "store"), create=True)
    rng = np.random.default_rng(0)
    state = rng.normal(size=COUNT)
    direction = np.ones(DIM) / np.sqrt(DIM)
    for name, signal in (("dull", 0.4), ("sharp", 1.2)):
        for number, patient in enumerate(PATIENTS):
            slides = 2 if number % 10 == 0 else 1
            for section in range(slides):
                if name == "dull" and (number, section) in ((10, 1), (30, 1)):
                    continue  # the dull encoder lacks a slide of two patients
                noise = rng.normal(size=(TILES, DIM)) + rng.normal(size=DIM) * 0.8
                vectors = (signal * state[number] * direction + noise).astype(np.float16)
                facts = facts_of(
                    f"{patient}-01Z-00-DX{section + 1}", name, "t0", DIM, patient_id=patient,
                    site=patient.split("-")[1],
                )  # fmt: skip
                coords = np.arange(2 * TILES, dtype=np.int32).reshape(TILES, 2)
                ones = np.ones(TILES, np.float32)
                store.commit(facts.key, facts, [TileRows(coords, ones, ones, vectors)])
    np.save(folder / "state.npy", state)
    return str(folder / "store")


def write_labels(folder: Path) -> None:
    """Genes G0 and G1 follow the state, the others nothing; two patients have no slides."""
    state = np.load(folder / "state.npy")
    rng = np.random.default_rng(1)
    genes = rng.normal(size=(COUNT, 8))
    genes[:, 0] = state + 0.3 * genes[:, 0]
    genes[:, 1] = -state + 0.5 * genes[:, 1]
    names = [f"G{number}" for number in range(8)]
    frame = pd.DataFrame(genes, columns=names)
    frame["FLAT"] = 1.0
    frame.loc[5, "G2"] = np.nan
    frame.insert(0, "patient_id", PATIENTS)
    extra = pd.DataFrame({"patient_id": ["TCGA-99-0001", "TCGA-99-0002"], "G0": [0.0, 1.0]})
    pd.concat([frame.iloc[3:], extra]).to_csv(folder / "expression.csv", index=False)
    mutated = (np.column_stack([state, rng.normal(size=(COUNT, 2))]) > 0.4).astype(int)
    table = pd.DataFrame(mutated, columns=["TP53", "KRAS", "EGFR"])
    table["WILD1"] = 0
    table.insert(0, "patient_id", PATIENTS)
    table.to_csv(folder / "mutations.csv", index=False)


def write_survival(folder: Path) -> None:
    """OS follows the state, PFS nothing; about a third of the patients are censored."""
    state = np.load(folder / "state.npy")
    rng = np.random.default_rng(2)
    frame = pd.DataFrame({"patient_id": PATIENTS})
    for name, risk, words in (
        ("os", 1.5 * state, ("0:LIVING", "1:DECEASED")),
        ("pfs", 0 * state, ("false", "true")),
    ):
        times, seen = rng.exponential(30 * np.exp(-risk)), rng.uniform(5, 120, COUNT)
        frame[f"{name}_months"] = np.minimum(times, seen).round(1) + 0.1
        frame[f"{name}_{'status' if name == 'os' else 'event'}"] = np.where(
            times <= seen, words[1], words[0]
        )
    frame.to_csv(folder / "survival.csv", index=False)


def write_clinical(folder: Path) -> None:
    """Columns of four kinds that follow the state: response, subtype, grade and age."""
    state = np.load(folder / "state.npy")
    noise = np.random.default_rng(2).normal(size=(COUNT, 4)) * 0.5
    seen = state[:, None] + noise
    table = pd.DataFrame({"patient_id": PATIENTS})
    table["response"] = np.where(seen[:, 0] > 0.3, "responder", "non-responder")
    table["subtype"] = np.array(["basal", "her2", "luminal"])[np.digitize(seen[:, 1], [-0.5, 0.6])]
    table["grade"] = np.digitize(seen[:, 2], [-0.5, 0.5]) + 1
    table["age"] = (60 + 10 * seen[:, 3]).round(1)
    table.loc[3, "grade"] = np.nan
    table.loc[:8, "age"] = np.nan
    table.to_csv(folder / "clinical.csv", index=False)
