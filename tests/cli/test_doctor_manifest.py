"""`doctor --manifest`: slides are opened, room is compared, and the next command is named."""

import argparse
import shlex
from pathlib import Path

import pytest

from histo_ray.cli import doctor
from histo_ray.cli.doctor_check import Check
from histo_ray.cli.doctor_manifest import check_manifest, check_room, choose_evenly
from histo_ray.cli.main import main
from tests.conftest import Cohort


def test_a_sample_is_spread_over_the_manifest() -> None:
    assert choose_evenly(3, 5) == [0, 1, 2]
    assert choose_evenly(101, 5) == [0, 25, 50, 75, 100]


def test_tiles_are_counted_from_the_area_of_slides(cohort: Cohort, tmp_path: Path) -> None:
    manifest = tmp_path / "m.csv"
    slide = cohort.manifest.parent / "good-a.svs"  # 900 x 620 px at 0.5 mpp
    manifest.write_text(f"slide_id,path\nA,{slide}\n")
    told, slides = check_manifest(str(manifest), tile_px=100, mpp=0.25)
    assert (told.state, slides.state) == ("ok", "ok")
    assert told.measures == {"slides": 1}
    assert slides.measures == {"slides_opened": 1, "tiles_most": round(18 * 12.4)}


def test_slides_that_cannot_be_opened_are_named(cohort: Cohort, tmp_path: Path) -> None:
    manifest = tmp_path / "m.csv"
    folder = cohort.manifest.parent
    rows = f"slide_id,path\nA,{folder / 'good-a.svs'}\nBAD,{folder / 'truncated.svs'}\n"
    manifest.write_text(rows)
    slides = check_manifest(str(manifest), 224, 0.5)[-1]
    assert slides.state == "note"
    assert "1 of 2 slides" in slides.found
    assert "'BAD'" in slides.found
    manifest.write_text("slide_id,path\nA,nowhere.svs\n")
    (told,) = check_manifest(str(manifest), 224, 0.5)
    assert told.state == "bad"
    assert "nowhere.svs" in told.found


@pytest.mark.parametrize(("free", "state"), [(4_095_999, "note"), (4_096_000, "ok")])
def test_room_is_that_of_vectors_and_rows(free: int, state: str) -> None:
    check = check_room(free, 1000, [1000, 1024])  # 1,000 * (2 * 2,024 + 2 * 24)
    assert check.state == state
    assert check.measures == {"need_bytes": 4_096_000, "free_bytes": free}


def test_the_next_command_is_one_that_works_here(cohort: Cohort, tmp_path: Path) -> None:
    args = argparse.Namespace(
        manifest=str(cohort.manifest),
        store=str(tmp_path / "my store"),
        encoder=["random:resnet10t?seed=0"],
        encoder_table=[],
        tile_px=64,
        mpp=0.5,
        address="local",
    )
    words = shlex.split(doctor._next(args, [Check("gpu", "note", "none")]).found)
    assert words[0] == "histo-ray"
    assert main([*words[1:], "--no-open", "--quiet"]) == 0
    bad = doctor._next(args, [Check("ray", "bad", "no")])
    assert bad.state == "note"
    assert "mend" in bad.found


def test_a_token_is_asked_for_where_a_cluster_is_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RAY_ADDRESS", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    assert doctor._token("local").state == "ok"
    assert doctor._token("auto").state == "note"
    monkeypatch.setenv("RAY_AUTH_TOKEN", "not-shown")
    check = doctor._token("auto")
    assert check.state == "ok"
    assert "not-shown" not in check.found
