"""Names that a spreadsheet has turned into dates: genes, and ids of slides and patients. Pure."""

import re

_MONTHS = (
    *("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "sept", "oct", "nov", "dec"),
    *("january", "february", "march", "april", "june", "july", "august", "september"),
    *("october", "november", "december"),
    *("mrz", "mär", "maerz", "märz", "mai", "okt", "dez", "mars", "avr", "août", "déc"),
    *("ene", "abr", "ago", "dic", "set", "ott", "gen", "mag", "giu", "lug"),
)
_MONTH = "(?:" + "|".join(sorted(_MONTHS, key=len, reverse=True)) + r")\.?"
_DATES = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"[0-3]?[0-9][-/. ]{{1,2}}{_MONTH}(?:[-/. ]+(?:[0-9]{{2}}){{1,2}})?",  # 1-Mar, 01.Mrz.2001
        rf"{_MONTH}[-/. ]+(?:[0-9]{{2}}|[12][0-9]{{3}})",  # Mar-01, Mar 2001
        rf"{_MONTH}[-/. ]+[0-3]?[0-9](?:,? +|[-/])[12][0-9]{{3}}",  # March 1, 2001
        r"[12][0-9]{3}([-/.])[01]?[0-9]\1[0-3]?[0-9](?:[ T].*)?",  # 2001-03-01, with a time
        r"[0-3]?[0-9]([-/.])[0-3]?[0-9]\1(?:[0-9]{2}|[12][0-9]{3})(?: .*)?",  # 3/1/2001
    )
)
_TITLE = re.compile(r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Sept|Oct|Nov|Dec)-[0-9]")
"""Mar-1; in capitals (OCT-4, DEC-1) it is an alias of a gene."""


def is_date(name: str) -> bool:
    """Whether a name is a date, as spreadsheets make of MARCH1, SEPT2, DEC1 and of ids."""
    text = re.sub(r"^X(?=[0-9])", "", name.strip().strip("'\""))  # R's make.names
    for candidate in (text, re.sub(r"\.[0-9]{1,2}$", "", text)):  # pandas' mark of a repeat
        if _TITLE.fullmatch(candidate) or any(form.fullmatch(candidate) for form in _DATES):
            return True
    return False
