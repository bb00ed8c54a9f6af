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
    target = folder / source.name
    _copy_file(system, str(source), target)
    if source.suffix.lower() == ".mrxs":
        _copy_folder(system, source.with_suffix(""), target.with_suffix(""))
    elif source.suffix.lower() in (".dcm", ".dicom"):
        _copy_folder(system, source.parent, folder)
    return target


def _copy_folder(system: "fs.FileSystem", source: PurePosixPath, folder: Path) -> None:
    """Copy the files that lie directly in `source`, but for those that are here already."""
    from pyarrow import fs

    folder.mkdir(exist_ok=True)
    for entry in system.get_file_info(fs.FileSelector(str(source))):
        target = folder / entry.base_name
        if entry.is_file and not target.exists():
            _copy_file(system, entry.path, target)


def _copy_file(system: "fs.FileSystem", source: str, target: Path) -> None:
    with system.open_input_stream(source) as stream, target.open("wb") as file:
        while chunk := stream.read(CHUNK_BYTES):
            file.write(chunk)
