"""Features of the patients that are evaluated: pooled vectors, and bags of tiles."""

import numpy as np
import numpy.typing as npt

from histo_ray.errors import ConfigError
from histo_ray.evaluate.patients.patient_cohort import Patients, StoredSlides
from histo_ray.evaluate.patients.patient_settings import PatientConfig
from histo_ray.learn.mil.bags import Bags, measure_bags
from histo_ray.pooling.matrix import pool_matrix
from histo_ray.store.store import Store
from histo_ray.text import name_some

BAGS = "bags"
"""Pooling of a configuration that sees tiles."""

Features = dict[tuple[str, str], npt.NDArray[np.float32]]
"""(P, D) by encoder and pooling."""


def load_features(
    store: Store, found: list[StoredSlides], patients: Patients, config: PatientConfig
) -> Features:
    """Pool the tiles of every patient, (P, D) float32 by encoder and pooling.

    Raises:
        ConfigError: An unknown pooling, or a pooling that leaves patients out.
    """
    features = {}
    for slides in found:
        for pooling in config.pooling:
            frame = pool_matrix(
                store,
                slides.encoder,
                pooling,
                by="patient",
                tiling=slides.tiling,
                class_encoder=config.class_encoder,
                slide_ids=patients.slides,
                where=slides.where,
            )
            lost = sorted(set(patients.cohort.patients) - set(frame.index))
            if lost:
                raise ConfigError(
                    f"pooling {pooling} of {slides.encoder}: {len(lost)} patients have no vector "
                    f"({name_some(lost)}); leave this pooling out, or these patients out of the "
                    "labels"
                )
            features[slides.encoder, pooling] = frame.loc[list(patients.cohort.patients)].to_numpy()
    return features


def load_bags(
    store: Store, found: list[StoredSlides], patients: Patients, most: int, seed: int
) -> dict[str, Bags]:
    """Load all tiles, or `most` drawn ones, of each patient, by encoder.

    What stays in one fold stays together in inner folds too.
    """
    bags = {}
    for slides in found:
        own: dict[str, list[str]] = {}
        for name in sorted(set(patients.slides)):
            own.setdefault(slides.receipts[name].slide.patient_id, []).append(name)
        vectors = [
            store.patient_bag(p, slides.encoder, slides.tiling, most, seed, own[p], slides.where)
            for p in patients.cohort.patients
        ]
        bags[slides.encoder] = measure_bags(vectors, patients.groups)
    return bags
