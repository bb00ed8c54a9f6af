"""An evaluation that has been made. No Ray: one that is done already needs none."""

from dataclasses import dataclass
from typing import Any

from histo_ray.store.tables import TableFolder


@dataclass(frozen=True)
class Evaluation:
    """One evaluation and where it lies."""

    folder: TableFolder
    note: dict[str, Any]
    """What `run.json` says."""
