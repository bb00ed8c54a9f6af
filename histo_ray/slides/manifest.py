"""Reads a manifest: CSV or Parquet, one row a slide. All its problems come in one message."""

import re
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from histo_ray.errors import ConfigError
from histo_ray.slides.barcodes import parse_barcode
from histo_ray.slides.manifest_columns import (
    ManifestColumns,
    cell_name,
    cell_text,
    find_manifest_columns,
    parse_mpp,
)
from histo_ray.slides.manifest_notes import (
    describe_patients,
    note_dates,
    note_patients,
    note_repeated_files,
    note_repeated_paths,
)
from histo_ray.slides.resolution import GREATEST_MPP, LEAST_MPP, is_plausible
from histo_ray.slides.table import TableRow, read_table
from histo_ray.storage import locate
from histo_ray.storage.check import check_place, explain_here
from histo_ray.types import Slide, describe_mark

SHOWN_PROBLEMS = 20

SAFE_IDS = "at most 200 ASCII letters, digits, '.', '_' and '-', and no dot in front"
"""What slide_ids are made of."""
_SAFE_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}")
_BARCODE = re.compile(r"(TCGA-[A-Z0-9]{2}-[A-Z0-9]{4})(?![A-Z0-9])", re.IGNORECASE)
_CHECKS_AT_ONCE = 32
_A_TASK = 16
"""Files that a thread looks for before it is asked again."""


@dataclass(frozen=True)
class Manifest:
    """The slides of a manifest, with notes on them."""

    slides: tuple[Slide, ...]
    """In the order of the rows."""
    notes: tuple[str, ...]
    """Sentences: how many patients, which columns were read, what looks wrong but may be right."""


@dataclass(frozen=True, order=True)
class _Problem:
    """One thing wrong, and where."""

    number: int
    text: str


@dataclass(frozen=True)
class _Looked:
    """A file as it was found."""

    problem: str
    """Why it is none; empty if it is one."""
    size: int = 0
    """Bytes; 0 where unknown."""


def read_manifest(uri: str) -> list[Slide]:
    """Read and check a manifest; the slides of `open_manifest`."""
    slides, _, _ = _read(uri)
    return slides


def open_manifest(uri: str, need_files: bool = True) -> Manifest:
    """Read and check a manifest; collect notes for the user.

    Columns: `slide_id` (unique, safe as a file name) and `path` (relative ones start at the
    manifest's folder); optional `patient_id` (default: the first three fields of a TCGA barcode,
    else the slide_id), `site` (default: the barcode's second field, else empty), `mpp` (overrides
    the file) and `synthetic` (true: drawn, not from a patient). They may go by other names; see
    `column_names`. Further columns are kept in `extra`.

    Args:
        uri: Local path or URI of a `.csv` or `.parquet` file.
        need_files: Whether each slide must have a file; else `path` may be missing, empty (then it
            is ""), or name none.

    Returns:
        The slides, every file of which has been seen to exist if needed, and notes: the number of
        patients first, then columns read by another name, ids that differ only in how they are
        written or are dates, and files that are given twice (files of equal size are compared by
        their fingerprints).

    Raises:
        ConfigError: All problems, with line (CSV) or row (Parquet) numbers; or that the manifest
            or a bucket with slides cannot be reached.
    """
    slides, columns, sizes = _read(uri, need_files)
    notes = [
        describe_patients(slides),
        *columns.notes,
        *note_patients(slides, columns.patient_id),
        *note_dates(slides),
        *note_repeated_paths(slides),
        *note_repeated_files(slides, sizes),
    ]
    return Manifest(tuple(slides), tuple(notes))


def _read(uri: str, need_files: bool = True) -> tuple[list[Slide], ManifestColumns, dict[str, int]]:
    """Slides, columns, and bytes of each file by path."""
    check_place(uri, "manifest")
    unit, names, rows = read_table(uri)
    columns = find_manifest_columns(names, rows, unit)
    missing = [
        name
        for name, found in (("slide_id", columns.slide_id), ("path", columns.path))
        if found is None and (need_files or name != "path")
    ]
    if missing:
        raise ConfigError(
            f"manifest {uri}: no column {' and no column '.join(missing)} in the header (its "
            f"columns: {', '.join(names) or 'none'}); add it"
        )
    if not rows:
        raise ConfigError(f"manifest {uri}: no rows under the header; add a row for each slide")
    if columns.conflicts:
        raise ConfigError(f"manifest {uri}: {'; '.join(columns.conflicts)}")
    problems: list[_Problem] = []
    slides = [_slide(row, uri, columns, problems, need_files) for row in rows]
    problems += _repeated_ids(rows, columns, unit)
    looked = _look_for_files(slides) if need_files else {}
    problems += [
        _Problem(row.number, f"{columns.path} {slide.path!r}: {looked[slide.path].problem}")
        for row, slide in zip(rows, slides, strict=True)
        if slide.path in looked and looked[slide.path].problem
    ]
    if problems:
        raise ConfigError(_message(uri, unit, sorted(problems)))
    return slides, columns, {path: found.size for path, found in looked.items()}


