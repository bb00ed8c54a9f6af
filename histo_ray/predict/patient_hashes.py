"""Patients as salted hashes: overlap of two cohorts is found without publishing ids. Pure.

A salt keeps the hashes of two predictors from being joined, and tables made beforehand from being
of use. It does not keep anybody with a list of likely ids from trying each: leave the hashes out
where that matters.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence

from histo_ray.predict.card import CohortCard
from histo_ray.slides.barcodes import cut_barcode
from histo_ray.types import Receipt


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


def hash_slides(salt: str, receipts: Sequence[Receipt]) -> set[str]:
    """Hash what slides are, whatever they are called: the digests of vectors and of slide files.

    A digest that several slides share tells none of them from others, and is left out.

    Args:
        salt: Of the card.
        receipts: Of slides with tiles.
    """
    digests = [one for receipt in receipts for one in _list_digests(receipt)]
    return {_hash(salt, one) for one, times in Counter(digests).items() if times == 1}


def is_known_slide(cohort: CohortCard, receipt: Receipt) -> bool:
    """Whether a predictor was fitted on the very vectors or slide file, under whatever name."""
    known = cohort.slide_hashes or ()
    return any(_hash(cohort.salt, one) in known for one in _list_digests(receipt))


def _list_digests(receipt: Receipt) -> list[str]:
    found = {"vectors": receipt.vectors_sha256, "file": receipt.slide.fingerprint}
    return [f"{kind} {sha256}" for kind, sha256 in found.items() if sha256]


def _hash(salt: str, text: str) -> str:
    return hashlib.sha256(f"{salt}\0{text}".encode()).hexdigest()
