"""Names that columns of manifests and label tables go by. Pure.

One list for both, as GDC, cBioPortal, CLAM, STAMP, slideflow, TIAToolbox, TCIA and CPTAC write
them; see `plain_name` for what does not matter. Of several columns with the same meaning the one
whose name stands first here is read.
"""

import re
from collections.abc import Iterable, Sequence

PATIENT_NAMES = (
    *("patientid", "bcrpatientbarcode", "casesubmitterid", "casessubmitterid", "submitterid"),
    *("cases0submitterid", "patientbarcode", "patientidentifier", "patient", "patientname"),
    *("patientnumber", "patientno", "tcgaparticipantbarcode", "participantid", "participant"),
    *("subjectid", "subject", "donorid", "icgcdonorid", "individualid"),
    *("caseid", "casescaseid", "cases0caseid", "case", "bcrpatientuuid", "patientuuid"),
)
SLIDE_NAMES = (
    *("slideid", "slide", "slidename", "slidesubmitterid", "slidebarcode", "bcrslidebarcode"),
    *("wsiid", "wsiname", "imageid", "imagename", "svsid"),
)
PATH_NAMES = (
    *("path", "filepath", "slidepath", "wsipath", "imagepath", "svspath", "fullpath", "location"),
    *("uri", "slidefile", "wsi", "svs", "file"),
)
FILE_NAMES = ("filename", "slidefilename", "wsifilename", "imagefilename")
"""Names of files: where there is no other column, they are slide_id or path."""
SITE_NAMES = (
    *("site", "tissuesourcesite", "tissuesourcesitecode", "tss", "tsscode", "siteid", "center"),
    *("centre", "centerid", "centreid", "hospital", "institution", "institute", "dataprovider"),
)
MPP_NAMES = (
    *("mpp", "slidempp", "micronsperpixel", "micronperpixel", "umperpixel", "umperpx", "umpx"),
    *("mppx", "mppy"),
)
SYNTHETIC_NAMES = ("synthetic", "issynthetic")
SAMPLE_NAMES = (
    *("tumorsamplebarcode", "sampleid", "samplebarcode", "samplesubmitterid", "sample"),
    *("bcrsamplebarcode", "aliquotbarcode", "aliquotsubmitterid", "barcode"),
)

_PATIENT_LIKE = re.compile("patient|subject|participant|donor|case(?!s?ensor)")


def plain_name(name: str) -> str:
    """A column's name in small letters and digits alone: `Patient_ID`, `PATIENT ID`: patientid."""
    return re.sub("[^a-z0-9]", "", name.casefold())


def find_columns(columns: Sequence[str], names: Iterable[str]) -> list[str]:
    """Columns that go by one of `names`, in the order of `names` and then of the columns."""
    plain = [plain_name(column) for column in columns]
    return [
        column for name in names for column, own in zip(columns, plain, strict=True) if own == name
    ]


def looks_like_patient(column: str) -> bool:
    """Whether a column's name mentions a patient without being one of `PATIENT_NAMES`."""
    plain = plain_name(column)
    return plain not in PATIENT_NAMES and _PATIENT_LIKE.search(plain) is not None
