"""`hr.report`: the page of a store's evaluations, and a checklist beside it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from histo_ray.api.report_heatmaps import heatmaps_of
from histo_ray.report.checklist.write_checklist import ChecklistFiles, write_checklist
from histo_ray.report.page import MainFinding, summarise, write_report


@dataclass(frozen=True)
class ReportResult:
    """What a report wrote."""

    page: Path
    findings: tuple[MainFinding, ...]
    """The main result of each evaluation, in one sentence."""
    checklist: ChecklistFiles | None = None
    """`.page`, `.markdown`, `.table` (paths) and `.sheet`; None: none was asked for."""


def report(
    store: str | Path,
    out: str | Path = "report.html",
    *,
    runs: Sequence[str] = (),
    heatmaps: bool = True,
    checklist: str = "",
) -> ReportResult:
    """Write the page of a store's evaluations and external validations.

    Args:
        store: Folder or URI of the store.
        out: File to write; replaced if it exists.
        runs: Ids of evaluations; without any, the newest of each task.
        heatmaps: Whether slides are shown with the scores of their tiles, by heads that are fitted
            again for it.
        checklist: `tripod-ai`: also write that checklist beside the page, filled in with what the
            store knows.

    Raises:
        StoreError: No store, no evaluation in it, or not those that are named.
        ConfigError: No such checklist, or files cannot be written there.
    """
    name = str(store)
    beside = write_checklist(name, out, runs, checklist) if checklist else None
    page = write_report(name, out, runs, heatmaps_of(name) if heatmaps else None)
    return ReportResult(page, tuple(summarise(name, runs)), beside)
