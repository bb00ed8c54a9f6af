"""Export slides of a store to another tool's format: whole files, and none over another."""

import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from histo_ray.errors import ConfigError, SlideError, StoreError, UnreachableError
from histo_ray.store.atomic_write import publish, stage
from histo_ray.store.catalog import FORMATS, Partitions, list_partitions, name_some
from histo_ray.store.exchange.base import ExchangeFormat
from histo_ray.store.find import choose_slides
from histo_ray.store.layout import Form, is_given, partition_path
from histo_ray.store.location import Location
from histo_ray.store.partition import first_line
from histo_ray.store.partition_vectors import read_partition_rows
from histo_ray.store.receipt_cache import read_receipts
from histo_ray.store.tilings import find_tiling, one_of_each_tiling
from histo_ray.text import count_of, did_you_mean
from histo_ray.types import PartitionKey

Report = Callable[[int, int], None]
"""(slides done, slides in all)."""


class SlideExport(NamedTuple):
    """What became of the slides that were to be exported."""

    written: list[str]
    """Paths below the folder of the export."""
    there: list[str]
    """Paths where a file was already, which stays as it was."""
    problems: list[str]
    """A line on each slide that could not be exported, and why."""


def export_all(
    root: Location,
    formats: Sequence[ExchangeFormat],
    out: Location,
    encoder: str | None = None,
    tiling: str | None = None,
    slide_ids: Sequence[str] = (),
    overwrite: bool = False,
    report: Report = lambda done, total: None,
) -> SlideExport:
    """Write slides in each of some formats; as `export_slides`, with one result.

    Raises:
        ConfigError: As `export_slides`, or the folder is in the store.
        StoreError: As `export_slides`.
    """
    _check_apart(root, out)
    done = SlideExport([], [], [])
    for format in formats:
        written, there, problems = export_slides(
            root, format, out, encoder, tiling, slide_ids, overwrite, report
        )
        done.written.extend(written)
        done.there.extend(there)
        done.problems.extend(one for one in problems if one not in done.problems)
    return done


def _check_apart(root: Location, out: Location) -> None:
    """Refuse to export into the store that is exported.

    Raises:
        ConfigError: The folder is the store's, or below it.
    """
    inside = f"{out.path.rstrip('/')}/".startswith(f"{root.path.rstrip('/')}/")
    if root.local == out.local and inside:
        raise ConfigError(
            f"--out {out.path} is in the store itself; choose a folder outside of {root.path}"
        )


def export_slides(
    root: Location,
    format: ExchangeFormat,
    out: Location,
    encoder: str | None = None,
    tiling: str | None = None,
    slide_ids: Iterable[str] = (),
    overwrite: bool = False,
    report: Report = lambda done, total: None,
) -> SlideExport:
    """Write slides as files of another tool, each whole or not at all; the store is only read.

    Labelled tile sets are no slides and are left out. A slide that cannot be read is told, and the
    others are exported all the same.

    Args:
        root: The store.
        format: Of the files.
        out: Folder for them; made if it is not there.
        encoder: Whose tiles and embeddings; None where the store holds one encoder.
        tiling: Where the encoder has several: fingerprint, its first letters, or its mpp.
        slide_ids: The slides; none: all.
        overwrite: Write files anew that are there already.
        report: Called with (slides done, slides in all).

    Raises:
        ConfigError: Several encoders and none is named, or the folder cannot be written.
        StoreError: Nothing of this encoder or of a slide, or several tilings and none is named.
        UnreachableError: The store or the folder's storage does not answer.
    """
    partitions = _choose(root, encoder, tiling, list(slide_ids))
    done = SlideExport([], [], [])
    with workspace(out) as folder:
        for number, (key, form) in enumerate(sorted(partitions.items()), 1):
            try:
                _export_slide(root, (key, form), format, out, folder, overwrite, done)
            except UnreachableError:
                raise
            except (SlideError, StoreError) as error:
                done.problems.append(str(error))
            except OSError as error:
                raise not_written(out, error) from error
            report(number, len(partitions))
    return done


def _choose(
    root: Location, encoder: str | None, tiling: str | None, slides: list[str]
) -> Partitions:
    """The partitions of one encoder and tiling that are exported."""
    keys = [key for key in list_partitions(root) if not is_given(key.tiling)]
    names = sorted({key.encoder for key in keys})
    if not names:
        raise StoreError(
            f"store {root.path}: it holds no slide yet; make some with histo-ray extract"
        )
    if encoder is None and len(names) > 1:
        raise ConfigError(
            f"store {root.path} holds slides of {count_of(len(names), 'encoder')} "
            f"({name_some(names)}); name one with --encoder"
        )
    name = encoder or names[0]
    if name not in names:
        raise ConfigError(
            f"--encoder {name}: store {root.path} holds no slide of it, only of "
            f"{name_some(names)}{did_you_mean(name, names)}"
        )
    if tiling is not None:
        own = {key: form for key, form in list_partitions(root, name).items() if key in set(keys)}
        firsts = {key: own[key] for key in one_of_each_tiling(own)}
        tiling = find_tiling(tiling, read_receipts(root, firsts))
    return choose_slides(root, name, tiling, slides or None)


def _export_slide(
    root: Location,
    partition: tuple[PartitionKey, Form],
    format: ExchangeFormat,
    out: Location,
    folder: Path,
    overwrite: bool,
    done: SlideExport,
) -> None:
    key, form = partition
    location = root.child(partition_path(key, form))
    receipt = FORMATS[form].read_receipt(location)
    relative = format.relative_path(receipt)
    target = out.child(relative)
    if target.kind() and not overwrite:
        done.there.append(relative)
        return
    built = folder / "slide"
    try:
        format.export(read_partition_rows(location, form), receipt, built)
        placed = publish(built, target, replace=overwrite)
    finally:
        built.unlink(missing_ok=True)
    (done.written if placed else done.there).append(relative)


@contextmanager
def workspace(out: Location) -> Iterator[Path]:
    """A local folder to build in, beside the files where these are local; nothing of it stays."""
    if not out.local:
        with stage(out) as folder:
            yield folder
        return
    try:
        Path(out.path).mkdir(parents=True, exist_ok=True)
        built = Path(tempfile.mkdtemp(prefix=".histo-ray-export-", dir=out.path))
    except OSError as error:
        raise not_written(out, error) from error
    try:
        yield built
    finally:
        shutil.rmtree(built, ignore_errors=True)


def not_written(out: Location, error: OSError) -> ConfigError:
    """The error of a folder for results that takes no file."""
    reason = error.strerror or first_line(error)
    return ConfigError(
        f"--out {out.path}: cannot be written ({reason}); choose another folder, or make room there"
    )
