"""Slides downloaded from the GDC portal, held against its manifest."""

import csv
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from histo_ray.errors import ConfigError

COLUMNS = ("id", "filename", "md5", "size")
DIAGNOSTIC = "-DX"
"""In the name of a diagnostic (FFPE) slide; frozen ones have -TS, -BS or -MS."""
_BLOCK = 1 << 24
_SHOWN = 3


class GdcFile(NamedTuple):
    """A row of a GDC manifest."""

    id: str
    filename: str
    md5: str
    size_bytes: int

    @property
    def patient(self) -> str:
        """First three fields of the TCGA barcode."""
        return "-".join(self.filename.split("-")[:3])


def read_gdc_manifest(path: Path) -> list[GdcFile]:
    """Read a manifest as the portal gives it: tab-separated, with id, filename, md5 and size.

    Raises:
        ConfigError: It cannot be read, lacks a column, or has no row.
    """
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream, delimiter="\t"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"GDC manifest {path}: cannot be read ({error}); check the path"
        ) from None
    missing = [name for name in COLUMNS if not rows or name not in rows[0]]
    if missing:
        raise ConfigError(
            f"GDC manifest {path}: no column {', '.join(missing)}, or no row; give the file that "
            "the portal's cart downloads as manifest, tab-separated"
        )
    try:
        return [GdcFile(r["id"], r["filename"], r["md5"], int(r["size"])) for r in rows]
    except (TypeError, ValueError):
        raise ConfigError(
            f"GDC manifest {path}: a size is no whole number; download the manifest again"
        ) from None


def check_download(files: Sequence[GdcFile], folder: Path, digests: bool) -> Iterator[str]:
    """Hold a download against its manifest.

    Args:
        files: The manifest.
        folder: Where `gdc-client` put them (`<id>/<filename>`), or where they lie by name.
        digests: Whether the MD5 of each file is computed, which reads all of it.

    Yields:
        One sentence for each kind of deviation.
    """
    missing, short, damaged = [], [], []
    for file in files:
        place = next((p for p in (folder / file.id / file.filename, folder / file.filename)
                      if p.is_file()), None)  # fmt: skip
        if place is None:
            missing.append(file.filename)
        elif (size := place.stat().st_size) != file.size_bytes:
            short.append(f"{file.filename}: {size:,} of {file.size_bytes:,} bytes")
        elif digests and _md5(place) != file.md5:
            damaged.append(file.filename)
    of = f"of the manifest's {len(files):,} files"
    if missing:
        yield f"{len(missing):,} {of} are not below {folder} ({_some(missing)}); download them"
    if short:
        yield f"{len(short):,} {of} have another size ({_some(short)}); download them again"
    if damaged:
        yield f"{len(damaged):,} {of} have another MD5 ({_some(damaged)}); download them again"
    frozen = [file.filename for file in files if DIAGNOSTIC not in file.filename]
    if frozen:
        yield (
            f"{len(frozen):,} {of} are no diagnostic slides ({_some(frozen)}); filter the cart by "
            "experimental strategy 'Diagnostic Slide'"
        )


def _md5(place: Path) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    with place.open("rb") as stream:
        while block := stream.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return f"{', '.join(names[:_SHOWN])}{more}"
