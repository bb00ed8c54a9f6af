"""Caveats as sentences for a person, and those that older runs give reason for. Pure."""

from collections.abc import Callable, Collection, Iterator, Sequence

import pandas as pd

from histo_ray.evaluate.caveats import (
    FAR_OFF,
    FEW_POSITIVES,
    Caveat,
    CaveatCode,
    SiteRemedy,
    caveat,
    far_off_caveat,
)
from histo_ray.evaluate.evaluation_record import EvaluationRecord, PatientRecord
from histo_ray.evaluate.tasks.patient_task import PatientTask
from histo_ray.evaluate.tasks.registry import TASKS
from histo_ray.report.kept_words import KEPT_WRITERS
from histo_ray.report.targets.confounder_words import CONFOUNDER_WRITERS
from histo_ray.report.targets.slide_encoder_words import write_slide_encoder_saw
from histo_ray.report.tissue.tile_caveat_words import TILE_WRITERS
from histo_ray.text import count_of, name_first, name_some
from histo_ray.types import TargetKind

RARE = 10
"""Patients of a class below which earlier versions gave P values that are too small
(`ENOUGH_UNITS` of learn/targets/fold_support.py)."""


def write_caveats(record: EvaluationRecord) -> list[str]:
    """Write the caveats that a record states, as sentences without a full stop."""
    return [write_caveat(one) for one in record.caveats]


def write_caveat(one: Caveat) -> str:
    """Write one caveat as a sentence without a full stop."""
    return _WRITERS[one.code](one)


def list_caveats(
    record: EvaluationRecord,
    targets: pd.DataFrame | None = None,
    cohort: pd.DataFrame | None = None,
    grouped: bool = False,
) -> list[str]:
    """Write a run's own caveats, and those of older runs that its tables give reason for.

    Args:
        record: Of the run.
        targets: Rows of `outcome_targets`, of a run on patients.
        cohort: Rows of `outcome_cohort`, of the same.
        grouped: Whether tiles of a group were kept in one fold, of an older run on tiles.
    """
    found = list(record.caveats)
    found += _derive_old_tests(record, targets, grouped)
    if not record.caveats and isinstance(record, PatientRecord):
        found += _derive(record, targets, cohort)
    return [write_caveat(one) for one in found]


def is_synthetic(
    record: EvaluationRecord, marked: Collection[str] = (), cohort: pd.DataFrame | None = None
) -> bool:
    """Whether synthetic data were evaluated: the run says so, or patients of it are marked.

    Args:
        record: Of the run.
        marked: Patients whose slides a manifest marks.
        cohort: Rows of `outcome_cohort`, of a run on patients.
    """
    if record.synthetic:
        return True
    if cohort is None or not marked:
        return False
    return bool(cohort.loc[cohort["used"], "patient_id"].isin(list(marked)).any())


def write_problems(problems: Sequence[str]) -> list[str]:
    """Write what could not be read."""
    return [f"left out, because it cannot be read: {problem}" for problem in problems]


def _derive_old_tests(
    record: EvaluationRecord, targets: pd.DataFrame | None, grouped: bool
) -> Iterator[Caveat]:
    """Find runs made before tests over folds took account of few independent units."""
    if record.tests is not None:
        return
    whole = ""
    if not isinstance(record, PatientRecord):
        whole = "groups" if grouped else ""
    elif record.folds.kept_together == "site":
        whole = "sites"
    elif targets is not None and _is_binary(record):
        counts = targets[["positives"]].assign(rest=targets["n_patients"] - targets["positives"])
        whole = "patients of a class" if bool((counts.min(axis=1) < RARE).any()) else ""
    if whole:
        yield caveat(CaveatCode.OLD_TESTS, whole=whole)


def _derive(
    record: PatientRecord, targets: pd.DataFrame | None, cohort: pd.DataFrame | None
) -> Iterator[Caveat]:
    """Find the caveats of a run that states none, as the oldest runs do."""
    if cohort is not None and record.folds.kept_together != "site":
        sites = cohort.loc[cohort["used"] & (cohort["site"] != ""), "site"].nunique()
        if sites > 1:
            yield caveat(CaveatCode.SITES_SPLIT_UNSTATED, sites=int(sites))
    if targets is not None and _is_binary(record):
        counts = targets.groupby("target")["positives"].max()
        few = counts[counts < FEW_POSITIVES].sort_values()
        names = tuple(f"{name} ({count})" for name, count in few.items())
        if names:
            yield caveat(CaveatCode.FEW_POSITIVES_UNSTATED, targets=names)
    lacking = tuple(
        f"{name} lacks {count_of(count, 'patient')}"
        for name, count in record.cohort.lost.items()
        if count
    )
    if lacking:
        yield caveat(CaveatCode.PATIENTS_DIFFER, encoders=lacking)
    if targets is not None:
        for name, r2 in targets.groupby("encoder", sort=False)["r2"]:
            found = far_off_caveat(str(name), r2.tolist())
            if found is not None:
                yield found


