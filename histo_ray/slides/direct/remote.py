"""Reads a slide where it lies in an object store, by ranges, without copying it here.

OpenSlide, which decides what a slide is and reads what is unusual, needs a file on this machine.
It gets a stand-in: a sparse file of the slide's size that holds the TIFF's directories, and the
tiles of such regions as it is asked for. All other tiles stay in memory.
"""

import io
import threading
from collections import OrderedDict
from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import tifffile

from histo_ray.slides.direct.layout import UnrecognisedError
from histo_ray.slides.direct.source import StandIn
from histo_ray.slides.tiff_damage import DAMAGE
from histo_ray.storage import is_local, locate
from histo_ray.storage.files import open_file

if TYPE_CHECKING:
    from pyarrow import fs

BLOCK_BYTES = 2**20
"""What is fetched at once: some tens of tiles that follow each other. So far it reads ahead."""
MOST_DIRECTORY_BYTES = 2**26
"""Most bytes of a TIFF's directories and tag values: enough for eight million tiles."""
BLOCKS_HELD = 16
"""Blocks kept in memory: a walk along a row of tiles reads from a few places in turn."""


class RemoteFile:
    """Byte ranges of a file in an object store, fetched in whole blocks. Threads may share one."""

    def __init__(self, system: "fs.FileSystem", place: str) -> None:
        self._file: Any = open_file(system, place)
        self.size: int = self._file.size()
        self.bytes_fetched = 0
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def read_at(self, offset: int, size: int) -> bytes:
        """See `ByteSource`; blocks that follow each other are fetched by one request."""
        size = max(0, min(size, self.size - offset))
        first, stop = offset // BLOCK_BYTES, -(-(offset + size) // BLOCK_BYTES)
        with self._lock:
            here = {at: self._blocks[at] for at in range(first, stop) if at in self._blocks}
            for at in here:
                self._blocks.move_to_end(at)
        for start, end in _gaps(first, stop, here):
            data = self._fetch(start * BLOCK_BYTES, (end - start) * BLOCK_BYTES)
            for at in range(start, end):
                here[at] = data[(at - start) * BLOCK_BYTES : (at - start + 1) * BLOCK_BYTES]
            self._keep(range(start, end), here)
        whole = (
            here[first] if stop - first == 1 else b"".join(here[at] for at in range(first, stop))
        )
        return whole[offset - first * BLOCK_BYTES :][:size]

    def _fetch(self, offset: int, size: int) -> bytes:
        data: bytes = self._file.read_at(min(size, self.size - offset), offset)
        with self._lock:
            self.bytes_fetched += len(data)
        return data

    def _keep(self, fetched: range, here: dict[int, bytes]) -> None:
        with self._lock:
            for at in fetched:
                self._blocks[at] = here[at]
            while len(self._blocks) > BLOCKS_HELD:
                self._blocks.popitem(last=False)

    def close(self) -> None:
        """Release the connection and the blocks."""
        self._file.close()
        self._blocks.clear()


def stand_in(uri: str, stack: ExitStack) -> tuple[RemoteFile, StandIn] | None:
    """A remote slide and a local file with its directories; None if `uri` is a local path.

    Args:
        uri: Path or URI.
        stack: Given the removal of the local file; the remote one is the caller's to close.

    Raises:
        OSError: The slide is not there or cannot be read.
        UnrecognisedError: It is not a TIFF that can be parsed.
    """
    system, place = locate(uri)
    if is_local(system):
        return None
    source = RemoteFile(system, place)
    try:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="histo-ray-")))
        local = StandIn(source, source.size, folder / PurePosixPath(place).name)
        for offset, size in _directories(RemoteStream(source)):
            local.fill(offset, size)
    except BaseException:
        source.close()
        raise
    return source, local


class RemoteStream(io.RawIOBase):
    """A remote file as a stream that can seek, for parsers; the source outlives it."""

    def __init__(self, source: RemoteFile) -> None:
        super().__init__()
        self._source = source
        self._at = 0

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move; returns the position from the start."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._source.size}[whence]
        self._at = max(0, start + offset)
        return self._at

    def tell(self) -> int:
        """Position from the start."""
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer` as far as the file goes."""
        data = self._source.read_at(self._at, len(buffer))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


def _gaps(first: int, stop: int, here: dict[int, bytes]) -> list[tuple[int, int]]:
    """Runs of blocks that are not `here`."""
    missing = [at for at in range(first, stop) if at not in here]
    starts = [at for at in missing if at - 1 not in missing]
    ends = [at + 1 for at in missing if at + 1 not in missing]
    return list(zip(starts, ends, strict=True))


def _directories(stream: RemoteStream) -> list[tuple[int, int]]:
    """(offset, bytes) of a TIFF's header, directories and the values of their tags."""
    ranges = [(0, 16)]
    try:
        with tifffile.TiffFile(cast(BinaryIO, stream)) as tiff:
            for page in tiff.pages:
                if not isinstance(page, tifffile.TiffPage):
                    raise UnrecognisedError("directories that are not read in full")
                ranges.append((page.offset, 16 + 20 * len(page.tags)))
                ranges += [(tag.valueoffset, tag.valuebytecount) for tag in page.tags]
    except (*DAMAGE, MemoryError) as error:  # of sizes that are made up
        raise UnrecognisedError(f"no TIFF that can be parsed: {error}") from error
    if sum(size for _, size in ranges) > MOST_DIRECTORY_BYTES:
        raise UnrecognisedError("directories larger than any slide's")
    return ranges
