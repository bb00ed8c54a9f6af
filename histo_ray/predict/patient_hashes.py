"""Patients as salted hashes: overlap of two cohorts is found without publishing ids. Pure.

A salt keeps the hashes of two predictors from being joined, and tables made beforehand from being
of use. It does not keep anybody with a list of likely ids from trying each: leave the hashes out
where that matters.
"""

import hashlib
from collections.abc import Iterable

from histo_ray.predict.card import CohortCard
from histo_ray.slides.barcodes import cut_barcode


def hash_patient(salt: str, patient_id: str) -> str:
    """Hash a person: SHA-256 of salt, a NUL and the id, in hex.

    Args:
        salt: Of the card.
        patient_id: As a store calls the patient; of a TCGA barcode the person's part counts.
    """
    return hashlib.sha256(f"{salt}\0{cut_barcode(patient_id)}".encode()).hexdigest()


def find_overlap(cohort: CohortCard, patient_ids: Iterable[str]) -> set[str]:
    """Find the patients that a predictor was fitted on; empty where its hashes were left out."""
    known = set(cohort.patient_hashes or ())
    return {patient for patient in patient_ids if hash_patient(cohort.salt, patient) in known}
