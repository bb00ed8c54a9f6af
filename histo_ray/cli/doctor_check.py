"""Result of one check of `histo-ray doctor`."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Check:
    """Result of one check."""

    what: str
    state: Literal["ok", "note", "bad"]
    found: str
    remedy: str = ""
