import dataclasses
import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from histo_ray.cli import main
from histo_ray.store.store import open_store
from tests.made_up import facts_of, rows_of

EXTRACT = ["extract", "--manifest", "slides.csv", "--store", "store"]
RANDOM = ["--encoder", "random:resnet10t?seed=0"]


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    Path("a.svs").write_bytes(b"no slide")
    Path("slides.csv").write_text("slide_id,path\na,a.svs\n")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([*EXTRACT], r"--encoder: missing; give it"),
        (["extract", "--manifest", "no.csv", "--store", "s", *RANDOM], "no.csv: cannot be read"),
        ([*EXTRACT, "--encoder", "resnett50"], "did you mean resnet50"),
        ([*EXTRACT, *RANDOM, "--mpp", "0"], "mpp: .* greater than or equal to 0.05"),
        ([*EXTRACT, *RANDOM, "--tissue", "x"], "--tissue 'x' is not a method"),
        ([*EXTRACT, "--encoder", "virchow", "--mpp", "1"], "--allow-contract-break"),
        ([*EXTRACT, "--encoder", "no.safetensors?arch=resnet18"], "no file .*no.safetensors"),
        ([*EXTRACT, *RANDOM, *RANDOM], "the same one twice"),
        ([*EXTRACT, *RANDOM, "--config", "no.toml"], "no.toml: cannot be read"),
        ([*EXTRACT, *RANDOM, "--config", "typo.toml"], "tile_pixels: unknown key"),
        ([*EXTRACT, *RANDOM, "--log", "no/folder/log"], "--log no/folder/log: cannot be written"),
        (
            [*EXTRACT, *RANDOM, "--engine=openvino", "--precision=float16"],
            "no float16 on CPU",
        ),
        (["store", "sql", "nothing", " "], "an empty query"),
        (["runs", "nothing"], "no store.json"),
        (["store", "ls", "nothing"], "no store.json"),
        (["store", "ls", "newer"], "upgrade histo-ray"),
        (["extract", "--manifest", "slides.csv", "--store", "a.svs", *RANDOM], "a file, wanted"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("typo.toml").write_text("tile_pixels = 224\n")
    Path("newer").mkdir()
    Path("newer/store.json").write_text('{"format_version": 99}')
    assert main(arguments) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if "starting" not in line]
    assert len(errors) == 1
    assert re.search(told, errors[0])


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([*EXTRACT, *RANDOM, "--precision", "int8"], r"invalid choice: 'int8'.*extract --help"),
        ([*EXTRACT, *RANDOM, "--precisio", "float32"], "unrecognized arguments: --precisio"),
        (["store", "lst", "store"], r"store: .*invalid choice: 'lst'.*store --help"),
    ],
)
def test_mistyped_flags_are_one_line_too(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(told, line), line


def test_all_problems_of_a_manifest_are_told_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    Path("slides.csv").write_text("slide_id,path,mpp\na,a.svs,0.5\na,b.svs,99\n../c,a.svs,\n")
    assert main([*EXTRACT, *RANDOM]) == 2
    told = capsys.readouterr().err
    for part in ("line 3", "line 4", "b.svs", "99", "../c"):
        assert part in told


def test_help_is_quick_and_imports_nothing_heavy() -> None:
    code = (
        "import sys; from histo_ray.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "print(sorted({'torch', 'ray', 'pandas', 'cv2', 'duckdb'} & set(sys.modules)))"
    )
    began = time.monotonic()
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert answer.stdout.splitlines()[-1] == "[]"
    assert time.monotonic() - began < 5  # a loaded machine; 0.04 s measured on an idle one


def test_a_store_is_listed_verified_queried_and_swept(capsys: pytest.CaptureFixture[str]) -> None:
    open_store("store", create=True)
    assert main(["store", "ls", "store"]) == 0
    assert main(["store", "verify", "store"]) == 0
    assert main(["store", "gc", "store", "--dry-run"]) == 0
    capsys.readouterr()
    assert main(["store", "sql", "store", "select count(*) as n from embeddings", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [{"n": 0}]
    assert main(["store", "sql", "store", "selct"]) == 2


def test_the_mpp_of_tile_sets_that_do_not_say_is_a_dash(
    capsys: pytest.CaptureFixture[str],
) -> None:
    store = open_store("store", create=True)
    facts = facts_of("tiles", tiling="x123456789abc")
    unsaid = facts.tiling.model_copy(update={"settings": {"tile_px": 64, "mpp": 0.0}})
    facts = dataclasses.replace(facts, tiling=unsaid)
    store.commit(facts.key, facts, rows_of(3))
    for slides in ([], ["--slides"]):
        assert main(["store", "ls", *slides, "store"]) == 0
        _, row = capsys.readouterr().out.splitlines()
        assert " - " in row


def test_encoders_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["encoders", "--json"]) == 0
    names = {entry["name"] for entry in json.loads(capsys.readouterr().out)}
    assert {"imgnet2048", "uni", "uni2-h", "virchow2", "h-optimus-0", "prov-gigapath"} <= names


@pytest.mark.ray
def test_doctor_says_what_is_there_and_what_is_bad(
    shared_ray: None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", "--json", *RANDOM]) == 0
    findings = {entry["what"]: entry for entry in json.loads(capsys.readouterr().out)}
    assert {"python", "openslide", "gpu", "memory", "disk", "ray", "weights"} <= findings.keys()
    assert "512 features" in findings["encoder"]["found"]
    assert all(entry["state"] != "bad" for entry in findings.values())
    assert main(["doctor", "--encoder", "no.safetensors?arch=resnet18"]) == 2
    told = capsys.readouterr().out
    assert re.search(r"^bad +encoder .*no file", told, re.MULTILINE)
