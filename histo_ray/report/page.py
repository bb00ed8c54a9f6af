"""The report: one HTML file that needs nothing beside it."""

import base64
import hashlib
import re
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import jinja2
from markupsafe import Markup, escape

from histo_ray._version import __version__
from histo_ray.errors import ConfigError
from histo_ray.report.caveat_words import is_synthetic, list_caveats, write_problems
from histo_ray.report.charts.chart_style import look_of
from histo_ray.report.charts.svg import replace_unprintable
from histo_ray.report.evaluations import (
    ChosenEvaluations,
    ShownEvaluation,
    TargetEvaluation,
    TileEvaluation,
    choose_runs,
)
from histo_ray.report.external.external_section import NAME as EXTERNAL
from histo_ray.report.external.external_section import write_external
from histo_ray.report.external.prediction_words import sum_up_validation
from histo_ray.report.page_blocks import Section
from histo_ray.report.provenance import write_provenance
from histo_ray.report.slides.heat_section import FindHeatmaps, write_heatmaps
from histo_ray.report.targets.cohort_section import write_cohort
from histo_ray.report.targets.probability_section import write_probabilities
from histo_ray.report.targets.site_section import write_sites
from histo_ray.report.targets.subgroup_section import write_subgroups
from histo_ray.report.targets.target_section import main_sentence, write_targets
from histo_ray.report.tissue.tissue_section import tissue_sentences, write_tissue
from histo_ray.report.whole_file import write_whole
from histo_ray.store.lost_slides import read_extraction

_OF_PATIENTS = (write_subgroups, write_sites, write_probabilities)
"""Sections that follow those of the evaluations of patients; each may have nothing to say."""
_FLAG = re.compile(r"(?<!\S)--[a-z][a-z-]*")
_TEMPLATES = Path(__file__).parent / "templates"


class MainFinding(NamedTuple):
    """The main result of one evaluation, in one sentence."""

    task: str
    run_id: str
    sentence: str
    synthetic: bool
    name: str = ""
    """Id of its section in the page."""


def write_report(
    store: str,
    out: Path | str,
    runs: Sequence[str] = (),
    find_heatmaps: FindHeatmaps | None = None,
) -> Path:
    """Write the page of a store's evaluations.

    Args:
        store: Local folder or URI of the store.
        out: Path of the page; replaced if it exists, folders are made.
        runs: Ids of evaluations; without any, the newest of each task.
        find_heatmaps: Scores and draws slides of an evaluation; None: the page shows none.

    Returns:
        Path of the page.

    Raises:
        StoreError: No store, no evaluation in it, or not those that are named.
        ConfigError: It cannot be written there.
    """
    target = Path(out)
    if target.is_dir():
        raise ConfigError(f"--out {target}: this is a folder; name a file in it")
    text = render_page(store, choose_runs(store, runs), datetime.now(UTC), find_heatmaps)
    try:
        write_whole(target, text)
    except OSError as error:
        raise ConfigError(
            f"--out {target}: cannot be written ({error.strerror}); name another file"
        ) from None
    return target


def summarise(store: str, runs: Sequence[str] = ()) -> list[MainFinding]:
    """Give the main sentence of each evaluation, in the order of the page.

    Raises:
        StoreError: As `write_report`.
    """
    chosen = choose_runs(store, runs)
    found = _sum_up(chosen.runs, read_extraction(store, ()).synthetic)
    return [*found, *_sum_up_external(chosen)]


