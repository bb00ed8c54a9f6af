import json
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from histo_ray.cli import main
from histo_ray.cli.plan_work import describe_time, print_plan, print_rows
from histo_ray.config import ExtractConfig, TilingConfig
from histo_ray.encoders.requested import resolve_encoders
from histo_ray.errors import ConfigError
from histo_ray.extract.dry_run import MEASURED_FROM, _shape_here
from histo_ray.extract.plan_here import PlanHere
from histo_ray.extract.plan_summary import (
    FROM_BATCH,
    Planned,
    PlanStatus,
    PlanSummary,
    _row,
    blank_row,
)
from histo_ray.extract.slide import open_manifest_slide, plan_slide
from histo_ray.report.charts.canvas import PEN
from histo_ray.report.slides.slide_picture import picture_slide
from histo_ray.store.store import open_store
from histo_ray.types import Slide
from tests.made_up import facts_of, rows_of

PLAN = [
    "plan",
    "--manifest",
    "slides.csv",
    "--store",
    "store",
    "--encoder",
    "random:resnet10t?seed=0",
]


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that are no slides: S1 and S2 are stored, S2 as another patient's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    lines = ["slide_id,path,patient_id"]
    for name in ("S1", "S2", "S3"):
        Path(f"{name}.svs").write_bytes(b"no slide")
        lines.append(f"{name},{name}.svs,P")
    Path("slides.csv").write_text("\n".join(lines))
    tiling = ExtractConfig(manifest="-", store="-", encoder=("-",)).tiling.fingerprint()
    store = open_store("store", create=True)
    for name, patient in (("S1", "P"), ("S2", "Q")):
        facts = facts_of(name, "random-resnet10t-seed0", tiling, patient_id=patient)
        store.commit(facts.key, facts, rows_of(7))


def test_no_slide_is_opened_and_what_is_stored_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(Path("store").rglob("*"))
    assert main([*PLAN, "--no-open", "--json"]) == 0
    plan: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert [(row["slide_id"], row["status"], row["n_tiles"]) for row in plan["rows"]] == [
        ("S1", "stored", 7),
        ("S2", "stored", 7),
        ("S3", "todo", 0),
    ]
    assert "3 slides, 1 patient, 0 of them named by their slide_id" in plan["notes"]
    (moved,) = [note for note in plan["notes"] if "another patient" in note]
    assert moved.startswith("1 slide has another patient than before (as S2: Q, now P)")
    assert (plan["tiles"], plan["bytes"], plan["seconds"]) == (None, None, None)
    assert main([*PLAN, "--no-open"]) == 0
    told = capsys.readouterr()
    assert "2 stored, 1 todo" in told.out
    assert "3 slides, 1 patient, 0 of them named by their slide_id" in told.out
    assert "no slide was opened" in told.err
    assert sorted(Path("store").rglob("*")) == before


def test_pictures_need_open_slides(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*PLAN, "--no-open", "--pictures", "here"]) == 2
    assert "leave one out" in capsys.readouterr().err
    assert not Path("here").exists()


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--pictures", "slides.csv"], "pictures slides.csv: it is not a folder"),
        (["--pictures", "slides.csv/p"], "slides.csv is not a folder; name another folder"),
        (["--store", "S1.svs"], "S1.svs: it is not a folder"),
        (["--cache-dir", "S1.svs/a/b"], "cache_dir S1.svs/a/b: "),
    ],
)
def test_a_file_in_place_of_a_folder_is_told_before_the_work(
    flags: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*PLAN, *flags]) == 2
    shown = capsys.readouterr()
    assert told in shown.err.splitlines()[-1]
    assert not shown.out
    if flags[0] == "--cache-dir":
        assert main(["extract", *PLAN[1:], *flags]) == 2
        assert told in capsys.readouterr().err.splitlines()[-1]


