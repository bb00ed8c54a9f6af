"""TCGA barcodes, in any case: which patient, which site, which kind of sample. Pure."""

import re
from typing import NamedTuple

PRIMARY = frozenset({1, 3})
"""Sample types of a primary tumour: solid, and blood-derived."""
NOT_TUMOUR = range(10, 30)
"""Sample types of normal tissue (10-19) and of controls (20-29).

Source: NCI GDC, TCGA code tables, "Sample Type Codes".
"""

_BARCODE = re.compile(
    r"TCGA([-.])([A-Z0-9]{2})\1([A-Z0-9]{4})(?:\1(?:([0-9]{2})(?![0-9]))?.*)?",
    re.DOTALL | re.IGNORECASE,
)
_CPTAC = re.compile(r"C3[LN]-[0-9]{5}", re.IGNORECASE)
"""A case of CPTAC, as in C3L-00001."""


class Barcode(NamedTuple):
    """Fields of the barcode of a patient, sample, slide or aliquot."""

    patient: str
    """Its first three fields, in capitals and with hyphens."""
    site: str
    """Tissue source site: the second field."""
    sample_type: int | None
    """01 primary tumour, 11 normal tissue, ...; None for a patient's barcode."""


def parse_barcode(name: str) -> Barcode | None:
    """Take a TCGA barcode apart; None for other names.

    Small letters are read too, as some mirrors write them (GDC writes capitals only), and so are
    dots for hyphens, as R writes them in the names of columns.
    """
    found = _BARCODE.fullmatch(name)
    if found is None:
        return None
    site, person = found[2].upper(), found[3].upper()
    return Barcode(f"TCGA-{site}-{person}", site, None if found[4] is None else int(found[4]))


def cut_barcode(name: str) -> str:
    """Patient of a TCGA barcode, or a CPTAC case, in capitals; any other name as it is."""
    barcode = parse_barcode(name)
    if barcode is not None:
        return barcode.patient
    return name.upper() if _CPTAC.fullmatch(name) else name
