import io
import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import histo_ray
from histo_ray.storage.native import native

FROM_PYTHON = re.compile(
    r"py_buffer\(|read_table\(\s*io\.|BufferReader\(|PythonFile\(|read_csv\(\s*io\."
)
"""Reads of Arrow's from memory or files of Python's."""


def test_arrow_reads_a_copy_that_no_python_object_owns() -> None:
    data = bytearray(b"abc" * 1000)
    file = native(data)
    data.extend(b"more")  # refused with BufferError while anything refers to the bytes
    data[:3] = b"xyz"
    assert file.read() == b"abc" * 1000


class Remote(io.RawIOBase):
    """A file of an object store."""

    def readall(self) -> bytes:
        sink = io.BytesIO()
        pq.write_table(pa.table({"a": [1, 2, 3]}), sink)
        return sink.getvalue()


def test_a_file_of_pythons_is_read_first_and_one_of_arrows_is_left_as_it_is(tmp_path: Path) -> None:
    file = native(Remote())
    assert isinstance(file, pa.BufferReader)
    assert pq.read_table(file)["a"].to_pylist() == [1, 2, 3]
    (tmp_path / "a").write_bytes(b"abc")
    own = pa.OSFile(str(tmp_path / "a"))
    assert native(own) is own
    assert native(b"").read() == b""
    wrapped = pa.PythonFile(io.BytesIO(b"abc"), "r")
    assert not isinstance(native(wrapped), pa.PythonFile)


def test_nothing_hands_pythons_memory_to_arrows_threads() -> None:
    """Such memory, freed while the interpreter ends, aborts the process now and then.

    `arrow_columns` makes columns to be written, which the calling thread does; `pa.array` lends
    them numpy's memory as well.
    """
    root = Path(histo_ray.__file__).parent
    found = [
        str(path.relative_to(root))
        for path in root.rglob("*.py")
        if path.name not in ("native.py", "arrow_columns.py")
        and FROM_PYTHON.search(path.read_text(encoding="utf-8"))
    ]
    assert found == []


@pytest.mark.slow
def test_reading_and_ending_at_once_does_not_abort(tmp_path: Path) -> None:
    """Of 60 processes that read from `io.BytesIO` beside two busy loops, two aborted."""
    import subprocess
    import sys

    table = pa.table({f"c{number}": [0.5] * 20_000 for number in range(60)})
    pq.write_table(table, tmp_path / "f.parquet", compression="none", row_group_size=4_000)
    code = (
        "import sys, pyarrow.parquet as pq; from histo_ray.storage.native import native; "
        "pq.read_table(native(open(sys.argv[1], 'rb').read()))"
    )
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2)]
    try:
        for _ in range(60):
            command = [sys.executable, "-c", code, str(tmp_path / "f.parquet")]
            assert subprocess.run(command, check=False).returncode == 0
    finally:
        for one in busy:
            one.kill()
            one.wait()
