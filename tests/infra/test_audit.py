"""The audit says what is known, and never calls packages sound that nobody was asked about."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

AUDIT = Path(__file__).parents[2] / "infra" / "audit.py"
SOUND = {"name": "a", "version": "1", "vulns": []}
BAD = {"name": "b", "version": "2", "vulns": [{"id": "PYSEC-1", "fix_versions": ["3"]}]}
SKIPPED = {"name": "c", "skip_reason": "Dependency not found"}


def audit(tmp_path: Path, says: str, *options: str) -> tuple[int, str]:
    tool = tmp_path / "tool.py"
    tool.write_text(f"import sys\nprint({says!r})\nsys.exit(1)\n")
    done = subprocess.run(
        [sys.executable, str(AUDIT), *options, sys.executable, str(tool)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert not done.stderr
    return done.returncode, done.stdout.strip()


@pytest.mark.parametrize(
    ("packages", "code", "says"),
    [
        ([SOUND], 0, "audit: 1 of 1 packages, 0 advisories"),
        ([SOUND, BAD, SKIPPED], 1,
         "audit: 2 of 3 packages, 1 advisories\nb 2: PYSEC-1 (mended in 3)"),
        ([SKIPPED], 3, "audit: nobody could be asked (Dependency not found)"),
    ],
)  # fmt: skip
def test_an_audit_is_told_in_a_line_and_a_code(
    packages: list[dict[str, Any]], code: int, says: str, tmp_path: Path
) -> None:
    found = audit(tmp_path, json.dumps({"dependencies": packages}))
    assert found[0] == code
    assert found[1].startswith(says)


def test_without_a_network_the_checks_go_on_and_say_so(tmp_path: Path) -> None:
    assert audit(tmp_path, "no JSON")[0] == 3
    code, says = audit(tmp_path, "no JSON", "--offline-is-fine")
    assert (code, says.partition(" (")[0]) == (0, "audit: nobody could be asked")
