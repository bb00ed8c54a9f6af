import json
import os
import subprocess
import sys
import time
from pathlib import Path

from histo_ray.cluster.local_ray import (
    KEPT_S,
    MARK,
    has_failed,
    keep_logs,
    mark_folder,
    remove_own,
    sweep_folders,
)

MARKING = """
import sys
from pathlib import Path
from histo_ray.cluster.local_ray import keep_logs, mark_folder
mark_folder(Path(sys.argv[1]))
if len(sys.argv) > 2:
    keep_logs(Path(sys.argv[1]))
"""


def mark_elsewhere(folder: Path, *failed: str) -> None:
    """Have a process mark `folder` that has ended since."""
    folder.mkdir()
    subprocess.run([sys.executable, "-c", MARKING, str(folder), *failed], check=True)


def test_only_marked_folders_of_processes_that_are_gone_are_swept(tmp_path: Path) -> None:
    mark_elsewhere(tmp_path / "session_dead")
    mark_elsewhere(tmp_path / "session_failed", "failed")
    mark_elsewhere(tmp_path / "session_failed_long_ago", "failed")
    old = time.time() - KEPT_S - 60
    os.utime(tmp_path / "session_failed_long_ago" / MARK, (old, old))
    for name in ("session_somebody's", "session_mine", "session_damaged", "session_elsewhere"):
        (tmp_path / name).mkdir()
    mark_folder(tmp_path / "session_mine")
    (tmp_path / "session_damaged" / MARK).write_text("{")
    said = json.loads((tmp_path / "session_dead" / MARK).read_text()) | {"host": "another"}
    (tmp_path / "session_elsewhere" / MARK).write_text(json.dumps(said))
    assert sorted(sweep_folders(tmp_path)) == ["session_dead", "session_failed_long_ago"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "session_damaged", "session_elsewhere", "session_failed", "session_mine",
        "session_somebody's",
    ]  # fmt: skip


def test_folders_of_starts_that_failed_are_known_by_the_number_of_the_process(
    tmp_path: Path,
) -> None:
    for name in (f"session_new_{os.getpid()}", f"session_old_{os.getpid()}", "session_new_1"):
        (tmp_path / name).mkdir()
    os.utime(tmp_path / f"session_old_{os.getpid()}", (0, 0))  # of an earlier process
    remove_own(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "session_new_1", f"session_old_{os.getpid()}",
    ]  # fmt: skip


def test_a_run_that_failed_keeps_its_logs(tmp_path: Path) -> None:
    mark_folder(tmp_path)
    assert not has_failed(tmp_path)
    keep_logs(tmp_path)
    assert has_failed(tmp_path)
    assert not has_failed(tmp_path / "gone")
