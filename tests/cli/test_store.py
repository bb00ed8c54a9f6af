"""What the verb `store` prints: every damage named, and nothing that a terminal would obey."""

import json
from pathlib import Path

import pytest

from histo_ray.cli.main import main
from histo_ray.cli.printable import csv_cell
from histo_ray.store.exchange.registry import EXCHANGE_FORMATS
from histo_ray.store.store import Store, open_store
from histo_ray.types import Outcome, RunRow
from tests.made_up import facts_of, rows_of

EVIL = "\x1b]0;title\x07\x1b[31mred\x9b31m"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Two slides; a patient, a site and the reason in a run's table are hostile texts."""
    made = open_store(str(tmp_path / "store"), create=True)
    for slide_id, patient, site in (("S1", EVIL, "=2+3"), ("S2", "P2", "-5")):
        facts = facts_of(slide_id, patient_id=patient, site=site)
        made.commit(facts.key, facts, rows_of(9))
    made.write_run("run1", [RunRow("S3", "e", Outcome.FAILED, f"{EVIL}=cmd", 0, 1.0, "@P")])
    return made


def printed(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    code = main(arguments)
    out, err = capsys.readouterr()
    assert not {c for c in out + err if not c.isprintable() and c != "\n"}
    return code, out + err


@pytest.mark.parametrize("task", ["expression", "mutation"])
def test_an_evaluation_holds_vectors_against_digests_where_asked(
    store: Store, task: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is trained: no Ray is started."""
    (path,) = Path(store._root.path).glob("embeddings/*/*/S1.parquet")
    data = bytearray(path.read_bytes())
    data[data.index(store.bag("S1", "e").embeddings[3].tobytes()) + 1] ^= 1
    path.write_bytes(data)
    labels = tmp_path / "l.csv"
    labels.write_text("patient_id,CD8A\nP2,1\n")
    asked = ["evaluate", task, "--store", store._root.path, "--labels", str(labels)]
    code, text = printed([*asked, "--encoder", "e", "--check"], capsys)
    assert code == 2
    assert "reading 2 partitions to hold them against their digests" in text
    assert "1 partition is damaged" in text


@pytest.mark.parametrize("flag", [[], ["--json"], ["--csv"]])
def test_no_output_of_a_query_holds_what_a_terminal_obeys(
    store: Store, flag: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    uri = store._root.path
    for query in (
        "select patient_id from slides",
        "select reason from runs",
        f"select '{EVIL}' as \"{EVIL}\", ['{EVIL}'] as l",
    ):
        code, text = printed(["store", "sql", uri, query, *flag], capsys)
        assert code == 0
        assert "red" in text
    code, text = printed(["store", "sql", uri, f"from '{EVIL}'", *flag], capsys)
    assert code == 2
    for verb in (["ls", "--slides"], ["ls"], ["verify"], ["gc", "--dry-run"]):
        assert printed(["store", verb[0], uri, *verb[1:], *flag[:1][: flag == ["--json"]]], capsys)


def test_a_spreadsheet_calculates_nothing_of_a_csv(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    query = (
        "select slide_id, site, -1.5 as number, null as nothing, [1, 2] as list, true as yes "
        "from slides order by 1"
    )
    _, text = printed(["store", "sql", store._root.path, query, "--csv"], capsys)
    assert text.splitlines() == [
        "slide_id,site,number,nothing,list,yes",
        "S1,'=2+3,-1.5,,[1 2],True",
        "S2,-5,-1.5,,[1 2],True",
    ]
    _, text = printed(["store", "sql", store._root.path, "from slides", "--json"], capsys)
    assert json.loads(text)[0]["site"] == "=2+3"  # no spreadsheet's form: as it is
    assert json.loads(text)[0]["patient_id"] == EVIL


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=1+1", "'=1+1"),
        ("+SUM(A1)", "'+SUM(A1)"),
        ("-1-2", "'-1-2"),
        ("@x", "'@x"),
        (" =1+1", "' =1+1"),
        ("\n@x", "'\n@x"),
        (" -5", " -5"),
        ("\t=x", "\\t=x"),
        ("-5", "-5"),
        ("+1e3", "+1e3"),
        ("a=b", "a=b"),
        ("", ""),
        ("ä\u202eb", "ä\\u202eb"),
    ],
)
def test_a_cell_of_text_is_no_formula(text: str, cell: str) -> None:
    assert csv_cell(text) == cell


def test_a_damaged_partition_is_named_and_the_others_are_listed(
    store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    path = Path(store._root.path) / "embeddings/encoder=e/tiling=abc123/S2.parquet"
    path.write_bytes(path.read_bytes()[:77])
    for flag in ([], ["--slides"]):
        code, text = printed(["store", "ls", store._root.path, *flag], capsys)
        assert code == 1
        assert "abc123" in text
        assert f"left out: {path}" in text
    code, text = printed(["store", "convert", store._root.path, "--to", "zarr"], capsys)
    assert code == 1
    assert f"not converted: {path}" in text
    assert "1 partitions are now zarr" in text
    code, text = printed(["store", "verify", store._root.path], capsys)
    assert code == 1
    assert "2 partitions checked, 1 problems" in text
    assert "2 other files checked" in text


def test_the_help_of_export_says_each_format_once(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["store", "export", "--help"])
    told = " ".join(capsys.readouterr().out.split())
    for name in {one.name for one in EXCHANGE_FORMATS}:
        assert told.count(f"{name}: ") == 1
    assert "float32, and the same vectors as tensors; " in told


def test_sql_shows_a_hundred_rows_whole(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    _, text = printed(["store", "sql", store._root.path, "from range(100)"], capsys)
    assert all(f" {number} " in text for number in range(100))
