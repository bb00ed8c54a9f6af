"""Brings a slide from an object store to this machine, for readers that need a real file."""

import errno
import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from histo_ray.errors import SlideError
from histo_ray.slides.slide_cache import SlideCache
from histo_ray.storage import is_local, locate
from histo_ray.storage.check import explain_here
from histo_ray.storage.files import open_file
from histo_ray.storage.trouble import is_remote
from histo_ray.types import JsonObject

if TYPE_CHECKING:
    from pyarrow import fs

CHUNK_BYTES = 8 * 1024 * 1024
CHUNKS_AT_ONCE = 4
"""Requests in flight for one slide; each waits for the network, and holds a chunk."""


def bring_slide(path: str, slide_id: str, stack: ExitStack, cache: SlideCache) -> str:
    """Local path of the slide; that of a remote one is good for as long as `stack` is open.

    Raises:
        SlideError: Not there, not to be had, or no file with something in it.
    """
    try:
        local = bring_here(path, stack, cache)
        found = "an empty file" if local.is_file() and not local.stat().st_size else ""
        if not local.is_file():
            found = "a folder" if local.is_dir() else "a pipe or a device"
    except OSError as error:
        raise unread(slide_id, path, error) from error
    if found:
        raise SlideError(
            slide_id, f"{path} is {found}, not a slide file; check the path and the access rights"
        )
    return str(local)


def unread(slide_id: str, path: str, error: OSError) -> SlideError:
    """What to raise for a file that cannot be read at all."""
    if is_remote(error):
        trouble = explain_here(error)
        return SlideError(slide_id, f"{path} cannot be read: {trouble.found}; {trouble.remedy}")
    return SlideError(
        slide_id,
        f"{path} cannot be read: {' '.join(str(error).split())}; check the path and the access "
        "rights",
    )


def bring_here(uri: str, stack: ExitStack, cache: SlideCache) -> Path:
    """The local path of a slide; a remote one is in the cache, and stays until `stack` closes.

    What belongs to a slide comes along: the folder of an MRXS, the other files beside a DICOM.

    Args:
        uri: Local path or URI.
        stack: Given the end of the slide's use.
        cache: Where remote slides are kept.

    Raises:
        OSError: The slide is not there or cannot be read.
    """
    system, place = locate(uri)
    if is_local(system):
        Path(place).stat()
        return Path(place)
    source = PurePosixPath(place)
    files = {info.path: info for info in _files(system, source)}
    top = str(source.parent)
    sizes = {path.removeprefix(f"{top}/"): info.size for path, info in files.items()}
    marks = [uri, _tag(system, place)]
    marks += [f"{path} {info.size} {info.mtime_ns}" for path, info in sorted(files.items())]
    key = hashlib.sha256("\n".join(marks).encode()).hexdigest()

    def fetch(name: str, target: Path) -> None:
        _copy_file(system, f"{top}/{name}", target, sizes[name])

    return stack.enter_context(cache.hold(key, sizes, fetch)) / source.name


def _files(system: "fs.FileSystem", source: PurePosixPath) -> "Iterator[fs.FileInfo]":
    """The slide's file, and those that belong to it."""
    from pyarrow import fs

    (info,) = system.get_file_info([str(source)])
    if not info.is_file:
        raise FileNotFoundError(f"{source}: {'a folder' if info.type.value else 'no such file'}")
    yield info
    suffix = source.suffix.lower()
    beside = source.with_suffix("") if suffix == ".mrxs" else source.parent
    if suffix in (".mrxs", ".dcm", ".dicom"):
        found = system.get_file_info(fs.FileSelector(str(beside), allow_not_found=True))
        yield from (other for other in found if other.is_file and other.path != info.path)


def _tag(system: "fs.FileSystem", place: str) -> str:
    """The object store's tag of the content: ETag, or all its metadata."""
    with system.open_input_file(place) as file:
        said: JsonObject = file.metadata() or {}
    return str(said.get("ETag", said))


def _copy_file(system: "fs.FileSystem", source: str, target: Path, size: int) -> None:
    """Fill `target`, which is there, with the `size` bytes of `source`, several chunks at once."""
    with open_file(system, source) as file, target.open("r+b", buffering=0) as sink:
        if file.size() != size:
            raise OSError(f"{source}: changed while it was read")

        def copy(start: int) -> None:
            chunk = file.read_at(min(CHUNK_BYTES, size - start), start)
            if os.pwrite(sink.fileno(), chunk, start) != len(chunk):
                raise OSError(errno.ENOSPC, f"{target}: the disk is full")

        with ThreadPoolExecutor(CHUNKS_AT_ONCE) as pool:
            for _ in pool.map(copy, range(0, size, CHUNK_BYTES)):
                pass
