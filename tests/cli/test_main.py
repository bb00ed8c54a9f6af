import dataclasses
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from histo_ray.cli import main, progress
from histo_ray.cli.progress import break_silence, say
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
        ([*EXTRACT], r"--encoder is missing; give it \(--help"),
        (["extract", "--manifest", "no.csv", "--store", "s", *RANDOM], "no.csv: cannot be read"),
        ([*EXTRACT, "--encoder", "resnett50"], "did you mean resnet50"),
        ([*EXTRACT, *RANDOM, "--mpp", "0"], r"--mpp 0: must be 0\.05 or more"),
        (
            [*EXTRACT, *RANDOM, "--tissue", "otsuu"],
            r"--tissue otsuu: must be otsu.*did you mean otsu\?",
        ),
        ([*EXTRACT, "--encoder", "virchow", "--mpp", "1"], "--allow-contract-break"),
        (
            [*EXTRACT, "--encoder", "no.safetensors?arch=resnet18"],
            r"there is no weights file .*no\.safetensors",
        ),
        ([*EXTRACT, *RANDOM, *RANDOM], "the same one is given twice"),
        (
            [*EXTRACT, *RANDOM, "--config", "no.toml"],
            r"--config no\.toml: cannot be read: No such file",
        ),
        (
            [*EXTRACT, *RANDOM, "--config", "typo.toml"],
            r"typo\.toml: tile_pixels: unknown key; did you mean tile_px\?",
        ),
        ([*EXTRACT, *RANDOM, "--log", "no/folder/log"], "--log no/folder/log: cannot be written"),
        (
            [*EXTRACT, *RANDOM, "--engine=openvino", "--precision=float16"],
            "computes in no float16 on CPUs; use --precision float32 or bfloat16",
        ),
        (["store", "sql", "nothing", " "], "the query is empty; give SQL"),
        (["runs", "nothing"], "no store.json"),
        (["store", "ls", "nothing"], "no store.json"),
        (["store", "ls", "newer"], "upgrade histo-ray"),
        (["extract", "--manifest", "slides.csv", "--store", "a.svs", *RANDOM], "is a file; name"),
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
        (
            [*EXTRACT, *RANDOM, "--precision", "int8"],
            r"extract: --precision int8: must be auto, .* or bfloat16; see .*extract --help",
        ),
        (
            [*EXTRACT, *RANDOM, "--precisio", "float32"],
            r"unknown flag --precisio; did you mean --precision\? See histo-ray extract --help",
        ),
        (
            ["store", "lst", "store"],
            r"store: there is no action 'lst', but ls, .*did you mean ls\? See .*store --help",
        ),
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


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("extrac", r"histo-ray: there is no verb 'extrac', but .*; did you mean extract\?"),
        ("evaluate expresion", r"no task 'expresion'.*did you mean expression\?"),
        (
            "evaluate mutation --lables x",
            r"mutation: unknown flag --lables; did you mean --labels\?",
        ),
        ("store ls store --slide", r"store ls: unknown flag --slide; did you mean --slides\?"),
        ("extract --stain=macenk", r"--stain macenk: must be none, macenko or reinhard; did you"),
        ("extract --slide-reader dirct", r"must be auto, .* or image; did you mean direct\?"),
        ("extract --tile_px 3", r"unknown flag --tile_px; did you mean --tile-px\?"),
        ("plan --zzz", r"histo-ray plan: unknown flag --zzz; see histo-ray plan --help"),
        ("plan x", r"histo-ray plan: unexpected argument 'x'; see histo-ray plan --help"),
        ("plan --mpp", r"histo-ray plan: argument --mpp: expected one argument"),
        ("", r"histo-ray: the following arguments are required: VERB; see histo-ray --help"),
    ],
)
def test_what_a_mistyped_name_may_have_meant_is_asked(
    arguments: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments.split())
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(told, line), line


