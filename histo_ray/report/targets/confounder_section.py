"""Blocks of the page about sites that were left out and about covariates."""

from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd

from histo_ray.errors import StoreError
from histo_ray.evaluate.patients.added_value import TABLE as ADDED
from histo_ray.evaluate.patients.left_out_sites import TABLE as SITES
from histo_ray.report.evaluations import TargetEvaluation, read_batches, read_rows
from histo_ray.report.format_numbers import format_maybe_p, format_score
from histo_ray.report.page_blocks import Block, Column, Table, Text, Title
from histo_ray.report.targets.confounder_words import write_added_value

MOST_TARGETS = 10
"""Best targets whose scores are listed site by site."""
_ADDED_COLUMNS = (
    "target", "encoder", "score_covariates", "score_both", "difference", "low", "high", "partial",
    "partial_low", "partial_high", "p_added", "q_added",
)  # fmt: skip
_SITE_COLUMNS = ("target", "encoder", "site", "n_train", "n_patients", "positives", "score", "low",
                 "high")  # fmt: skip


def write_confounder_blocks(run: TargetEvaluation, name: str) -> list[Block]:
    """Write what a run says of sites and covariates; nothing of a run without either.

    Args:
        run: The evaluation.
        name: Id of its section.
    """
    return [*_write_added(run, name), *_write_sites(run, name)]


def _write_added(run: TargetEvaluation, name: str) -> list[Block]:
    """Write whether images add to covariates, target by target."""
    record, noun = run.record, run.words.target
    if record.covariates is None:
        return []
    blocks: list[Block] = [Title("Do images add to what is known?")]
    blocks += [Text(sentence, "sentence") for sentence in write_added_value(record)]
    names = ", ".join(record.covariates.names)
    blocks.append(
        Text(
            f"Known of each patient: {names}. Covariates alone are one head; images are trained on "
            "what a head on covariates, cross-fitted inside the training part, leaves of the "
            "label, and added to it. Same patients and folds. The partial correlation is that of "
            "what images add with what covariates leave, within a test part: 0 on average where "
            "images say nothing. A difference of scores is told beside it; where images add "
            "little, it is below 0 as often as above, and tests of it hardly ever reject."
        )
    )
    try:
        frame = pd.concat(read_batches(run.folder, ADDED, _ADDED_COLUMNS), ignore_index=True)
    except StoreError as error:
        return [*blocks, Text(f"The table of added value cannot be shown: {error}.", "empty")]
    frame = frame.sort_values(["partial", "target"], ascending=[False, True], kind="stable")
    columns = [
        Column(noun, number=False),
        Column("images of", number=False),
        Column("covariates", run.words.metric),
        Column("with images", run.words.metric),
        Column("difference", run.words.metric),
        Column("95 % interval", run.words.metric, number=False),
        Column("r", "partial correlation"),
        Column("95 % interval", "partial correlation", number=False),
        Column("P", "partial correlation", "Corrected resampled t-test, two-sided"),
        Column("q", "partial correlation", f"After Benjamini-Hochberg over {noun}s"),
    ]
    rows = [_tabulate_added(row) for row in frame.to_dict("records")]
    table = Table(f"{name}-added", "Images beyond covariates", columns, rows, searchable=f"{noun}s")
    return [*blocks, table]


def _tabulate_added(row: Mapping[Hashable, Any]) -> list[str]:
    return [
        str(row["target"]),
        str(row["encoder"]),
        _format(row["score_covariates"]),
        _format(row["score_both"]),
        _format(row["difference"]),
        _format_interval(row["low"], row["high"]),
        _format(row["partial"]),
        _format_interval(row["partial_low"], row["partial_high"]),
        format_maybe_p(row["p_added"]),
        format_maybe_p(row["q_added"]),
    ]


def _format_interval(low: float, high: float) -> str:
    return f"{format_score(low)} to {format_score(high)}" if low == low else ""


def _write_sites(run: TargetEvaluation, name: str) -> list[Block]:
    sites = run.record.left_out_sites
    if not sites:
        return []
    encoders = list(dict.fromkeys(one for site in sites for one in site.mean_scores))
    noun = run.words.target
    columns = [
        Column("site", number=False),
        Column("patients", about="With a label"),
        Column(f"{noun}s", about="With a score at this site"),
        *(Column(encoder, f"mean {run.words.metric}") for encoder in encoders),
    ]
    rows = [
        [
            site.site,
            f"{site.patients:,}",
            f"{site.scored:,}",
            *(_format(site.mean_scores.get(encoder)) for encoder in encoders),
        ]
        for site in sites
    ]
    note = (
        "Each site was predicted by heads of all other sites. A site with one class, or too few "
        "patients, is listed without a score. The scores above are means over sites, each of "
        "which weighs the same. AUPRC, where shown, ranks the patients of all sites together, "
        "by heads that differ from site to site: it can be low where each site is told apart."
    )
    return [
        Title("Site by site"),
        Table(f"{name}-sites", "Sites that were left out", columns, rows, note=note),
        _list_targets(run, name),
    ]


def _list_targets(run: TargetEvaluation, name: str) -> Block:
    """List the best targets site by site, with intervals."""
    shown = [one.target for one in run.record.shown[:MOST_TARGETS]]
    try:
        frame = read_rows(run.folder, SITES, _SITE_COLUMNS, shown)
    except StoreError as error:
        return Text(f"Scores of each site cannot be shown: {error}.", "empty")
    frame["target"] = pd.Categorical(frame["target"], shown, ordered=True)
    frame = frame.sort_values(["target", "site", "encoder"], kind="stable")
    columns = [
        Column(run.words.target, number=False),
        Column("site", number=False),
        Column("encoder", number=False),
        Column("trained on", "patients"),
        Column("tested", "patients"),
        Column("positives", "patients"),
        Column(run.words.metric),
        Column("95 % interval", number=False),
    ]
    rows = [_tabulate_site(row) for row in frame.to_dict("records")]
    title = f"{len(shown)} best {run.words.target}s, site by site"
    note = (
        "Intervals are over the patients of a site, of the trained heads as they are: DeLong's "
        "variance on the logit scale, or Fisher's z."
    )
    return Table(f"{name}-site-targets", title, columns, rows, folded=title, note=note)


def _tabulate_site(row: Mapping[Hashable, Any]) -> list[str]:
    return [
        str(row["target"]),
        str(row["site"]),
        str(row["encoder"]),
        f"{row['n_train']:,}",
        f"{row['n_patients']:,}",
        f"{row['positives']:,}",
        _format(row["score"]),
        _format_interval(row["low"], row["high"]),
    ]


def _format(score: float | None) -> str:
    return "" if score is None or score != score else format_score(score)