def test_some_slides_are_planned_without_ray_and_all_problems_are_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(PLAN) == 1
    told = capsys.readouterr()
    assert "S3        failed" in told.out
    assert "0 tiles to read, 0 vectors to encode, 0.0 MB to write" in told.out
    assert told.err.splitlines()[0] == "plan: starting"
    code = (
        "import sys, histo_ray.cli\n"
        f"histo_ray.cli.main({PLAN!r})\n"
        "print(sorted({'ray', 'torch', 'timm', 'sklearn'} & set(sys.modules)))"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert answer.stdout.splitlines()[-1] == "[]", answer.stderr


def write_marked_slide(path: Path) -> None:
    """A slide of 10.4 x 6.4 mm: a piece of tissue, and below it a stroke of a blue pen."""
    rng = np.random.default_rng(0)
    image = np.full((800, 1300, 3), 243.0)
    image[100:500, 200:900] = (200, 120, 170)
    image *= 1 - 0.1 * rng.random((800, 1300, 1)) * (image[..., 1:2] < 200)
    image[600:680, 100:1200] = (30, 50, 160)
    image += rng.normal(0, 2, image.shape)
    tifffile.imwrite(
        path, np.clip(image, 0, 255).astype(np.uint8), tile=(256, 256), photometric="rgb",
        compression="deflate", resolution=(1250, 1250), resolutionunit="CENTIMETER",
    )  # fmt: skip


def test_a_plan_tells_how_much_of_a_slide_is_tissue_and_ink(
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_marked_slide(Path("marked.tif"))
    slide, tiling = Slide("marked", "marked.tif", "P"), TilingConfig(mpp=8, tile_px=64)
    with open_manifest_slide(slide, None) as opened:
        row = _row("marked", plan_slide(opened, slide, tiling))
    assert row.tissue_share == pytest.approx(400 * 700 / (800 * 1300), rel=0.03)
    rim = 16  # 56 um on both sides, rounded to px of the image that ink is looked for on
    assert row.ink_share == pytest.approx((80 + rim) * (1100 + rim) / (800 * 1300), rel=0.06)
    print_rows([row, blank_row("other", PlanStatus.FAILED, "no such file")], opened=True)
    heading, line, other, remark = capsys.readouterr().out.splitlines()
    for name, share in (("tissue", row.tissue_share), ("ink", row.ink_share)):
        end = heading.index(f" {name}") + len(name) + 1
        assert line[:end].split()[-1] == f"{share:.1%}"
        assert line[end : end + 1] in ("", " ")
    assert "%" not in other
    assert remark.startswith(f"marked: pen ink covers {row.ink_share:.1%} of the slide and tissue ")
    assert "plan --pictures DIR" in remark
    page = picture_slide(slide, tiling, None).page
    assert (page == PEN).all(2).any()


def summarised(
    seconds: float | None, seconds_from: str, vectors: int = 9, starts_ray: bool = False
) -> PlanSummary:
    return PlanSummary(
        [], vectors, vectors, None, seconds, undrawn={}, starts_ray=starts_ray,
        seconds_from=seconds_from,
    )  # fmt: skip


@pytest.mark.parametrize("starts_ray", [True, False])
def test_the_start_of_ray_is_told_where_an_extraction_would_start_it(
    starts_ray: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    print_plan(summarised(90.0, FROM_BATCH, starts_ray=starts_ray), None, as_json=False)
    told = capsys.readouterr().out
    assert "measured on one batch here" in told
    assert ("Ray's start" in told) is starts_ray


@pytest.mark.parametrize(
    ("plan", "told"),
    [
        (summarised(9.0, "20261201T1"), "about 9 s, at the speed of run 20261201T1; "),
        (summarised(None, ""), "no estimate of time below 1,000 vectors, "),
        (summarised(None, "", MEASURED_FROM), "no estimate of time with --no-measure"),
    ],
)
def test_a_plan_says_what_its_estimate_is_from_and_how_to_get_another(
    plan: PlanSummary, told: str
) -> None:
    assert describe_time(plan).startswith(told)
    assert "--measure loads them and measures one batch" in describe_time(plan)
    assert describe_time(summarised(None, "", 0)) == ""


def test_no_open_and_measure_exclude_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*PLAN, "--no-open", "--measure"]) == 2
    assert "leave one out" in capsys.readouterr().err


def test_weights_that_cannot_be_read_end_the_plan(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*PLAN[:-1], "missing.safetensors?arch=resnet10t"]) == 2
    assert "there is no weights file missing.safetensors" in capsys.readouterr().err
    config = ExtractConfig(manifest="-", store="-", encoder=("cut.safetensors?arch=resnet10t",))
    Path("cut.safetensors").write_bytes(b"no weights")
    specs = resolve_encoders(config)
    planner = PlanHere(config, specs, partial(_shape_here, config, specs))
    with planner, pytest.raises(ConfigError, match=r"cut\.safetensors"):
        planner.measure(Planned())
