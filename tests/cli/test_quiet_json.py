"""Contract of every verb: `--json` prints JSON on stdout, `--quiet` leaves stderr empty."""

import argparse
import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from histo_ray.cli.main import main
from histo_ray.cli.progress import SlideProgress, keep_quiet, note, say
from histo_ray.cli.quiet_flag import add_quiet, list_leaves
from histo_ray.cli.verbs import VERBS
from histo_ray.store.store import open_store
from testing.plugin_package import write_module
from tests.conftest import Cohort
from tests.made_up import facts_of, rows_of

ON_A_STORE = [
    "store ls STORE",
    "store ls --slides STORE",
    "store verify STORE",
    "store sql STORE select\tcount(*)\tas\tn\tfrom\tembeddings",
    "store sql STORE create\ttable\tmine(a\tint)",
    "store views STORE",
    "store convert --to zarr STORE",
    "store gc STORE",
    "store index drop STORE",
    "store export STORE --to trident --out OUT",
    "runs STORE",
    "encoders",
    "plan --no-open --manifest MANIFEST --store STORE --encoder random:resnet10t?seed=0",
]


@pytest.mark.parametrize("verb", VERBS)
def test_every_action_of_a_verb_takes_json_and_quiet(verb: str) -> None:
    parser = argparse.ArgumentParser(prog=verb)
    importlib.import_module(VERBS[verb].module).add_arguments(parser)
    add_quiet(parser)
    leaves = list(list_leaves(parser))
    assert leaves
    for leaf in leaves:
        flags = {flag for action in leaf._actions for flag in action.option_strings}
        assert {"--json", "--quiet"} <= flags, leaf.prog


@pytest.mark.parametrize("line", ON_A_STORE)
def test_json_is_all_of_stdout_and_quiet_leaves_stderr_empty(
    line: str, cohort: Cohort, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    store = open_store(str(tmp_path / "store"), create=True)
    facts = facts_of("S1")
    store.commit(facts.key, facts, rows_of(9))
    places = {
        "STORE": str(tmp_path / "store"),
        "OUT": str(tmp_path / "out"),
        "MANIFEST": str(cohort.manifest),
    }
    words = [places.get(word, word.replace("\t", " ")) for word in line.split(" ")]
    code = main([*words, "--json", "--quiet"])
    out, err = capfd.readouterr()
    assert err == ""
    assert isinstance(json.loads(out), list | dict)
    assert code in (0, 1)
    assert "\x1b" not in out
    assert "\r" not in out


def test_quiet_holds_back_progress_and_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    with keep_quiet(True), SlideProgress("extract") as progress:
        say("extract", "half")
        note("a note")
        progress.show(1, 2, "1/2 slides")
    assert capsys.readouterr().err == ""
    assert main(["store", "ls", "no-store", "--quiet"]) == 2
    assert "no-store" in capsys.readouterr().err
    say("extract", "loud again")
    assert capsys.readouterr().err == "extract: loud again\n"


def test_what_a_plugin_prints_is_not_in_the_json(
    cohort: Cohort,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    module = write_module(tmp_path, "chatty_plugin")
    said = '        print("hello from the plugin", flush=True)\n'
    text = module.read_text()
    for start in ('        """State what', '        """Draw the', '        """(N, 96'):
        text = text.replace(start, said + start)
    module.write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    flags = f"--manifest {cohort.manifest} --store {tmp_path / 'store'} --tile-px 96 --json"
    encoder = "chatty_plugin:make_encoder"
    main(["extract", *flags.split(), "--encoder", encoder, "--address", "none"])
    printed = capsys.readouterr()
    assert json.loads(printed.out)["record"]["tiles_encoded"]
    assert "hello from the plugin" in printed.err


def test_what_is_written_below_python_is_not_in_the_json(cohort: Cohort, tmp_path: Path) -> None:
    """By C libraries and by processes that a plugin starts; in a process of its own."""
    module = write_module(tmp_path, "loud_plugin")
    loud = '        import os; os.write(1, b"from below\\n"); os.system("echo from a child")\n'
    text = module.read_text().replace('        """State what', loud + '        """State what')
    module.write_text(text)
    words = f"--manifest {cohort.manifest} --store {tmp_path / 'store'} --tile-px 96 --json"
    words += " --encoder loud_plugin:make_encoder --measure"
    done = subprocess.run(
        [sys.executable, "-m", "histo_ray", "plan", *words.split()],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        check=False,
    )
    assert json.loads(done.stdout)["rows"]
    assert "from below" in done.stderr
    assert "from a child" in done.stderr
