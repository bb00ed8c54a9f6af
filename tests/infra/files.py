"""What the tests of `infra/` share: where its files are, and what the lock file pins."""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
INFRA = ROOT / "infra"
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")


def locked_version(package: str) -> str:
    """The version of `package` in requirements.lock."""
    found = re.search(rf"^{re.escape(package)}==([^\s;\\]+)", LOCK, re.MULTILINE)
    assert found, f"{package} is not in requirements.lock"
    return found[1]


def texts() -> Iterator[tuple[str, str]]:
    """Name and content of each file of `infra/`."""
    for path in sorted(INFRA.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")
