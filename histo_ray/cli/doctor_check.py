"""Result of one check of `histo-ray doctor`."""

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Check:
    """Result of one check."""

    what: str
    state: Literal["ok", "note", "bad"]
    found: str
    remedy: str = ""
    measures: dict[str, float] = field(default_factory=dict)
    """Numbers of `found`, by names that end with their unit: free_bytes, tiles_per_s, tiles_most,
    dim, slides, slides_opened."""
