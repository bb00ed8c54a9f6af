"""Writes a filled-in checklist beside a report: as a page, as Markdown and as CSV."""

import csv
import io
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, NamedTuple

import jinja2
from markupsafe import Markup

from histo_ray._version import __version__
from histo_ray.errors import ConfigError, StoreError
from histo_ray.predict.files import list_predictors, read_predictor_card
from histo_ray.report.charts.svg import replace_unprintable
from histo_ray.report.checklist.evaluation_facts import study_evaluation
from histo_ray.report.checklist.sheet import ItemState, Sheet, Study, fill_sheet
from histo_ray.report.checklist.tripod_items import CITATION
from histo_ray.report.checklist.validation_facts import study_validation
from histo_ray.report.evaluations import ChosenEvaluations, TargetEvaluation, choose_runs
from histo_ray.report.provenance import describe_tilings
from histo_ray.report.whole_file import write_whole
from histo_ray.text import join_or

Checklist = Literal["tripod-ai"]
CHECKLISTS: tuple[Checklist, ...] = ("tripod-ai",)

_TEMPLATES = Path(__file__).parents[1] / "templates"
_TITLE = "TRIPOD+AI checklist"


class ChecklistFiles(NamedTuple):
    """The files of one checklist."""

    page: Path
    markdown: Path
    table: Path
    """CSV: a row an item."""
    sheet: Sheet


def write_checklist(
    store: str, report: Path | str, runs: Sequence[str] = (), checklist: str = "tripod-ai"
) -> ChecklistFiles:
    """Write a checklist beside a report, filled in from what the store knows.

    Args:
        store: Local folder or URI of the store.
        report: Path of the report: of `report.html` the files are `report-tripod-ai.html`, `.md`
            and `.csv`; they are replaced.
        runs: Ids of evaluations and external validations; without any, the newest ones.
        checklist: Which; see `CHECKLISTS`.

    Raises:
        StoreError: No store, nothing in it that is about patients, or not what is named.
        ConfigError: No such checklist, or it cannot be written there.
    """
    if checklist not in CHECKLISTS:
        raise ConfigError(f"--checklist {checklist}: must be {join_or([*CHECKLISTS])}")
    sheet = make_sheet(store, choose_runs(store, runs))
    target = Path(report)
    beside = [
        target.with_name(f"{target.stem}-{checklist}.{kind}") for kind in ("html", "md", "csv")
    ]
    now = datetime.now(UTC)
    texts = (render_page(sheet, store, now), render_markdown(sheet, store, now), render_csv(sheet))
    for path, text in zip(beside, texts, strict=True):
        try:
            write_whole(path, text)
        except OSError as error:
            raise ConfigError(
                f"checklist {path}: cannot be written ({os.strerror(error.errno or 0)}); name "
                "another file with --out"
            ) from None
    page, markdown, table = beside
    return ChecklistFiles(page, markdown, table, sheet)


def make_sheet(store: str, chosen: ChosenEvaluations) -> Sheet:
    """Fill in the sheet of the evaluations of patients and external validations of a report.

    Raises:
        StoreError: There are none.
    """
    of_patients = [run for run in chosen.runs if isinstance(run, TargetEvaluation)]
    studies: list[Study] = [
        study_evaluation(run, describe_tilings(store, run), _name_predictors(store, run.run_id))
        for run in of_patients
    ]
    studies += [study_validation(shown) for shown in chosen.external.validations]
    if not studies:
        raise StoreError(
            f"store {store}: no evaluation of patients and no external validation to fill a "
            "checklist from; classes of tiles alone have no patients; run histo-ray evaluate "
            "mutation or expression first"
        )
    synthetic = any(run.record.synthetic for run in of_patients) or any(
        shown.record.synthetic for shown in chosen.external.validations
    )
    return fill_sheet(_TITLE, studies, synthetic)


def render_page(sheet: Sheet, store: str, now: datetime) -> str:
    """Render the sheet as one HTML file."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES), autoescape=True, trim_blocks=True,
        lstrip_blocks=True, undefined=jinja2.StrictUndefined, finalize=_printable,
    )  # fmt: skip
    sections = list(dict.fromkeys(row.item.section for row in sheet.rows))
    return environment.get_template("checklist.html.j2").render(
        sheet=sheet, store=store, now=now, version=__version__, citation=CITATION,
        sections={name: [r for r in sheet.rows if r.item.section == name] for name in sections},
        counts=_count(sheet),
        style=Markup((_TEMPLATES / "checklist.css").read_text(encoding="utf-8")),  # noqa: S704 - ours
    )  # fmt: skip


def render_markdown(sheet: Sheet, store: str, now: datetime) -> str:
    """Render the sheet as Markdown, a heading a section and a list an item."""
    lines = [f"# {sheet.title}", ""]
    if sheet.synthetic:
        lines += ["**SYNTHETIC DATA: nothing here says anything of patients.**", ""]
    lines += [
        f"histo_ray {__version__}, from {store}, {now:%Y-%m-%d %H:%M} UTC. About: "
        f"{'; '.join(sheet.studies)}.",
        "",
        "; ".join(f"{state}: {count}" for state, count in _count(sheet).items()) + ".",
        "",
        f"Items are paraphrased; what they ask stands in {CITATION}.",
    ]
    section = ""
    for row in sheet.rows:
        if row.item.section != section:
            section = row.item.section
            lines += ["", f"## {section}"]
        lines += ["", f"### {row.item.number} {row.item.topic} ({row.state})", ""]
        lines += [f"* {_one_line(fact)}" for fact in row.facts]
        if row.question:
            lines.append(f"* **TO FILL IN:** {row.question}")
    return "\n".join(lines) + "\n"


def render_csv(sheet: Sheet) -> str:
    """Render the sheet as CSV: item, section, topic, applies, state, known, question, page."""
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerow(
        ("item", "section", "topic", "applies_to", "state", "known", "to_fill_in", "page")
    )
    for row in sheet.rows:
        item = row.item
        known = " ".join(_one_line(fact) for fact in row.facts)
        writer.writerow(
            (
                item.number,
                item.section,
                item.topic,
                item.applies,
                row.state,
                known,
                row.question,
                "",
            )
        )
    return sink.getvalue()


def _name_predictors(store: str, run_id: str) -> list[str]:
    """Predictors in the store that were fitted after an evaluation, in words."""
    found = []
    for name in list_predictors(store):
        try:
            card = read_predictor_card(name, store)
        except (ConfigError, StoreError):  # its card cannot be read; the report of it says so
            continue
        if card.evaluation.run_id == run_id:
            found.append(
                f"Predictor {name} in the store (predictors/{name}, SHA-256 {card.file_sha256}): "
                f"arrays, card and calibration; `histo-ray predict --predictor {name}` applies it. "
                f"{card.use[:1].upper()}{card.use[1:]}."
            )
    return found


def _count(sheet: Sheet) -> Mapping[str, int]:
    return {state.value: sheet.count(state) for state in ItemState}


def _one_line(text: str) -> str:
    return " ".join(replace_unprintable(text, " ").split())


def _printable(value: object) -> object:
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return replace_unprintable(value, "\ufffd")