WHOLE = 'manifest = "slides.csv"\nencoder = "random:resnet10t?seed=0"\nstore = "s"\n'


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (WHOLE + "tile-pixels = 3", r"run\.toml: tile_pixels: unknown key; did you mean tile_px\?"),
        (WHOLE + "mpp = 0.5\nmpp = 1", r"run\.toml: mpp is given twice; keep one"),
        (WHOLE + "tile-px = 1\ntile_px = 2", r"run\.toml: tile_px is given twice, with - and"),
        (WHOLE + "mpp =", r"run\.toml: not valid TOML: Invalid value \(at end of document\)"),
        (WHOLE + 'x = "\0"', r"run\.toml: not valid TOML: Illegal character"),
        (WHOLE + 'mpp = "x"', r"run\.toml: mpp = x: must be a number"),
        (WHOLE + "mpp = nan", r"run\.toml: mpp = nan: must be a finite number"),
        (WHOLE + "mpp = [1]", r"run\.toml: mpp = \[1\]: must be a number"),
        (
            WHOLE + "tile_px = 2.5\nreaders = -1",
            r"tile_px = 2\.5: must be a whole number; .*readers = -1: must be 1 or more",
        ),
        (WHOLE + "[tiling]\nmpp = 1", r"run\.toml: tiling: a run file has no sections"),
        (WHOLE + 'stain = "Macenko"', r"must be none, macenko or reinhard; did you mean macenko\?"),
        (WHOLE + 'replace_changed = "maybe"', r"replace_changed = maybe: must be true or false"),
        (WHOLE.replace('"s"', '""'), r"run\.toml: store is empty; give it \(folder or"),
        (WHOLE.replace('"s"', '" "'), r"run\.toml: store is empty"),
        (WHOLE.replace('"s"', '"a\\u0000b"'), r"run\.toml: store 'a\\x00b': holds a NUL"),
        (WHOLE.replace('"s"', "3"), r"run\.toml: store = 3: must be text, in quotes"),
        ("", r"run\.toml: store is missing; add it to the file or give --store"),
        (WHOLE.encode("utf-16"), r"--config run\.toml: cannot be read: it is not UTF-8 text"),
    ],
)
def test_a_run_file_is_refused_with_its_key(
    text: str | bytes, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("run.toml").write_bytes(text if isinstance(text, bytes) else text.encode())
    assert main(["plan", "--no-open", "--config", "run.toml"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(told, line), line


def test_a_bad_flag_over_a_run_file_is_called_a_flag(capsys: pytest.CaptureFixture[str]) -> None:
    Path("run.toml").write_text(WHOLE + "mpp = 1")
    assert main(["plan", "--no-open", "--config", "run.toml", "--mpp", "-3"]) == 2
    assert "plan: --mpp -3: must be 0.05 or more" in capsys.readouterr().err


@pytest.mark.parametrize("change", [lambda t: "\ufeff" + t, lambda t: t.replace("\n", "\r\n")])
def test_a_run_file_of_a_windows_editor_is_read(
    change: Callable[[str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("run.toml").write_bytes(change(WHOLE).encode())
    assert main(["plan", "--no-open", "--config", "run.toml"]) == 0
    assert "1 todo" in capsys.readouterr().out


class Clock:
    """A clock that a test sets, and that counts who looks."""

    def __init__(self) -> None:
        self.now, self.looks = 100.0, 0

    def monotonic(self) -> float:
        self.looks += 1
        return self.now

    def await_look(self) -> None:
        """Wait until another thread has looked."""
        before = self.looks
        while self.looks < before + 2:
            time.sleep(0.001)


def test_a_verb_that_is_silent_is_said_to_be_at_work(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock, silence_s = Clock(), 0.02
    monkeypatch.setattr(progress, "time", clock)
    monkeypatch.setattr(progress, "SILENCE_S", silence_s)
    with break_silence("store verify"):
        clock.await_look()
        assert capsys.readouterr().err == ""
        clock.now += 7
        clock.await_look()
    assert capsys.readouterr().err == "store verify: at work for 7 s\n"
    with break_silence("plan"):
        for _ in range(4):
            clock.now += silence_s / 2
            say("plan", "x")
            clock.await_look()
    assert set(capsys.readouterr().err.splitlines()) == {"plan: x"}


@pytest.mark.parametrize(
    "verb",
    [
        "plan --manifest slides.csv --store s --encoder random:resnet10t",
        "extract --manifest no.csv --store s --encoder random:resnet10t",
        "evaluate tissue --tiles no --store s --encoder random:resnet10t",
        "finetune --tiles no --store s --encoder random:resnet10t --name n",
    ],
)
def test_the_first_line_of_a_long_verb_waits_for_no_heavy_import(verb: str) -> None:
    code = (
        "import sys, histo_ray.cli\n"
        "heavy = {'torch', 'ray', 'pandas', 'cv2', 'duckdb', 'pyarrow'}\n"
        "class Ear:\n"
        "    def write(self, text):\n"
        "        if text.strip():\n"
        "            print(text.strip(), sorted(heavy & set(sys.modules)))\n"
        "            sys.stdout.flush(); __import__('os')._exit(0)\n"
        "    def flush(self): pass\n"
        "    def isatty(self): return False\n"
        "sys.stderr = Ear()\n"
        f"histo_ray.cli.main({verb.split()!r})\n"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert answer.stdout == f"{verb.split()[0]}: starting []\n", answer.stderr


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
    assert main(["doctor", "--json", "--measure-s", "0.1", *RANDOM]) == 0
    findings = {entry["what"]: entry for entry in json.loads(capsys.readouterr().out)}
    usual = {"python", "openslide", "gpu", "memory", "disk", "ray", "token", "weights", "next"}
    assert usual <= findings.keys()
    assert findings["speed"]["measures"]["tiles_per_s"] > 0
    assert findings["next"]["found"] == "histo-ray demo --small"
    assert "512 features" in findings["encoder"]["found"]
    assert all(entry["state"] != "bad" for entry in findings.values())
    assert main(["doctor", "--measure-s", "0", "--encoder", "no.safetensors?arch=resnet18"]) == 2
    told = capsys.readouterr().out
    assert re.search(r"^bad +encoder .*there is no weights file", told, re.MULTILINE)
