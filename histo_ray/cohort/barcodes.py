"""TCGA barcodes: which patient, which site, which kind of sample. Pure."""

import re
from typing import NamedTuple

PRIMARY = frozenset({1, 3})
"""Sample types of a primary tumour: solid, and blood-derived."""
NOT_TUMOUR = range(10, 30)
"""Sample types of normal tissue (10-19) and of controls (20-29).

Source: NCI GDC, TCGA code tables, "Sample Type Codes".
"""

_BARCODE = re.compile(
    r"TCGA([-.])([A-Z0-9]{2})\1([A-Z0-9]{4})(?:\1(?:([0-9]{2})(?![0-9]))?.*)?", re.DOTALL
)


class Barcode(NamedTuple):
    """What a barcode of a patient, sample, slide or aliquot says."""

    patient: str
    """Its first three fields."""
    site: str
    """Tissue source site: the second field."""
    sample_type: int | None
    """01 primary tumour, 11 normal tissue, ...; None for a patient's barcode."""


def parse_barcode(name: str) -> Barcode | None:
    """Take a TCGA barcode apart; None for other names.

    Dots for hyphens, as R writes them in the names of columns, are read too.
    """
    found = _BARCODE.fullmatch(name)
    if found is None:
        return None
    _, site, person, kind = found.groups()
    return Barcode(f"TCGA-{site}-{person}", site, None if kind is None else int(kind))


def cut_barcode(name: str) -> str:
    """The patient of a TCGA barcode; any other name as it is."""
    barcode = parse_barcode(name)
    return name if barcode is None else barcode.patient