def _is_binary(record: EvaluationRecord) -> bool:
    task = TASKS.get(record.task)
    return isinstance(task, PatientTask) and task.kind is TargetKind.BINARY


def _span(one: Caveat) -> str:
    low, high = one.number("low"), one.number("high")
    return f"{low}" if low == high else f"{low} to {high}"


def _write_synthetic(one: Caveat) -> str:
    marked, total = one.number("marked"), one.number("total")
    many = (
        f"all {count_of(total, 'slide')}" if marked == total else f"{marked:,} of {total:,} slides"
    )
    return (
        f"SYNTHETIC data: {many} marked so in the manifest; no figure here says anything of "
        "patients"
    )


def _write_same_weights(one: Caveat) -> str:
    names = one.names("encoders")
    told = f"{', '.join(names[:-1])} and {names[-1]} have the same weights"
    if one.values["same_vectors"]:
        return f"{told} and the same embeddings: they are one encoder, so there is no difference"
    return (
        f"{told}: a difference between them comes from how tiles are prepared, read out or stored, "
        "not from training"
    )


def _write_sites_split(one: Caveat) -> str:
    return (
        f"patients of one site ({one.number('sites')} sites) are in several folds: embeddings know "
        f"the site, so scores may rest on it; {_write_remedy(one)}"
    )


def _write_remedy(one: Caveat) -> str:
    remedy = SiteRemedy(str(one.values["remedy"]))
    if remedy is SiteRemedy.SITES_TIED:
        return "patients of several sites tie all together, so no fold can be without"
    if remedy is SiteRemedy.TOO_FEW_SITES:
        return "too few sites have both classes for folds without"
    folds = one.values["folds"]
    fewer = "" if folds is None else f" --folds {folds}"
    text = f"--keep-together site{fewer} shows what is left without"
    if remedy is SiteRemedy.POSSIBLE:
        return text
    what = "P values of differences between encoders" if one.values["permuted"] else "P values"
    apart = one.number("apart")
    return (
        f"{text}, as scores without {what} or intervals: {apart} independent "
        f"{'sites are' if apart > 1 else 'site is'} too few for a test "
        f"({one.number('needed')} needed)"
    )


def _name_rarer(one: Caveat) -> str:
    """Name the units that count, where not all do."""
    if one.values.get("events"):
        return " with an event"
    return " with the rarer class" if one.values["rarer"] else ""


def _write_too_few_units(one: Caveat) -> str:
    rarer = _name_rarer(one)
    permuted = " of a difference between encoders" if one.values["permuted"] else ""
    where = "" if one.values["targets"] is None else f" for {name_first(one.names('targets'))}"
    return (
        f"too few independent {one.values['unit']}s{rarer} ({_span(one)}) for a test over folds"
        f"{where}: no P value{permuted} and no interval is given; {one.number('needed')} are needed"
    )


def _write_few_sites(one: Caveat) -> str:
    rarer = _name_rarer(one)
    return (
        f"{_span(one)} independent {one.values['unit']}s{rarer} only: tests over folds have few "
        f"degrees of freedom, and below some {one.number('enough')} sites P values are "
        "approximate; intervals of scores resample patients, not sites"
    )


def _write_few_orders(one: Caveat) -> str:
    within = " within sites" if one.values["within_sites"] else ""
    return (
        f"labels of {count_of(one.number('targets'), 'gene')} have fewer than "
        f"{one.number('fewest'):,} different orders{within}: no P value against chance there"
    )


def _write_far_off(one: Caveat) -> str:
    return (
        f"predictions of {count_of(one.number('targets'), 'gene')} lie far outside the labels' "
        f"range with {one.values['encoder']} (R2 below {FAR_OFF:g}, median "
        f"{one.values['median']:.3g}): a correlation does not see that; another --head or fewer "
        "dimensions may help"
    )


def _write_useless(one: Caveat) -> str:
    names = one.names("targets")
    what = "calls" if one.values["calls"] else "predictions"
    return (
        f"{name_some(names)}: not better than chance; {'its' if len(names) == 1 else 'their'} "
        f"{what} mean nothing"
    )


def _name_groups(one: Caveat) -> str:
    return "inferred groups" if one.values.get("inferred") else "groups (patients)"


def _write_follow_up(one: Caveat) -> str:
    unit = f" {one.values['unit']}" if one.values["unit"] else " (no unit stated)"
    text = (
        f"median follow-up by reverse Kaplan-Meier: {name_some(one.names('medians'))}{unit}; "
        "scores at later times rest on fewer patients"
    )
    beyond = one.names("beyond")
    if not beyond:
        return text
    return (
        f"{text}. Fewer than a tenth of the patients were followed to {name_some(beyond)}{unit}: "
        "scores there rest on few"
    )


