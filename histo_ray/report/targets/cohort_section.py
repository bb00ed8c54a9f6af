"""The cohort on the page: slides, evaluated patients, and where the others were excluded."""

import pandas as pd

from histo_ray.report.evaluations import TargetEvaluation
from histo_ray.report.page_blocks import Block, Column, Flow, Section, Step, Table, Text, Title
from histo_ray.store.lost_slides import Extraction
from histo_ray.text import count_of

LISTED = 2000
"""Rows shown of a table of lost slides or patients; the Parquet tables have all."""


def write_cohort(runs: list[TargetEvaluation], extraction: Extraction) -> Section | None:
    """Write the flow of each run and its lost slides and patients; None if there is nothing."""
    section = Section("cohort", "Cohort")
    same = len({run.record.cohort.model_dump_json() for run in runs}) == 1
    for run in runs:
        if same and run is not runs[0]:
            continue
        tasks = ", ".join(one.record.task for one in runs) if same else run.record.task
        section.blocks += [Title(tasks.capitalize()), Flow(flow_steps(run, len(extraction.failed)))]
        aside = _describe_labels(run)
        section.blocks += [Text(aside)] if aside else []
    if len(extraction.lost):
        section.blocks.append(_tabulate_slides(extraction.lost))
    for run in runs:
        lost = run.cohort[~run.cohort["used"]]
        if len(lost) and not (same and run is not runs[0]):
            section.blocks += _tabulate_patients(run, lost)
    return section if section.blocks else None


def flow_steps(run: TargetEvaluation, failed: int = 0) -> list[Step]:
    """List the steps from slides to evaluated patients.

    Args:
        run: The run.
        failed: Slides that have no receipt, where the run is too old to say how many.
    """
    cohort = run.record.cohort
    failed = failed if cohort.slides_failed is None else cohort.slides_failed
    with_tiles = cohort.slides - cohort.slides_without_tiles - cohort.slides_filtered
    missed = [f"{failed:,} failed"] if failed else []
    if cohort.slides_without_tiles:
        missed.append(f"{cohort.slides_without_tiles:,} without tiles")
    if cohort.slides_filtered:
        missed.append(f"{cohort.slides_filtered:,} without a tile that the condition keeps")
    gone = cohort.patients_lost
    missed += [f"with them {count_of(gone, 'patient')}"] if gone else []
    both = cohort.patients_with_features - cohort.features_only
    lacking = [
        f"{count_of(count, 'patient')} without features of {name}"
        for name, count in cohort.lost.items()
        if count
    ]
    other = both - cohort.patients_used
    left = f"{other:,} left out" if other > 0 else ""
    return [
        Step(
            cohort.slides + failed,
            "slides in",
            "; ".join(missed),
        ),
        Step(with_tiles, "slides with tiles", "; ".join(lacking)),
        Step(
            cohort.patients_with_features,
            "patients with features",
            f"{cohort.features_only:,} without labels" if cohort.features_only else "",
        ),
        Step(both, "patients with features and labels", left),
        Step(cohort.patients_used, "patients evaluated"),
    ]


def _describe_labels(run: TargetEvaluation) -> str:
    cohort = run.record.cohort
    if not cohort.labels_only:
        return ""
    return (
        f"The label table has {count_of(cohort.patients_with_labels, 'patient')}, "
        f"{cohort.labels_only:,} without features."
    )


def _tabulate_slides(lost: pd.DataFrame) -> Table:
    columns = [Column(h, number=False) for h in ("slide", "outcome", "why", "encoders")]
    rows = lost.head(LISTED).astype(str).to_numpy().tolist()
    title = f"{count_of(lost['slide_id'].nunique(), 'slide')} lost in extraction, and why"
    return Table("lost-slides", title, columns, rows, folded=title, note=_cut(len(lost)))


def _tabulate_patients(run: TargetEvaluation, lost: pd.DataFrame) -> list[Block]:
    task = run.record.task
    counts = lost["reason"].value_counts()
    reasons = "; ".join(f"{reason} ({count:,})" for reason, count in counts.head(6).items())
    columns = [
        *(Column(head, number=False) for head in ("patient", "site")),
        Column("slides with tiles"),
        Column("why", number=False),
    ]
    rows = lost.sort_values("patient_id")[["patient_id", "site", "slides", "reason"]]
    title = f"{count_of(len(lost), 'patient')} not evaluated ({task}), and why"
    cells = rows.head(LISTED).astype(str).to_numpy().tolist()
    table = Table(
        f"lost-patients-{run.run_id}", title, columns, cells, folded=title, note=_cut(len(lost))
    )
    return [Text(f"Not evaluated: {reasons}."), table]


def _cut(count: int) -> str:
    return f"The first {LISTED:,} of {count:,}." if count > LISTED else ""
