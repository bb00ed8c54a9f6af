"""Reading files wherever they lie.

pyarrow hands the S3 client a buffer of just the size asked for. The server's words on an error do
not fit into a small one; the client then reports a broken stream, which it does not repeat.
"""

import errno
import io
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from histo_ray.storage import is_local
from histo_ray.storage.clouds import WORK

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

LEAST_BYTES = 4096
"""Asked for at once where the file has them: room for a server's words."""
_MASKED = "Failed to flush response stream"
_FIRST_PAUSE_S = 0.05


def open_file(system: "FileSystem", path: str) -> Any:
    """A file for reading, with random access: `read`, `seek`, `readall`, `read_at`, `size`.

    Raises:
        OSError: It is not there or cannot be reached.
    """
    file = system.open_input_file(path)
    return file if is_local(system) else ObjectFile(file)


def read_file(system: "FileSystem", path: str, most_bytes: int) -> bytes:
    """All of a file that is held in memory as a whole.

    Pipes and devices never end, or never begin, so they are refused before they are opened.

    Args:
        system: From `locate`.
        path: From `locate`.
        most_bytes: Largest file that is read.

    Raises:
        OSError: It cannot be read, is no regular file, or is larger.
    """
    if is_local(system) and not stat.S_ISREG(Path(path).stat().st_mode):
        raise OSError(errno.EINVAL, "not a regular file", path)
    with open_file(system, path) as file:
        size = file.size()
        if size > most_bytes:
            raise OSError(errno.EFBIG, f"{size} bytes, more than the {most_bytes} allowed", path)
        return bytes(file.readall())


class ObjectFile(io.RawIOBase):
    """A file in an object store. Threads may share one for `read_at`."""

    def __init__(self, file: Any) -> None:
        """Take over a file of pyarrow's."""
        super().__init__()
        self._file = file
        self._size: int = file.size()
        self._at = 0

    def size(self) -> int:
        """Bytes in all."""
        return self._size

    def metadata(self) -> dict[str, Any]:
        """Metadata of the file in the object store."""
        return dict(self._file.metadata() or {})

    def read_at(self, size: int, offset: int) -> Any:
        """Up to `size` bytes from `offset`; fewer at the end of the file."""
        size = max(0, min(size, self._size - offset))
        if not size:
            return b""
        start = max(0, min(offset, self._size - LEAST_BYTES))
        length = max(size + offset - start, min(LEAST_BYTES, self._size - start))
        data = self._ask(length, start)
        return data if len(data) == size else data[offset - start :][:size]

    def _ask(self, size: int, offset: int) -> Any:
        pause_s = _FIRST_PAUSE_S
        for _ in range(WORK.repeats):
            try:
                return self._file.read_at(size, offset)
            except OSError as error:
                if _MASKED not in str(error):
                    raise
            time.sleep(pause_s)
            pause_s *= 2
        return self._file.read_at(size, offset)

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """Position from the start."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move; returns the position from the start."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, start + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer` as far as the file goes."""
        data = self.read_at(len(buffer), self._at)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def readall(self) -> bytes:
        """Read from the position to the end, by one request."""
        data = bytes(self.read_at(self._size - self._at, self._at))
        self._at += len(data)
        return data

    def close(self) -> None:
        """Release it."""
        if not self.closed:
            self._file.close()
        super().close()