def _write_old_tests(one: Caveat) -> str:
    return (
        "P values of this run are too sure: it was made by a version that counted every fold of "
        f"every repeat as a draw, though few {one.values['whole']} can be put into folds in few "
        "ways only; evaluate again for P values that know it"
    )


_WRITERS: dict[CaveatCode, Callable[[Caveat], str]] = {
    CaveatCode.TEXT: lambda one: str(one.values["text"]),
    CaveatCode.SYNTHETIC: _write_synthetic,
    CaveatCode.SYNTHETIC_TILES: lambda one: (
        f"SYNTHETIC data: the table of {one.values['tiles']} marks its tiles so; no figure here "
        "says anything of patients"
    ),
    CaveatCode.TRAINED_ON_TILES: lambda one: (
        f"{one.values['encoder']} was fine-tuned on the tiles of {one.values['tiles']}, labels "
        "included: its score on them flatters; evaluate it on tiles of other patients"
    ),
    CaveatCode.NO_GROUPS: lambda one: (
        "no groups (patients) are known, so tiles of one patient may be in several folds: "
        "leakage cannot be excluded, and every score may be too high"
    ),
    CaveatCode.TOO_FEW_GROUPS: lambda one: (
        f"too few {_name_groups(one)}: {one.number('groups')}, for a test over folds: no P "
        f"value and no interval is given; {one.number('needed')} are needed"
    ),
    CaveatCode.CLASS_TOO_FEW_GROUPS: lambda one: (
        f"some class has tiles of only {one.number('groups')} {_name_groups(one)}: no P value is "
        f"given for its recall, nor for balanced accuracy; {one.number('needed')} are needed"
    ),
    CaveatCode.FEW_GROUPS: lambda one: (
        f"{one.number('groups')} {_name_groups(one)} only: tests over folds have few degrees of "
        f"freedom, and below some {one.number('enough')} groups P values are approximate"
    ),
    CaveatCode.PATIENTS_DIFFER: lambda one: (
        f"encoders have different slides ({', '.join(one.names('encoders'))}): compared on the "
        "common set"
    ),
    CaveatCode.SITES_SPLIT: _write_sites_split,
    CaveatCode.SITES_SPLIT_UNSTATED: lambda one: (
        f"patients come from {one.number('sites')} sites and folds do not keep sites together: "
        "embeddings know the site, so a label that differs between sites may be predicted from it "
        "(leakage)"
    ),
    CaveatCode.TOO_FEW_UNITS: _write_too_few_units,
    CaveatCode.FEW_SITES: _write_few_sites,
    CaveatCode.FEW_ORDERS: _write_few_orders,
    CaveatCode.FEW_PATIENTS: lambda one: (
        f"{count_of(one.number('patients'), 'patient')} only: intervals are wide, and choices "
        "on inner folds unsteady"
    ),
    CaveatCode.FEW_POSITIVES: lambda one: (
        f"few positives ({name_first(one.names('targets'))}): AUROC is uncertain there"
    ),
    CaveatCode.FEW_OF_A_CLASS: lambda one: (
        f"few patients of a class ({name_first(one.names('targets'))}): scores are uncertain there"
    ),
    CaveatCode.FEW_POSITIVES_UNSTATED: lambda one: (
        f"few positives (fewer than {FEW_POSITIVES}): {name_first(one.names('targets'))}; "
        "their AUROC rests on a handful of patients, so read the interval, not the dot"
    ),
    CaveatCode.FEW_EVENTS: lambda one: (
        f"few events ({name_first(one.names('endpoints'))}): C-indices and scores at times are "
        "uncertain there"
    ),
    CaveatCode.FOLLOW_UP: _write_follow_up,
    CaveatCode.SAME_WEIGHTS: _write_same_weights,
    CaveatCode.CHANCE_BY_T_TEST: lambda one: (
        "better than chance is told by a corrected t-test, not by permuted labels"
    ),
    CaveatCode.POOLED_NULL: lambda one: (
        "P against chance pools the permuted genes, as if chance gave every gene the same "
        f"distribution of scores; with --transform {one.values['transform']} it may not: go by "
        "--transform rank, or by --permutations 0"
    ),
    CaveatCode.FAR_OFF_PREDICTIONS: _write_far_off,
    CaveatCode.NO_BETTER_THAN_CHANCE: _write_useless,
    CaveatCode.OLD_TESTS: _write_old_tests,
    CaveatCode.SLIDE_ENCODER_SAW: write_slide_encoder_saw,
    **CONFOUNDER_WRITERS,
    **KEPT_WRITERS,
    **TILE_WRITERS,
}
