"""A synthetic cohort with known hazards, for trying `evaluate survival` without slides.

`python -m testing.survival_cohort FOLDER` writes FOLDER/store, with the features of two encoders,
and FOLDER/clinical.csv. Encoder `sharp` sees a patient's hidden risk better than `dull`; overall
survival (OS) follows it, progression (PFS) follows nothing.
"""

import csv
import sys
from pathlib import Path

import numpy as np

from histo_ray.store.store import open_store
from histo_ray.types import TileRows
from testing.partitions import facts_of

PATIENTS, TILES, DIM = 120, 12, 16
SIGNALS = {"dull": 0.3, "sharp": 1.2}
"""How far an encoder's features follow the risk."""
EFFECT = 1.2
"""Log of the hazard ratio of one standard deviation of the risk."""


def write_cohort(folder: Path, seed: int = 0) -> None:
    """Write the store and the clinical table of `PATIENTS` synthetic patients."""
    rng = np.random.default_rng(seed)
    risk = rng.normal(size=PATIENTS)
    names = [f"P{number:03d}" for number in range(PATIENTS)]
    store = open_store(str(folder / "store"), create=True)
    for number, (encoder, signal) in enumerate(SIGNALS.items()):
        for name, own in zip(names, risk, strict=True):
            noise = rng.normal(size=(TILES, DIM)) + 0.7 * rng.normal(size=DIM)
            vectors = (signal * own / np.sqrt(DIM) + noise).astype(np.float16)
            facts = facts_of(name, encoder, "t0", DIM, patient_id=name, weights=f"{number}" * 64)
            coords = np.arange(2 * TILES, dtype=np.int32).reshape(TILES, 2)
            ones = np.ones(TILES, np.float32)
            store.commit(facts.key, facts, [TileRows(coords, ones, ones, vectors)])
    seen = rng.uniform(12, 96, PATIENTS)
    survival = rng.exponential(40 * np.exp(-EFFECT * risk)) + 0.1
    progression = rng.exponential(30, PATIENTS) + 0.1
    with (folder / "clinical.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["patient_id", "os_months", "os_status", "pfs_months", "pfs_status"])
        for at, name in enumerate(names):
            died, progressed = survival[at] <= seen[at], progression[at] <= seen[at]
            table.writerow([
                name,
                f"{min(survival[at], seen[at]):.1f}",
                "1:DECEASED" if died else "0:LIVING",
                f"{min(progression[at], seen[at]):.1f}",
                "1:PROGRESSION" if progressed else "0:CENSORED",
            ])  # fmt: skip


if __name__ == "__main__":
    write_cohort(Path(sys.argv[1]))
