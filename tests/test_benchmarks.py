"""The benchmarks run and say what they measured; how fast is not asserted."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BRIEF = "reading", "bag"


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "brief",
    [
        pytest.param(True, id="brief"),
        pytest.param(False, id="others", marks=[pytest.mark.slow, pytest.mark.ray]),
    ],
)
def test_a_quick_run_gives_figures_and_a_picture(brief: bool, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks", "--list"]
    known = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert set(BRIEF) < set(known)
    names = BRIEF if brief else tuple(set(known) - set(BRIEF))
    command = [sys.executable, "-m", "benchmarks", "--quick", *names]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert set(answer["benchmarks"]) == set(names)
    assert all(result["figures"] for result in answer["benchmarks"].values())
    result, picture = tmp_path / "bench.json", tmp_path / "bench.svg"
    result.write_text(done.stdout)
    command = [sys.executable, "-m", "benchmarks.picture", str(result), "--out", str(picture)]
    subprocess.run(command, check=True)
    assert "share of the goal" in picture.read_text()
