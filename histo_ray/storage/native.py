"""Files for Arrow's readers in Arrow's own memory.

Arrow's scanner frees what it read on its own threads, at times after the caller has its table. If
that is memory of a Python object, the thread needs Python's lock; if the interpreter is ending just
then, Python ends the thread inside a C++ destructor, and the process aborts with "terminate called
without an active exception" (exit code 134). Copies in Arrow's memory need no lock.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyarrow import NativeFile


def native(source: Any) -> "NativeFile":
    """A file that Arrow reads without Python.

    Args:
        source: Bytes, or an open file: one of Arrow's own is returned as it is, of another (such as
            `ObjectFile`) all bytes are read.

    Returns:
        A file of pyarrow's that refers to no Python object.

    Raises:
        OSError: The file cannot be read.
    """
    import numpy as np
    import pyarrow as pa

    if isinstance(source, pa.NativeFile) and not isinstance(source, pa.PythonFile):
        return source
    data = source if isinstance(source, bytes | bytearray | memoryview) else source.readall()
    copy = pa.allocate_buffer(len(data))
    np.frombuffer(copy, np.uint8)[:] = np.frombuffer(data, np.uint8)
    return pa.BufferReader(copy)
