"""What sites tell, on the page: how well encoders know them, and how targets differ by them."""

import pandas as pd

from histo_ray.evaluate.patients.review_tables import SITE_MEANS, SITE_PREDICTION
from histo_ray.report.charts.chart_style import Look
from histo_ray.report.charts.charts import Whisker, draw_whiskers
from histo_ray.report.evaluations import TargetEvaluation
from histo_ray.report.format_numbers import format_interval, format_score
from histo_ray.report.page_blocks import (
    Block,
    Column,
    Figure,
    Figures,
    Section,
    Table,
    Text,
    Title,
    legend_of,
)
from histo_ray.report.targets.review_data import (
    index_rows,
    rank_run,
    read_review,
    tell_rest,
    title_of,
)
from histo_ray.report.targets.subgroup_words import describe_sites

NAME = "site"
"""Id of the section in the page."""
LISTED = 2000
_ABOUT = (
    "The site is predicted from mean-pooled embeddings by a logistic regression of each site "
    "against all others, cross-validated with patients kept together; its penalty is fixed, so "
    "sites can be told at least as well as this. An encoder that tells sites can predict whatever "
    "differs between them without seeing any biology. The site alone predicts each patient by the "
    "mean of its site in the training part: scores of encoders that are no higher say nothing "
    "beyond it."
)

_EXPLAINED = (
    "Variance explained: share of the variance of the labels that the means of sites explain out "
    "of fold; 0 or below: knowing the site is worth nothing."
)


def write_sites(runs: list[TargetEvaluation], looks: dict[str, Look]) -> Section | None:
    """Write how well encoders tell sites, and sites tell targets; None where no run has either."""
    section = Section(NAME, "Site")
    for number, run in enumerate(runs):
        told, means = read_review(run, SITE_PREDICTION), read_review(run, SITE_MEANS)
        problems = [one.problem for one in (told, means) if one.problem]
        section.blocks += [Text(f"{problem}.", "empty") for problem in problems]
        if not len(told.table) and not len(means.table):
            continue
        same = [one for one in runs[:number] if one.record.review.sites == run.record.review.sites]
        if len(runs) > 1:
            section.blocks.append(Title(title_of(run, runs).removesuffix(": ")))
        lines = [*describe_sites(run.record, run.words)]
        if same:  # as of the same patients and embeddings
            lines = lines[len(run.record.review.sites) :]
        section.blocks += [Text(f"{line}.", "sentence") for line in lines]
        section.blocks.append(Text(_warn(run)))
        if len(told.table) and not same:
            section.blocks += _write_told(told.table, looks, f"{NAME}-{number}")
        if len(means.table):
            section.blocks.append(_tabulate_means(run, means.table, f"{NAME}-{number}-means"))
    if not section.blocks:
        return None
    section.blocks.append(Text(_ABOUT, "note"))
    return section


def _warn(run: TargetEvaluation) -> str:
    """Say what the folds make of it."""
    if run.record.folds.kept_together == "site":
        return (
            "Folds kept whole sites together: no head was trained on a site that it is tested on, "
            "so scores cannot ride on sites that it knows."
        )
    return (
        "Folds did not keep sites together: heads were trained on patients of the sites that they "
        "are tested on. --keep-together site shows what is left without."
    )


def _write_told(table: pd.DataFrame, looks: dict[str, Look], name: str) -> list[Block]:
    found = index_rows(table, ("encoder", "site", "metric"))
    guess = float(table.loc[table["metric"] == "balanced_accuracy", "chance"].iloc[0])
    encoders = list(dict.fromkeys(map(str, table["encoder"])))
    rows = []
    for encoder in encoders:
        cells = [encoder, f"{found[encoder, '', 'auroc'].n_patients:,}"]
        for metric, chance in (("auroc", 0.5), ("balanced_accuracy", guess)):
            one = found[encoder, "", metric]
            cells += [
                format_score(one.score),
                format_interval(one.low, one.high),
                format_score(chance),
            ]
        rows.append(cells)
    columns = [Column("encoder", number=False), Column("patients")]
    for group in ("mean AUROC of a site", "balanced accuracy"):
        columns += [
            Column("score", group),
            Column("95 % interval", group, sort=False),
            Column("guess", group),
        ]
    sites = list(dict.fromkeys(site for _, site, _ in found if site))
    names = [f"{site} (n {found[encoders[0], site, 'auroc'].n_patients})" for site in sites]
    series = {
        encoder: [Whisker(*found[encoder, site, "auroc"][2:]) for site in sites]
        for encoder in encoders
    }
    chart = draw_whiskers(names, series, "AUROC against all other sites", looks, name, 0.5)
    caption = "Lines are 95 % intervals over patients. Dotted: a guess."
    figure = Figure(chart, caption, "How well each site is told")
    return [
        Table(f"{name}-told", "How well encoders tell the site", columns, rows),
        Figures([figure], legend_of(looks, encoders)),
    ]


def _tabulate_means(run: TargetEvaluation, table: pd.DataFrame, name: str) -> Table:
    """Tabulate what the site alone predicts, beside what encoders do."""
    metric, scores = run.words.metric_head, rank_run(run)
    columns = [
        Column(run.words.target, number=False),
        Column("patients", about="With a label and one known site"),
        Column("sites"),
        Column(metric, "site alone", "Mean of folds and repeats, as of encoders"),
        Column("95 % interval", "site alone", sort=False),
        Column(
            "variance explained",
            "site alone",
            "Share explained out of fold by sites",
        ),
        *(Column(metric, encoder, "As in the table of all targets") for encoder in scores.encoders),
    ]
    found = index_rows(table, ("target",))
    others = {
        str(target): (int(sites), float(explained))
        for target, sites, explained in zip(
            table["target"], table["n_sites"], table["explained"], strict=True
        )
    }
    rows = []
    known = [name for name in scores.targets if name in others]
    for target in known[:LISTED]:
        one, (sites, explained) = found[target,], others[target]
        rows.append(
            [
                target,
                f"{one.n_patients:,}",
                f"{sites:,}",
                format_score(one.score),
                format_interval(one.low, one.high),
                format_score(explained, signed=True),
                *(format_score(f["score"][target]) for f in scores.by_encoder.values()),
            ]
        )
    title = f"What the site alone says of {run.words.target}s"
    return Table(
        name, title, columns, rows, searchable=f"{run.words.target}s",
        folded=f"{title}: {len(rows):,} rows" if len(rows) > 30 else "",
        note=_EXPLAINED + tell_rest(len(known) - LISTED, SITE_MEANS),
    )  # fmt: skip
