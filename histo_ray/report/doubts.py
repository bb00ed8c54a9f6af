"""What a reader should know before believing the numbers. Pure."""

from collections.abc import Collection, Sequence

from histo_ray.report.evaluations import OutcomeRun, Run
from histo_ray.report.outcome_words import tell_far_off
from histo_ray.text import count_of, name_first

FEW_POSITIVES = 20
"""Fewer positives than this are called few: a fold of five then judges on three or less."""
RARE = 10
"""Patients of a class below which earlier versions gave P values that are too small
(`ENOUGH_UNITS` of learn/fold_support.py)."""
SYNTHETIC = "SYNTHETIC"


def tell_synthetic(marked: int, total: int, what: str, where: str) -> str:
    """The warning of a run on data that a table marks.

    Args:
        marked: How many are.
        total: Of how many.
        what: `slide` or `tile`.
        where: The table that says so.
    """
    many = f"all {count_of(total, what)}" if marked == total else f"{marked:,} of {total:,} {what}s"
    return (
        f"{SYNTHETIC} data: {many} marked so in the {where}; no figure here says anything of "
        "patients"
    )


def is_synthetic(run: Run, marked: Collection[str] = ()) -> bool:
    """Whether synthetic tissue was evaluated: the run says so, or patients of it are marked.

    Args:
        run: The run.
        marked: Patients whose slides a manifest marks.
    """
    if SYNTHETIC in run.note.remark or any(SYNTHETIC in text for text in run.note.warnings):
        return True
    if not isinstance(run, OutcomeRun) or not marked:
        return False
    return bool(run.cohort.loc[run.cohort["used"], "patient_id"].isin(list(marked)).any())


def list_doubts(run: Run) -> list[str]:
    """A run's own warnings, and those that its tables give reason for and it does not state."""
    said = list(run.note.warnings)
    if told := _doubt_old_tests(run):
        said.append(told)
    if isinstance(run, OutcomeRun):
        for keyword, doubt in (
            ("site", _doubt_sites(run)),
            ("positive", _doubt_positives(run)),
            ("encoders", _doubt_lost(run)),
            *(("labels' range", doubt) for doubt in _doubt_ranges(run)),
        ):
            if doubt and not any(keyword in text for text in run.note.warnings):
                said.append(doubt)
    return said


def _doubt_old_tests(run: Run) -> str:
    """Of runs made before tests over folds knew how few the independent units are."""
    if run.note.tests is not None:
        return ""
    if not isinstance(run, OutcomeRun):
        whole = "groups" if run.grouped else ""
    elif run.note.folds.kept_together == "site":
        whole = "sites"
    else:
        rows = run.targets
        rarer = rows[["positives"]].assign(rest=rows["n_patients"] - rows["positives"]).min(axis=1)
        rare = run.note.task == "mutation" and bool((rarer < RARE).any())
        whole = "patients of a class" if rare else ""
    if not whole:
        return ""
    return (
        "P values of this run are too sure: it was made by a version that counted every fold of "
        f"every repeat as a draw, though few {whole} can be put into folds in few ways only; "
        "evaluate again for P values that know it"
    )


def _doubt_sites(run: OutcomeRun) -> str:
    sites = run.cohort.loc[run.cohort["used"] & (run.cohort["site"] != ""), "site"].nunique()
    if sites < 2 or run.note.folds.kept_together == "site":
        return ""
    return (
        f"patients come from {sites} sites and folds do not keep sites together: embeddings know "
        "the site, so a label that differs between sites may be predicted from it (leakage)"
    )


def _doubt_positives(run: OutcomeRun) -> str:
    if run.note.task != "mutation":
        return ""
    counts = run.targets.groupby("target")["positives"].max()
    few = counts[counts < FEW_POSITIVES].sort_values()
    names = [f"{name} ({count})" for name, count in few.items()]
    if not names:
        return ""
    return (
        f"few positives (fewer than {FEW_POSITIVES}): {name_first(names)}; "
        "their AUROC rests on a handful of patients, so read the interval, not the dot"
    )


def _doubt_ranges(run: OutcomeRun) -> list[str]:
    by_encoder = run.targets.groupby("encoder", sort=False)["r2"]
    return [told for name, r2 in by_encoder if (told := tell_far_off(str(name), r2.tolist()))]


def _doubt_lost(run: OutcomeRun) -> str:
    lacking = [
        f"{name} lacks {count_of(count, 'patient')}"
        for name, count in run.note.cohort.lost.items()
        if count
    ]
    if not lacking:
        return ""
    return f"encoders have different slides ({', '.join(lacking)}): compared on the common set"


def tell_problems(problems: Sequence[str]) -> list[str]:
    """Of runs and tables that could not be read."""
    return [f"left out, because it cannot be read: {problem}" for problem in problems]