def _slide(
    row: TableRow, uri: str, columns: ManifestColumns, problems: list[_Problem], need_file: bool
) -> Slide:
    """The slide of a row; what is wrong with the row is added to `problems`."""

    def tell(text: str) -> None:
        problems.append(_Problem(row.number, text))

    slide_id, path = columns.slide_of(row), cell_text(row, columns.path)
    if row.problem:
        tell(row.problem)
    _check_slide_id(slide_id, str(columns.slide_id), tell)
    if not path and need_file:
        tell(f"{columns.path} is empty; give the path of the slide's file")
    mpp = row.values.get(columns.mpp) if columns.mpp else None
    number = parse_mpp(mpp)
    if mpp not in (None, "") and not is_plausible(number):
        tell(
            f"{columns.mpp} {mpp!r} is not a resolution; give microns per pixel between "
            f"{LEAST_MPP:g} and {GREATEST_MPP:g}, or leave the cell empty"
        )
    mark = row.values.get(columns.synthetic) if columns.synthetic else None
    if problem := describe_mark(columns.synthetic or "", mark):
        tell(problem)
    extra = {key: value for key, value in row.values.items() if key not in columns.used}
    if columns.synthetic:
        extra["synthetic"] = mark
    barcode = _BARCODE.match(slide_id)
    parsed = parse_barcode(barcode[1]) if barcode else None
    patient = cell_name(row, columns.patient_id)
    return Slide(
        slide_id=slide_id,
        path=_resolve(path, uri) if path else "",
        patient_id=_capitals(patient) or (parsed.patient if parsed else slide_id),
        site=cell_name(row, columns.site) or (parsed.site if parsed else ""),
        mpp=number,
        extra=extra,
    )


def is_safe_id(slide_id: str) -> bool:
    """Whether a slide may be called so, in a manifest and in a store."""
    return bool(_SAFE_ID.fullmatch(slide_id))


def _check_slide_id(slide_id: str, column: str, tell: Callable[[str], None]) -> None:
    if not slide_id:
        tell(f"{column} is empty; give each slide a name of its own")
    elif not is_safe_id(slide_id):
        shown = slide_id if len(slide_id) <= 60 else f"{slide_id[:60]}..."
        tell(f"{column} {shown!r} is not safe as a file name; use {SAFE_IDS}")


def _capitals(patient: str) -> str:
    """A patient with barcodes in capitals, as GDC writes them."""
    return patient.upper() if parse_barcode(patient) else patient


def _resolve(path: str, manifest: str) -> str:
    """`path` seen from the manifest's folder."""
    if "://" in path or path.startswith(("/", "~")):
        return path
    if "://" in manifest:
        return f"{manifest.rsplit('/', 1)[0]}/{path.removeprefix('./')}"
    return str(Path(manifest).expanduser().absolute().parent / path)


def _repeated_ids(rows: list[TableRow], columns: ManifestColumns, unit: str) -> list[_Problem]:
    """Ids that are equal, or differ in case only, which some file systems do not distinguish."""
    same_id: defaultdict[str, list[TableRow]] = defaultdict(list)
    for row in rows:
        if slide_id := columns.slide_of(row):
            same_id[slide_id.casefold()].append(row)
    problems = []
    for first, *others in same_id.values():
        for row in others:
            own, earlier = columns.slide_of(row), columns.slide_of(first)
            how = "is also" if own == earlier else f"differs only in case from {earlier!r}"
            text = (
                f"{columns.slide_id} {own!r} {how} in {unit} {first.number}; give each slide its "
            )
            problems.append(_Problem(row.number, text + "own id"))
    return problems


def _look_for_files(slides: list[Slide]) -> dict[str, _Looked]:
    """Each slide's file, by path."""
    paths = sorted({slide.path for slide in slides if slide.path})
    _check_buckets(paths)
    chunks = [paths[start : start + _A_TASK] for start in range(0, len(paths), _A_TASK)]
    with ThreadPoolExecutor(_CHECKS_AT_ONCE) as pool:
        problems = pool.map(lambda chunk: [_look_for_file(path) for path in chunk], chunks)
        return dict(zip(paths, chain.from_iterable(problems), strict=True))


def _check_buckets(paths: list[str]) -> None:
    """Check each bucket once, so that its problem is not reported once a slide."""
    buckets: dict[str, str] = {}
    for path in paths:
        scheme, mark, rest = path.partition("://")
        if mark and scheme in ("s3", "gs"):
            buckets.setdefault(f"{scheme}://{rest.partition('/')[0]}", path)
    for path in buckets.values():
        check_place(path, "slide")


def _look_for_file(path: str) -> _Looked:
    """Whether there is a file at `path`, and its size."""
    from pyarrow.fs import FileType

    if "\0" in path:
        return _Looked("a NUL character, which no path has in it")
    if "://" not in path:  # one look; pyarrow takes several
        local = Path(path).expanduser() if path.startswith("~") else Path(path)
        if local.is_file():
            return _Looked("", local.stat().st_size)
    try:
        system, place = locate(path)
        info = system.get_file_info(place)
    except ConfigError as error:
        return _Looked(str(error))
    except OSError as error:
        return _Looked(f"cannot be reached ({explain_here(error).found})")
    if info.type == FileType.File:
        return _Looked("", info.size or 0)
    if info.type == FileType.NotFound:
        return _Looked("no such file")
    what = "a folder" if info.type == FileType.Directory else "a pipe or a device"
    return _Looked(f"{what}, not a file")


def _message(uri: str, unit: str, problems: list[_Problem]) -> str:
    shown = "; ".join(
        f"{unit} {problem.number}: {problem.text}" for problem in problems[:SHOWN_PROBLEMS]
    )
    more = len(problems) - SHOWN_PROBLEMS
    rest = f"; and {more} more" if more > 0 else ""
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    return f"manifest {uri}: {count}: {shown}{rest}"
