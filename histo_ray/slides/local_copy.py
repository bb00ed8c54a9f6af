"""Brings a slide from an object store to this machine, for libraries that need a real file."""

from contextlib import ExitStack
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from histo_ray.storage import is_local, locate

if TYPE_CHECKING:
    from pyarrow import fs

CHUNK_BYTES = 8 * 1024 * 1024


def bring_here(uri: str, stack: ExitStack) -> Path:
    """The local path of a slide; a remote one is copied until `stack` closes.

    What belongs to a slide comes along: the folder of an MRXS, the other files beside a DICOM.

    Args:
        uri: Local path or URI.
        stack: Given the removal of the copy.

    Raises:
        OSError: The slide is not there or cannot be read.
    """
    system, place = locate(uri)
    if is_local(system):
        Path(place).stat()
        return Path(place)
    folder = Path(stack.enter_context(TemporaryDirectory(prefix="histo-ray-")))
    return _copy(system, PurePosixPath(place), folder)


def _copy(system: "fs.FileSystem", source: PurePosixPath, folder: Path) -> Path:
    from pyarrow import fs

    if source.suffix.lower() in (".dcm", ".dicom"):
        fs.copy_files(str(source.parent), str(folder), source_filesystem=system)
        return folder / source.name
    target = folder / source.name
    with system.open_input_stream(str(source)) as stream, target.open("wb") as file:
        while chunk := stream.read(CHUNK_BYTES):
            file.write(chunk)
    if source.suffix.lower() == ".mrxs":
        beside = str(source.with_suffix(""))
        fs.copy_files(beside, str(target.with_suffix("")), source_filesystem=system)
    return target
