"""`histo-ray encoders`: the table, its filters, one encoder, and the page in the documentation."""

import json
from pathlib import Path

import pytest

from histo_ray.cli import main
from histo_ray.encoders.registry import list_encoders
from histo_ray.encoders.selection import select_encoders

PAGE = Path(__file__).parents[2] / "docs" / "encoders.md"


def told(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    assert main(["encoders", *words]) == code
    shown = capsys.readouterr()
    return shown.err if code else shown.out


def test_the_page_of_the_documentation_is_what_the_program_prints(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Make it anew: histo-ray encoders --markdown > docs/encoders.md."""
    assert told(capsys, "--markdown") == PAGE.read_text(encoding="utf-8")


def test_the_table_has_one_line_an_encoder_in_columns(capsys: pytest.CaptureFixture[str]) -> None:
    head, *lines = told(capsys).splitlines()
    rows = lines[: lines.index("")]
    assert len(rows) == len(list_encoders())
    assert max(map(len, [head, *rows])) <= 120
    for name in ("tile px", "mpp", "sees", "pool", "gated", "licence"):
        start = head.index(name)
        assert all(row[start - 1] == " " != row[start] for row in rows), name
    end = head.index("dim") + 3  # numbers end where their head ends
    assert all(row[end] == " " != row[end - 1] for row in rows)
    assert f"{len(rows)} of {len(rows)} encoders." in lines[len(rows) + 1]


def test_filters_leave_what_passes_all_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    out = told(capsys, "--mpp", "1", "--licence", "MIT", "--gated", "no")
    names = [line.split()[0] for line in out.partition("\n\n")[0].splitlines()[1:]]
    assert names == ["midnight", "plip"]
    assert "(mpp 1 or any, licence with 'MIT', not gated)" in out


@pytest.mark.parametrize(
    ("mpp", "licence", "gated", "there", "missing"),
    [
        (0.25, None, None, "virchow2", "virchow"),
        (0.501, None, None, "uni", "retccl"),
        (None, "apache", None, "hibou-b", "uni"),
        (None, None, True, "uni", "phikon"),
        (None, None, False, "phikon", "uni"),
    ],
)
def test_each_filter_by_itself(
    mpp: float | None, licence: str | None, gated: bool | None, there: str, missing: str
) -> None:
    chosen = select_encoders(list_encoders(), mpp=mpp, licence=licence, gated=gated)
    names = {spec.name for spec in chosen}
    assert there in names
    assert missing not in names


def test_json_is_filtered_too_and_is_whole(capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(told(capsys, "--json", "--licence", "gpl"))
    assert [(one["name"], one["mpp"], one["input_px"]) for one in found] == [("retccl", 1.0, 256)]


def test_one_encoder_is_shown_with_crop_normalisation_and_sources(
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = told(capsys, "show", "gigapath-flash")
    facts = dict(line.split("  ", 1) for line in out.splitlines())
    assert facts["resize or crop"].strip().startswith("resized to 256 px (bicubic)")
    assert facts["mean of pixels 0..1"].strip() == "0.485 0.456 0.406"
    assert any(key.startswith("source of") and "https://" in facts[key] for key in facts)
    assert json.loads(told(capsys, "show", "uni", "--json"))["dim"] == 1024


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("show", "gigapath-flesh"), "did you mean gigapath-flash?"),
        (("list",), "write `histo-ray encoders` for the list"),
        (("show",), "`histo-ray encoders show NAME`"),
    ],
)
def test_what_is_no_request_is_refused(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], says: str
) -> None:
    assert says in told(capsys, *words, code=2)
