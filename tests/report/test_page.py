"""The page as a whole: what stands in it, that it needs nothing beside it, and that it is safe."""

import dataclasses
import re
import shutil
import subprocess
from collections import Counter
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from histo_ray.cli import main
from histo_ray.errors import ConfigError
from histo_ray.report.evaluations import choose_runs
from histo_ray.report.page import render_page, summarise, write_report
from histo_ray.schema import arrow_schema
from histo_ray.store.store import open_store
from histo_ray.store.tables import open_evaluation
from histo_ray.types import Outcome, RunRow

ENCODERS = ["imgnet2048", "ftx2048"]
GENES = ["TP53", "KRAS", "EGFR", "STK11", "NF1"]
NOW = datetime(2026, 11, 24, 20, 0, tzinfo=UTC)
VOID = {"meta", "input", "br", "hr", "link", "img", "base", "source", "embed"}
SYNTHETIC = {"remark": "SYNTHETIC patients: drawn by a program."}


class Page(HTMLParser):
    """Elements, text and whether tags are balanced."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] not in (["script"], ["style"]):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def render(store: Path, *runs: str) -> str:
    return render_page(str(store), choose_runs(str(store), runs), NOW)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, evaluations: SimpleNamespace) -> str:
    store = evaluations.new_store(tmp_path_factory.mktemp("whole") / "store")
    evaluations.add_tissue(store, ENCODERS, tiles=90)
    evaluations.add_outcome(store, "expression", ENCODERS, GENES)
    evaluations.add_outcome(store, "mutation", ENCODERS, GENES[:4])
    evaluations.add_extraction(store, ENCODERS)
    return render(store)


def test_all_of_it_is_there(whole: str) -> None:
    page = Page(whole)
    headings = re.findall(r"<h2[^>]*>([^<]+)</h2>", whole)
    assert headings == ["Caveats", "What was run", "Cohort", "Tissue: crc-100k",
                        "Gene expression", "Mutation"]  # fmt: skip
    for told in (
        "Accuracy was", "weights (SHA-256)",
        "Mean AUROC over 3 mutated genes was ", "corrected resampled t-test, P = 0.02)",
        "3 repeats of 5 folds, a patient is never split", "log2(x + 1)",
        "71 slides in 1 failed; 2 without tiles",
        "2 slides lost in extraction, and why", "cannot be opened: <truncated>",
        "no label (2); no features of ftx2048 (1)", "Difference in recall, ftx2048",
        "External test set: crc-7k, 90 tiles", "As publications count", "FLAT1 no variance",
        "few positives", "4 sites and folds do not keep sites together",
        "encoders have different slides (ftx2048 lacks 1 patient)", "ROC curves, mean over folds",
        "no groups (patients) are known",
    ):  # fmt: skip
        assert told in page.text
    assert "SYNTHETIC" not in page.text
    charts = Counter(tag for tag, _ in page.elements)["svg"]
    assert charts == 2 * (2 + 1) + 2 * 2 + 3  # matrices, recalls; scatter, whiskers; ROC


def test_it_needs_nothing_beside_it_and_says_so_to_the_browser(whole: str) -> None:
    page = Page(whole)
    for tag, attributes in page.elements:
        assert tag not in {"link", "img", "iframe", "object", "embed", "base", "image"}
        assert "src" not in attributes
        assert not any(name.startswith("on") for name in attributes)
        assert attributes.get("href", "#").startswith("#")
        assert all("url(" not in v or "url(#" in v for v in attributes.values())
    assert "@import" not in whole
    assert not re.search(r"https?:|//[a-z]+\.", whole.replace("// ", ""))
    policy = next(a["content"] for _, a in page.elements if "http-equiv" in a)
    assert policy.startswith("default-src 'none'; ")
    assert "script-src 'sha256-" in policy


def test_ids_are_unique_and_every_reference_is_met(whole: str) -> None:
    elements = Page(whole).elements
    ids = [a["id"] for _, a in elements if "id" in a]
    assert len(ids) == len(set(ids))
    wanted = {name for _, a in elements for name in a.get("aria-labelledby", "").split()}
    wanted |= {a["href"][1:] for _, a in elements if "href" in a}
    wanted |= {a["data-for"] for _, a in elements if "data-for" in a}
    wanted |= {a["data-about"] for _, a in elements if "data-about" in a}
    assert wanted <= set(ids)


def test_every_row_has_as_many_cells_as_the_head(whole: str) -> None:
    for table in re.findall(r"<table.*?</table>", whole, re.S):
        head, body = table.split("<tbody>")
        columns = head.rpartition("<tr>")[2].count("<th")
        spans = [int(n) for n in re.findall(r'colspan="(\d+)"', head)]
        if 'class="group' in head:
            groups = head.count('class="group')
            assert sum(spans) + groups - len(spans) == columns
        assert {row.count("<th") + row.count("<td") for row in body.split("<tr")[1:]} == {columns}


def test_the_same_store_gives_the_same_page(tmp_path: Path, evaluations: SimpleNamespace) -> None:
    store = evaluations.new_store(tmp_path / "store")
    evaluations.add_outcome(store, "mutation", ENCODERS, GENES[:1])
    later = render_page(str(store), choose_runs(str(store)), NOW.replace(hour=21))
    assert later != render(store)
    assert later.replace("2026-11-24 21:00 UTC", "2026-11-24 20:00 UTC") == render(store)


def test_names_from_files_stay_text(tmp_path: Path, evaluations: SimpleNamespace) -> None:
    evil = "<script>alert(1)</script>"
    genes = [evil, "a&b\"'", "x" * 130, "日本", "a\x0bb $x$", "last"]
    encoders = ["e-1", "e" * 70]
    store = evaluations.new_store(tmp_path / "store")
    classes = ("<b>", "a&b", "{{ 7*7 }}")
    evaluations.add_tissue(store, encoders, classes, tiles=60, warnings=[evil], external=False)
    evaluations.add_outcome(store, "expression", encoders, genes, chance_test="<img src=x>")
    evaluations.add_outcome(store, "mutation", encoders, genes[:2], remark="\ud800 </title>")
    text = render(store)
    text.encode()
    page = Page(text)
    assert Counter(tag for tag, _ in page.elements)["script"] == 1
    assert "img" not in {tag for tag, _ in page.elements}
    assert "{{ 7*7 }}" in page.text
    assert "\x0b" not in text
    assert page.text.count(evil) > 5


@pytest.mark.parametrize("encoders", [["e-1"], ["e-1", "e-2", "random-resnet10t-px64-seed0"]])
def test_one_encoder_and_three(
    encoders: list[str], tmp_path: Path, evaluations: SimpleNamespace
) -> None:
    store = evaluations.new_store(tmp_path / "store")
    evaluations.add_tissue(store, encoders, tiles=60, external=False)
    evaluations.add_outcome(store, "expression", encoders, GENES, summary={}, pairs=[])
    text = render(store)
    page = Page(text)
    pairs = len(encoders) * (len(encoders) - 1) // 2
    charts = len(encoders) + bool(pairs) + max(0, len(encoders) - 1) + 1
    assert Counter(tag for tag, _ in page.elements)["svg"] == charts
    assert ("Counting genes" in text) == bool(pairs)
    assert "With e-1, " in page.text
    assert ("all encoders on the same" in page.text) == bool(pairs)


def test_what_publications_count_is_folded_away(whole: str) -> None:
    before, _, after = whole.partition('<table id="expression-1-counts"')
    assert after
    assert before.rpartition("<details")[2].count("</details>") == 0
    assert "Neither is evidence" in whole


def test_the_footer_says_how_chance_and_scores_are_had(whole: str) -> None:
    told = Page(whole).text
    for words in ("means of the folds", "pooled over genes", "tail is taken for exponential",
                  "correlations about the means of folds"):  # fmt: skip
        assert words in told


def test_nothing_scored_is_said(tmp_path: Path, evaluations: SimpleNamespace) -> None:
    store = evaluations.new_store(tmp_path / "store")
    evaluations.add_outcome(store, "expression", ENCODERS, [])
    assert "No gene could be scored." in render(store)


def test_what_was_not_tested_is_not_called_no_better(
    tmp_path: Path, evaluations: SimpleNamespace
) -> None:
    store = evaluations.new_store(tmp_path / "store")
    evaluations.add_outcome(store, "expression", ENCODERS[:1], GENES, run_id="few")
    folder = open_evaluation(str(store), "expression", "few")
    table = folder.read("targets").to_pandas()
    table[["low", "high", "p_chance", "q_chance"]] = float("nan")
    schema = arrow_schema("outcome_targets")
    columns = {name: table[name].to_numpy() for name in schema.names}
    folder.write("targets", [pa.table(columns, schema)], schema)
    told = Page(render(store)).text
    assert "not tested" in told
    assert "There are no intervals, as independent patients or sites are too few" in told
    assert "better than chance is tested by" not in told


def test_synthetic_data_is_said_in_large_letters(
    tmp_path: Path, evaluations: SimpleNamespace
) -> None:
    store = evaluations.new_store(tmp_path / "store")
    evaluations.add_outcome(store, "expression", ENCODERS[:1], GENES, **SYNTHETIC)
    text = render(store)
    assert "<strong>SYNTHETIC DATA</strong>" in text
    assert "<title>SYNTHETIC: " in text
    assert "Everything here is marked as synthetic" in Page(text).text
    evaluations.add_outcome(store, "mutation", ENCODERS[:1], GENES[:1])
    told = Page(render(store)).text
    assert "Part of this (expression) is marked as synthetic" in told
    assert "Of the rest (mutation) nothing is known" in told
    assert told.count("synthetic data") == 1
    assert [f.synthetic for f in summarise(str(store))] == [True, False]


def test_slides_that_a_manifest_marks_make_a_run_synthetic_whatever_it_says(
    tmp_path: Path, evaluations: SimpleNamespace
) -> None:
    store = evaluations.new_store(tmp_path / "store")
    evaluations.add_outcome(store, "expression", ENCODERS[:1], GENES)
    mark = RunRow("S", ENCODERS[0], Outcome.DONE, "", 9, 1.0, "TCGA-05-0000", synthetic=True)
    open_store(str(store)).write_run("20261103T000000-cccccc", [mark])
    assert "<strong>SYNTHETIC DATA</strong>" in render(store)
    assert [finding.synthetic for finding in summarise(str(store))] == [True]
    taken_back = dataclasses.replace(mark, synthetic=False)
    open_store(str(store)).write_run("20261104T000000-dddddd", [taken_back])
    assert [finding.synthetic for finding in summarise(str(store))] == [False]


def test_every_slide_of_the_manifest_and_every_lost_patient_is_in_the_flow(
    tmp_path: Path, evaluations: SimpleNamespace
) -> None:
    store = evaluations.new_store(tmp_path / "store")
    evaluations.add_outcome(
        store, "expression", ENCODERS[:1], GENES,
        cohort={"slides": 48, "slides_without_tiles": 1, "slides_failed": 1, "patients_lost": 2},
    )  # fmt: skip
    told = Page(render(store)).text
    assert "49 slides in 1 failed; 1 without tiles; with them 2 patients 47 slides with" in told


def test_runs_that_are_not_shown_are_listed_with_how_to_show_them(
    tmp_path: Path, evaluations: SimpleNamespace, capsys: pytest.CaptureFixture[str]
) -> None:
    store = evaluations.new_store(tmp_path / "store")
    for run_id, hour in (("mutation-a", 8), ("mutation-b", 9), ("mutation-c", 7)):
        evaluations.add_outcome(
            store, "mutation", ENCODERS, GENES[:1], run_id,
            created_at=f"2026-11-24T{hour:02d}:00:00+00:00",
        )  # fmt: skip
    told = Page(render(store)).text
    assert "2 other runs in this store, not shown" in told
    assert "mutation-a mutation 2026-11-24 08:00 imgnet2048, ftx2048 3 5 mutation-c" in told
    assert f"histo-ray report {store} --run mutation-a" in told
    assert "<code>--run</code> mutation-a" in render(store)
    assert "1 other run in" in Page(render(store, "mutation-a", "mutation-b")).text
    assert "not shown" not in Page(render(store, "mutation-a", "mutation-b", "mutation-c")).text
    assert main(["report", str(store), "--out", str(tmp_path / "r.html")]) == 0
    assert "report: 2 other runs are not shown" in capsys.readouterr().err


def test_damage_is_told_on_the_page(tmp_path: Path, evaluations: SimpleNamespace) -> None:
    store = evaluations.new_store(tmp_path / "store")
    evaluations.add_outcome(store, "mutation", ENCODERS, GENES)
    evaluations.add_outcome(store, "mutation", ENCODERS, GENES, "mutation-hurt")
    evaluations.add_outcome(store, "expression", ENCODERS, GENES)
    (store / "evaluations" / "mutation" / "mutation-hurt" / "run.json").write_text("{")
    (store / "evaluations" / "mutation" / "mutation-4d5e6f" / "predictions.parquet").unlink()
    configurations = [{"encoder": e, "pooling": p} for e in ENCODERS for p in ("mean", "mean-sd")]
    evaluations.add_outcome(
        store, "expression", ENCODERS, GENES, "newer", configurations=configurations,
        created_at="2027-01-01T00:00:00+00:00",
    )  # fmt: skip
    text = Page(render(store)).text
    assert "cannot be read: evaluations/mutation/mutation-hurt: run.json is damaged" in text
    assert "There are no ROC curves: evaluations/mutation/mutation-4d5e6f/predictions" in text
    assert "It is not known which pooling and head were selected" in text


def test_the_main_sentence_is_the_one_that_compares(
    tmp_path: Path, evaluations: SimpleNamespace
) -> None:
    store = evaluations.new_store(tmp_path / "store")
    evaluations.add_outcome(store, "mutation", ENCODERS, GENES)
    evaluations.add_tissue(store, ENCODERS, tiles=60)
    tissue, mutation = summarise(str(store))
    assert mutation.sentence.startswith("Mean AUROC over 4 mutated genes was ")
    assert re.match(r"Accuracy was .* ftx2048 and .* corrected resampled t-test", tissue.sentence)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory, evaluations: SimpleNamespace) -> Path:
    folder = tmp_path_factory.mktemp("large")
    store = evaluations.new_store(folder / "store")
    genes = [f"GENE{k:04d}" for k in range(1555)]
    evaluations.add_outcome(store, "expression", ENCODERS, genes, patients=453)
    return write_report(str(store), folder / "deep" / "report.html")


def test_1555_genes_and_two_encoders_stay_small(large: Path) -> None:
    text = large.read_text(encoding="utf-8")
    assert len(text) < 1_500_000
    assert text.count('<th scope="row">GENE') == 1555
    assert text.count("<title>GENE") == 1554  # a point each, but for the one without a score
    assert [path.name for path in large.parent.iterdir()] == ["report.html"]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, evaluations: SimpleNamespace) -> str:
    store = evaluations.new_store(tmp_path_factory.mktemp("small") / "store")
    evaluations.add_outcome(store, "expression", ENCODERS[:1], GENES[:2])
    return str(store)


def test_the_command_writes_and_tells(
    small: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store, out = small, str(tmp_path / "r.html")
    assert main(["report", store, "--out", out]) == 0
    told = capsys.readouterr().out
    sentence, path = told.splitlines()
    assert re.match(r"expression: With imgnet2048, \d of 2 genes were predicted better", sentence)
    assert path == f"report: {out}"
    assert main(["report", store, "--out", out, "--json", "--run", "expression-4d5e6f"]) == 0
    assert '"run_id": "expression-4d5e6f"' in capsys.readouterr().out
    for arguments, problem in (
        ([store, "--run", "x"], "holds no such evaluation; it has expression-4d5e6f (expression)"),
        ([store, "--out", str(tmp_path)], "this is a folder; name a file in it"),
        ([store, "--out", f"{out}/below.html"], "cannot be written"),
        ([str(tmp_path)], "no store.json"),
    ):
        assert main(["report", *arguments]) == 2
        error = capsys.readouterr().err
        assert problem in error
        assert error.count("\n") == 1


def test_a_page_that_cannot_be_written_leaves_the_old_one(
    small: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "report.html"
    out.write_text("old")

    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(ConfigError, match="No space left on device"):
        write_report(small, out)
    assert out.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


SCRIPT = """
const table = document.querySelector("table.long");
const tools = document.querySelector(`.tools[data-for="${table.id}"]`);
const rows = () => [...table.tBodies[0].rows].filter((row) => !row.hidden);
const first = () => rows()[0].cells[0].textContent + " of " + rows().length;
const last = () => rows().at(-1).cells[1].textContent;
const heads = [...table.querySelectorAll("thead tr:last-child th")];
const press = (k) => heads[k].querySelector("button").click();
const field = tools.querySelector("input[type=search]");
const type = (text) => { field.value = text; field.dispatchEvent(new Event("input")); };
const told = [heads.map((h) => (h.querySelector("button") ? "1" : "0")).join("")];
press(0); told.push(first()); press(0); told.push(first());
press(1); told.push(Number(rows()[0].cells[1].textContent) > 0, last());
type("gene0007 GENE0012"); told.push(first(), tools.querySelector("output").textContent);
type("");
document.querySelector("use:has(title)").dispatchEvent(new Event("click", { bubbles: true }));
told.push(rows().length, document.documentElement.scrollWidth <= innerWidth);
document.title = JSON.stringify(told);
"""


@pytest.mark.slow
def test_a_browser_sorts_and_searches(large: Path, tmp_path: Path) -> None:
    browser = shutil.which("chromium")
    if browser is None:
        pytest.skip("no chromium")
    text = large.read_text(encoding="utf-8")
    text = re.sub(r"script-src 'sha256-[^']+'", "script-src 'unsafe-inline'", text)
    page = tmp_path / "page.html"
    page.write_text(text.replace("</body>", f"<script>{SCRIPT}</script></body>"), encoding="utf-8")
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--window-size=600,900",
               "--disable-background-networking", f"--user-data-dir={tmp_path / 'profile'}",
               "--dump-dom", page.as_uri()]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=True)
    (told,) = re.findall(r"<title>(.*?)</title>", done.stdout)[:1]
    assert told == (
        '["110111101111011","GENE0000 of 1555","GENE1554 of 1555",true,"–",'
        '"GENE0012 of 2","2 of 1,555 genes",1,true]'
    )


def test_boxes_of_tables_have_shadows_where_they_go_on_and_print_has_none(whole: str) -> None:
    style = whole[whole.index("<style>") : whole.index("</style>")]
    screen, paper = style.split("@media print", 1)
    box = screen[screen.index(".box, .box.tall {") :].partition("}")[0]
    assert box.count("no-repeat local") == 2  # covers that move with the table
    assert box.count("no-repeat scroll") == 2  # shadows that do not
    assert "overflow: auto" in box
    assert (
        ".box, .box.tall { overflow: visible; max-height: none; border: 0; background: none; }"
        in (paper)
    )
