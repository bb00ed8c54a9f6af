"""`histo-ray encoders`: the table, its filters, one encoder, and the page in the documentation."""

import json
import re
import sys
from pathlib import Path

import pytest

from histo_ray.cli import main
from histo_ray.encoders.plugins import OURS
from histo_ray.encoders.registry import list_encoders
from histo_ray.encoders.selection import select_encoders
from testing.plugin_package import write_module

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
    assert len(rows) == len(list_encoders()) + len(OURS)
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
    told_of, _, sources = out.partition("source of")
    facts = dict(line.split("  ", 1) for line in told_of.splitlines())
    assert facts["resize or crop"].strip().startswith("resized to 256 px (bicubic)")
    assert facts["mean of pixels 0..1"].strip() == "0.485 0.456 0.406"
    assert re.search(r"resize.*\n  https://", sources)
    assert json.loads(told(capsys, "show", "uni", "--json"))["dim"] == 1024


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("show", "gigapath-flesh"), "did you mean gigapath-flash?"),
        (("list",), "for the list leave it out"),
        (("uni2-h",), "write `histo-ray encoders show uni2-h`"),
        (("show",), "show: no encoder is named; write `histo-ray encoders show NAME`"),
        (("show", "uni", "uni2-h"), "is no request: write `histo-ray encoders` for the list"),
        (("show", "timm:resnet18"), "without timm: before them; ask for resnet18"),
        (("show", "random:resnet18?seed=0@"), "nothing follows the @"),
        (("show", "no_such_module:make"), "there is no module 'no_such_module' here"),
    ],
)
def test_what_is_no_request_is_refused(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], says: str
) -> None:
    assert says in told(capsys, *words, code=2)


@pytest.mark.parametrize(
    ("request_text", "says"),
    [
        ("random:resnet10t?seed=3", {"dim": "512", "weights": "random, seed 3"}),
        ("resnet10t.c3_in1k?pool=avg", {"resize or crop": "resized whole to 176 px (bicubic)"}),
        ("hf-hub:some/where", {"mean of pixels 0..1": "what the network's own configuration"}),
        (
            "uni@px=96,mpp=0.5",
            {"tiles asked for": "96 px, 0.5 mpp; not what it was made for (tile_px 96 instead"},
        ),
        ("virchow2@mpp=1", {"tiles asked for": "1 mpp\n"}),
        ("shown_plugin:make_encoder", {"preprocessing": "optical density", "licence": "mit"}),
    ],
)
def test_any_request_is_shown(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request_text: str,
    says: dict[str, str],
) -> None:
    write_module(tmp_path, "shown_plugin")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    out = told(capsys, "show", request_text)
    for fact, value in says.items():
        assert re.search(rf"^{fact} +{re.escape(value)}", out, re.MULTILINE), (fact, out)


def test_what_is_shown_of_a_request_is_there_as_json_too(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = json.loads(told(capsys, "show", "uni@px=96", "--json"))
    assert (found["name"], found["asked_tiles"]) == ("uni", {"tile_px": 96})
    assert found["contract_broken"] == "tile_px 96 instead of 256"