def render_page(
    store: str,
    chosen: ChosenEvaluations,
    now: datetime,
    find_heatmaps: FindHeatmaps | None = None,
) -> str:
    """Render the page as text; the same for the same store and time."""
    encoders = list(dict.fromkeys(name for run in chosen.runs for name in run.record.encoders))
    looks = look_of(encoders)
    extraction = read_extraction(store, encoders)
    findings = _sum_up(chosen.runs, extraction.synthetic)
    of_patients = [run for run in chosen.runs if isinstance(run, TargetEvaluation)]
    cohort = write_cohort(of_patients, extraction)
    sections: list[Section] = [] if cohort is None else [cohort]
    for finding, run in zip(findings, chosen.runs, strict=True):
        if isinstance(run, TileEvaluation):
            sections.append(write_tissue(run, looks, finding.name))
        else:
            sections.append(write_targets(run, looks, finding.name))
            if find_heatmaps is not None:
                sections[-1].blocks += write_heatmaps(find_heatmaps(run), run.words.target)
    reviews = (write(of_patients, looks) for write in _OF_PATIENTS)
    sections += [section for section in reviews if section is not None]
    if chosen.external.validations:
        sections.append(write_external(chosen.external))
    findings += _sum_up_external(chosen)
    caveats: dict[str, list[str]] = {}
    for shown in chosen.external.validations:
        for text in (*shown.predictions.notes, *shown.record.notes):
            caveats.setdefault(text, []).append(f"predictor {shown.record.predictor}")
    tasks = [run.record.task for run in chosen.runs]
    for run in chosen.runs:
        alone = tasks.count(run.record.task) == 1
        for text in _list_caveats(run):
            caveats.setdefault(text, []).append(run.record.task if alone else run.run_id)
    for text in write_problems([*chosen.problems, *extraction.problems]):
        caveats[text] = ["store"]
    synthetic = [finding.task for finding in findings if finding.synthetic]
    remarks = dict.fromkeys(run.record.remark for run in chosen.runs if run.record.remark)
    script = (_TEMPLATES / "tables.js").read_text(encoding="utf-8")
    return _environment().get_template("page.html.j2").render(
        heading="Encoders compared" if chosen.runs else "External validation",
        store=store, now=now, version=__version__, findings=findings, caveats=caveats,
        synthetic="" if not synthetic else ", ".join(dict.fromkeys(synthetic)),
        unmarked=", ".join(dict.fromkeys(f.task for f in findings if not f.synthetic)),
        all_synthetic=len(synthetic) == len(findings),
        remarks=list(remarks),
        sections=[*_write_provenance(store, chosen), *sections],
        script=Markup(script),  # noqa: S704 - ours
        script_digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        style=Markup((_TEMPLATES / "page.css").read_text(encoding="utf-8")),  # noqa: S704 - ours
    )  # fmt: skip


def _write_provenance(store: str, chosen: ChosenEvaluations) -> list[Section]:
    """Write what was run; nothing where there are external validations alone, which say it."""
    if not chosen.runs:
        return []
    return [write_provenance(store, chosen.runs, chosen.others)]


def _list_caveats(run: ShownEvaluation) -> list[str]:
    if isinstance(run, TileEvaluation):
        return list_caveats(run.record, grouped=run.grouped)
    return list_caveats(run.record, run.targets, run.cohort)


def _sum_up(runs: Sequence[ShownEvaluation], marked: Collection[str]) -> list[MainFinding]:
    """Find the main sentence of each run; `marked` are patients that a manifest calls synthetic."""
    findings = []
    tasks = [run.record.task for run in runs]
    for number, run in enumerate(runs):
        if isinstance(run, TileEvaluation):
            sentence = next(iter(tissue_sentences(run)), "Nothing could be evaluated.")
        else:
            sentence = main_sentence(run)
        name = f"{run.record.task}-{number}"
        cohort = run.cohort if isinstance(run, TargetEvaluation) else None
        synthetic = is_synthetic(run.record, marked, cohort)
        called = run.record.task if tasks.count(run.record.task) == 1 else run.run_id
        findings.append(MainFinding(called, run.run_id, sentence, synthetic, name))
    return findings


def _sum_up_external(chosen: ChosenEvaluations) -> list[MainFinding]:
    """Find the main sentence of each external validation."""
    return [
        MainFinding(
            f"external validation of {shown.record.predictor}",
            shown.record.run_id,
            sum_up_validation(shown.record),
            shown.record.synthetic,
            EXTERNAL,
        )
        for shown in chosen.external.validations
    ]


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        finalize=_printable,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["flags"] = _keep_flags
    return environment


def _keep_flags(text: str) -> Markup:
    """Set `--flags` as code, so that no line ends inside of one."""
    marked = _FLAG.sub(r"<code>\g<0></code>", str(escape(_printable(text))))
    return Markup(marked)  # noqa: S704 - escaped before


def _printable(value: object) -> object:
    """Replace what no page can hold: control characters, and halves of characters."""
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return replace_unprintable(value, "\ufffd")
