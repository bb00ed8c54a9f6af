"""Closed, full and broken streams and Ctrl-C, with real processes."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from histo_ray.cli import main
from histo_ray.cli.edge import STOPPING

HR = f"{sys.executable} -m histo_ray"

CLEARING = """
import sys, time
from histo_ray.cli.edge import run_at_edge
def run():
    class Dropping:
        def __del__(self):
            print("at work", file=sys.stderr, flush=True)
            time.sleep(60)
    try:
        if "dropped" in sys.argv:
            Dropping()
        else:
            print("at work", file=sys.stderr, flush=True)
        time.sleep(60)
    finally:
        print("tidying up", file=sys.stderr, flush=True)
        time.sleep(60 if "slowly" in sys.argv else 0)
    return 0
sys.exit(run_at_edge(run))
"""


def shell(command: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a line of shell."""
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("verb", ["encoders"])
def test_a_full_stdout_is_told_in_one_line(verb: str) -> None:
    code, _, told = shell(f"{HR} {verb} > /dev/full")
    assert code == 2
    assert told.count("\n") == 1
    assert "standard output cannot be written (No space left on device)" in told


def test_closed_streams_are_taken_for_dev_null(tmp_path: Path) -> None:
    code, _, told = shell(f"{HR} --help >&-")
    assert (code, told) == (0, "")
    code, out, _ = shell(f"{HR} --help 2>&- <&-")
    assert code == 0
    assert out.startswith("usage")
    code, out, told = shell(f"{HR} store ls {tmp_path}/none 2>&-")
    assert (code, out, told) == (2, "", "")  # what stderr would get does not go to stdout


def test_a_full_stderr_does_not_end_the_work() -> None:
    code, out, _ = shell(f"{HR} store ls none 2> /dev/full; {HR} --help 2> /dev/full")
    assert code == 0
    assert out.startswith("usage")


@pytest.mark.parametrize("verb", ["--help", "encoders"])
def test_a_reader_of_stdout_that_has_gone_is_no_error(verb: str) -> None:
    code, _, told = shell(f"({HR} {verb}; echo $? >&2) | true")
    assert (code, told) == (0, "0\n")


def test_control_characters_of_results_are_spelled_out() -> None:
    code = (
        "import sys; from histo_ray.cli.edge import run_at_edge;"
        "text = '\\x1b]0;t\\x07 a\\tb\\r\\n c\\r d \\x9b1m \\u202e \\xa0é\\n';"
        "sys.exit(run_at_edge(lambda: print(text, end='') or 0))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60)
    said = "\\x1b]0;t\\x07 a\tb\r\n c\\r d \\x9b1m \\u202e \xa0é\n"
    assert done.stdout.decode() == said


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            'manifest = "m\\u0000.csv"\nstore = "S"',
            r"manifest 'm.x00.csv': holds a NUL character; remove it",
        ),
        (
            'manifest = "m.csv"\nstore = "S\\u0000"',
            r"store 'S.x00': holds a NUL character; remove it",
        ),
        (
            'manifest = "m.csv"\nstore = "S"\ntissue = "\\u0000"',
            r"tissue '.x00': holds a NUL character; remove it",
        ),
        ('manifest = "m.csv"\0\nstore = "S"', "run.toml: not valid TOML"),
        ('manifest = "m.csv"\nstore = "S"', r"line 2: path '.*a\\x00.svs': a NUL character"),
    ],
)
def test_a_nul_character_anywhere_is_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    text: str,
    told: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("m.csv").write_text("slide_id,path\nS1,a\0.svs\n")
    Path("run.toml").write_text(f'{text}\nencoder = ["resnet18"]\n')
    assert main(["extract", "--config", "run.toml"]) == 2
    (line,) = (x for x in capsys.readouterr().err.splitlines() if x.startswith("histo-ray"))
    assert re.search(told, line)


def interrupt(*arguments: str, times: int) -> tuple[int, str]:
    """Send Ctrl-C so often to a program; exit code and stderr."""
    with subprocess.Popen(
        [sys.executable, "-c", CLEARING, *arguments], stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        assert process.stderr.readline() == "at work\n"
        process.send_signal(signal.SIGINT)
        told = "".join(process.stderr.readline() for _ in range(3))
        for _ in range(times - 1):
            time.sleep(0.05)
            process.send_signal(signal.SIGINT)
        told += process.stderr.read()
        return process.wait(10), told


def test_the_first_ctrl_c_lets_the_work_tidy_up() -> None:
    code, told = interrupt(times=1)
    assert code == 130
    assert told == f"{STOPPING}tidying up\nhisto-ray: interrupted\n"


def test_a_ctrl_c_that_python_drops_is_raised_again_without_a_traceback() -> None:
    code, told = interrupt("dropped", times=1)
    assert code == 130
    assert told == f"{STOPPING}tidying up\nhisto-ray: interrupted\n"


@pytest.mark.parametrize("times", [2, 3])
def test_a_second_and_a_third_ctrl_c_end_it_at_once_without_a_traceback(times: int) -> None:
    code, told = interrupt("slowly", times=times)
    assert code == -signal.SIGINT
    assert told == f"{STOPPING}tidying up\n"


def test_a_closed_stdout_is_never_a_file_of_the_program() -> None:
    code = (
        "import os, sys; from histo_ray.cli.edge import run_at_edge;"
        "found = lambda: print(os.open('/dev/zero', os.O_RDONLY), file=sys.stderr) or 0;"
        "sys.exit(run_at_edge(found))"
    )
    out, told = os.pipe()
    command = f'exec {sys.executable} -c "{code}" <&- >&- 2>&{told}'
    subprocess.run(["bash", "-c", command], pass_fds=(told,), check=True, timeout=60)
    os.close(told)
    with os.fdopen(out) as said:
        assert int(said.read()) > 2


LEAVING = """
import atexit, sys, threading, time
from histo_ray.cli.edge import leave
class Late:
    def __del__(self):
        print("taken apart")
late = Late()
atexit.register(print, "tidied up")
threading.Thread(target=lambda: (time.sleep(0.2), print("waited for"))).start()
sys.stdout.write("result ")
if sys.argv[1:]:
    sys.setprofile(lambda *_: None)
code = leave(3)
sys.setprofile(None)
sys.exit(code)
"""


@pytest.mark.parametrize(
    ("arguments", "out"),
    [
        ([], "result waited for\ntidied up\n"),
        (["profiled"], "result waited for\ntidied up\ntaken apart\n"),
    ],
)
def test_the_program_waits_tidies_up_and_writes_before_it_leaves(
    arguments: list[str], out: str
) -> None:
    command = [sys.executable, "-c", LEAVING, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (3, out, "")
