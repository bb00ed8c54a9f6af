"""Names in a label table that are no genes: clinical columns, row numbers, counters, dates. Pure.

A name is set aside by what it says, never by its values. Symbols, Ensembl ids and Entrez numbers
pass: `MARCH1`, `SEPT9`, `DEC1`, `AGER`, `MSI2`, `OS9`, `ENSG00000141510.18`, `7157`.
"""

import re
from collections.abc import Collection, Sequence
from datetime import date, timedelta

from histo_ray.labels.target_exclusions import TargetExclusion
from histo_ray.slides.column_names import plain_name
from histo_ray.slides.spreadsheet_dates import is_date

_UNNAMED = frozenset({"unknown", "?", "-", ".", "na", "n/a", "nan", "none", "null"})

_INDEX = re.compile(r"unnamed[: _.]*[0-9]+(_level_[0-9]+)?(\.[0-9]+)?|index|level_[0-9]+", re.I)
_ROW_NAMES = frozenset({"rownames", "rowname", "rownumber", "rownumbers", "rowindex", "rowid"})

_CLINICAL_NAMES = frozenset(
    {"os", "pfs", "dfs", "dss", "rfs", "pfi", "dfi"}  # EFS and BCR are genes
    | {"mutationcount", "mutationburden", "tumormutationburden", "tumormutationalburden"}
    | {"fractiongenomealtered", "aneuploidyscore", "buffahypoxiascore", "ragnumhypoxiascore"}
    | {"winterhypoxiascore", "msisensorscore", "msiscoremantis", "packyears", "yearofbirth"}
    | {"fold", "split", "isfemale", "ismale", "timetoevent", "tnm"}
)
"""Whole names, in small letters and digits."""
_CLINICAL_WORDS = frozenset(
    {"age", "sex", "gender", "female", "male", "race", "ethnicity", "ethnic", "bmi"}
    | {"survival", "censorship", "censored", "censor", "censoring", "vital", "patient", "person"}
    | {"months", "days", "years", "month", "year", "followup", "death", "dead", "deceased", "alive"}
    | {"died", "relapse", "recurrence", "progression", "metastasis", "stage", "grade", "staging"}
    | {"ajcc", "gleason", "ecog", "karnofsky", "kps", "smoking", "smoker", "smoked", "tobacco"}
    | {"purity", "ploidy", "cellularity", "tmb", "msi", "diagnosis", "histology", "histological"}
    | {"treatment", "therapy", "chemotherapy", "radiotherapy", "radiation", "menopause"}
    | {"menopausal", "pathologic", "pathological", "comorbidity"}
)
"""Words of a name that is split at what is no letter or digit, and where a capital begins.

No symbol of a gene has one of them as a part of its own; those with hyphens end in AS1, DT, OT1...
"""
_WEAK_WORDS = frozenset({"status", "event", "time", "clinical"})
_BESIDE_WEAK = frozenset(
    {"disease", "cancer", "tumor", "tumour", "neoplasm", "living", "to", "of", "last", "overall"}
)
"""`tumor_status` is clinical; `EGFR_status` is the state of a gene."""
_SURVIVAL = frozenset({"os", "pfs", "dfs", "dss", "rfs", "efs", "pfi", "dfi", "ttp", "bcr"})
_OF_SURVIVAL = frozenset({"time", "months", "days", "years", "event", "status", "censor"})

_COUNTERS = frozenset(
    {"nunmapped", "nmultimapping", "nnofeature", "nambiguous"}
    | {"nofeature", "ambiguous", "toolowaqual", "notaligned", "alignmentnotunique"}
)
"""Rows that STAR and HTSeq put beside genes, in small letters; those of HTSeq begin with `__`."""
_FEATURE_COUNTS = re.compile(r"(un)?assigned(_[a-z]+)*", re.IGNORECASE)

_EXCEL_DAY_0 = date(1899, 12, 30)
_SERIALS = range(36526, 54789)
"""2000-01-01 to 2049-12-31 as Excel counts days: what a gene became in a year of use."""
_LAST_OF_MONTH = {1: 1, 2: 11, 3: 11, 4: 4, 5: 1, 8: 1, 9: 15, 10: 11, 11: 2, 12: 2}
"""Largest number that a symbol has behind a month's name: MARCH11, SEPT15 (SEP15), OCT11, DEC2."""


def find_not_genes(names: Sequence[str], asked: Collection[str] = ()) -> dict[int, TargetExclusion]:
    """Find the names that cannot be meant as genes.

    Args:
        names: What a table calls its genes.
        asked: Names that the caller wants as targets, whatever they are: clinical ones and
            counters then pass; row numbers and dates, which may stand for several genes, do not.

    Returns:
        By place in `names`: `ROW_NUMBERS`, `CLINICAL`, `COUNTER`, `UNNAMED` or `DATE`.
    """
    numbers = sum(name.isdecimal() for name in names)
    entrez = 2 * numbers > len(names)
    found: dict[int, TargetExclusion] = {}
    for at, name in enumerate(names):
        if is_index(name):
            found[at] = TargetExclusion.ROW_NUMBERS
        elif name.casefold() in _UNNAMED:
            found[at] = TargetExclusion.UNNAMED
        elif is_date(name) or (not entrez and is_excel_serial(name)):
            found[at] = TargetExclusion.DATE
        elif name not in asked:
            if is_counter(name):
                found[at] = TargetExclusion.COUNTER
            elif is_clinical(name):
                found[at] = TargetExclusion.CLINICAL
    return found


def is_index(name: str) -> bool:
    """Whether a column is pandas' index, as in `Unnamed: 0`, `index`, `level_0`."""
    return _INDEX.fullmatch(name.strip()) is not None or plain_name(name) in _ROW_NAMES


def is_clinical(name: str) -> bool:
    """Whether a column tells of the patient or the tumour and not of a gene."""
    if plain_name(name) in _CLINICAL_NAMES:
        return True
    words = {
        word.casefold() for word in re.split(r"[^A-Za-z0-9]+|(?<=[a-z])(?=[A-Z])", name) if word
    }
    if words & _CLINICAL_WORDS or (words & _SURVIVAL and words & _OF_SURVIVAL):
        return True
    return bool(words & _WEAK_WORDS) and words <= _WEAK_WORDS | _BESIDE_WEAK


def is_counter(name: str) -> bool:
    """Whether a row sums up reads that belong to no gene: `N_unmapped`, `__no_feature`, ..."""
    text = re.sub(r"^X(?=__)", "", name.strip())  # R's make.names
    if text.startswith("__") or "_" not in text:
        return text.startswith("__") or text.casefold() in ("ambiguous", "assigned")
    return plain_name(text) in _COUNTERS or _FEATURE_COUNTS.fullmatch(text) is not None


def is_excel_serial(name: str) -> bool:
    """Whether a number is the day that Excel makes of such a gene: 44256 is 2021-03-01, MARCH1."""
    text = re.sub(r"\.0$", "", name.strip().removeprefix("X"))
    if not text.isdecimal() or int(text) not in _SERIALS:
        return False
    day = _EXCEL_DAY_0 + timedelta(days=int(text))
    return day.day <= _LAST_OF_MONTH.get(day.month, 0)
