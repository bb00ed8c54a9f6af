"""Reads a manifest: CSV or Parquet, one row a slide. All its problems come in one message."""

import re
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from histo_ray.errors import ConfigError
from histo_ray.slides.resolution import GREATEST_MPP, LEAST_MPP, is_plausible
from histo_ray.slides.table import TableRow, read_table
from histo_ray.storage import locate
from histo_ray.storage.check import check_place, explain_here
from histo_ray.types import Slide, describe_mark

SHOWN_PROBLEMS = 20
KNOWN_COLUMNS = ("slide_id", "path", "patient_id", "site", "mpp")

_SAFE_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,199}")
_BARCODE = re.compile(r"(TCGA-([A-Z0-9]{2})-[A-Z0-9]{4})(?![A-Z0-9])")
_CHECKS_AT_ONCE = 32
_A_TASK = 16
"""Files that a thread looks for before it is asked again."""


@dataclass(frozen=True, order=True)
class _Problem:
    """One thing wrong, and where."""

    place: int
    text: str


def read_manifest(uri: str) -> list[Slide]:
    """Read and check a manifest.

    Columns: `slide_id` (unique, safe as a file name) and `path` (relative ones start at the
    manifest's folder); optional `patient_id` (default: the first three fields of a TCGA barcode,
    else the slide_id), `site` (default: the barcode's second field, else empty) and `mpp`
    (overrides the file). Further columns are kept in `extra`.

    Args:
        uri: Local path or URI of a `.csv` or `.parquet` file.

    Returns:
        The slides in the order of the rows; every file has been seen to exist.

    Raises:
        ConfigError: All problems, with line (CSV) or row (Parquet) numbers; or that the manifest
            or a bucket with slides cannot be reached.
    """
    check_place(uri, "manifest")
    unit, columns, rows = read_table(uri)
    missing = [name for name in ("slide_id", "path") if name not in columns]
    if missing:
        raise ConfigError(
            f"manifest {uri}: no column {' and no column '.join(missing)} (found: "
            f"{', '.join(columns) or 'none'}), wanted slide_id and path; add it to the header"
        )
    if not rows:
        raise ConfigError(f"manifest {uri}: no rows, wanted one a slide; add the slides")
    problems: list[_Problem] = []
    slides = [_slide(row, uri, problems) for row in rows]
    problems += _repeated_ids(rows, unit)
    problems += _missing_files(rows, slides)
    if problems:
        raise ConfigError(_message(uri, unit, sorted(problems)))
    return slides


def _slide(row: TableRow, uri: str, problems: list[_Problem]) -> Slide:
    """The slide of a row; what is wrong with the row is added to `problems`."""
    slide_id, path = _text(row, "slide_id"), _text(row, "path")
    if row.problem:
        problems.append(_Problem(row.place, row.problem))
    if not slide_id:
        problems.append(_Problem(row.place, "slide_id: empty, wanted a unique name"))
    elif not _SAFE_ID.fullmatch(slide_id):
        shown = slide_id if len(slide_id) <= 60 else f"{slide_id[:60]}..."
        problems.append(
            _Problem(
                row.place,
                f"slide_id {shown!r}: not safe as a file name, wanted at most 200 of ASCII "
                "letters, digits, . _ - and no dot in front",
            )
        )
    if not path:
        problems.append(_Problem(row.place, "path: empty, wanted the slide's file"))
    mpp = row.values.get("mpp")
    number = _number(mpp)
    if mpp not in (None, "") and not is_plausible(number):
        problems.append(
            _Problem(row.place, f"mpp {mpp!r}: wanted a number in {LEAST_MPP:g}..{GREATEST_MPP:g}")
        )
    if problem := describe_mark("synthetic", row.values.get("synthetic")):
        problems.append(_Problem(row.place, problem))
    barcode = _BARCODE.match(slide_id)
    return Slide(
        slide_id=slide_id,
        path=_resolve(path, uri) if path else "",
        patient_id=_text(row, "patient_id") or (barcode[1] if barcode else slide_id),
        site=_text(row, "site") or (barcode[2] if barcode else ""),
        mpp=number,
        extra={key: value for key, value in row.values.items() if key not in KNOWN_COLUMNS},
    )


def _text(row: TableRow, column: str) -> str:
    value = row.values.get(column)
    return "" if value is None else str(value).strip()


def _number(value: Any) -> float | None:
    try:
        return None if value is None or value == "" else float(value)
    except (TypeError, ValueError):
        return None


def _resolve(path: str, manifest: str) -> str:
    """`path` seen from the manifest's folder."""
    if "://" in path or path.startswith(("/", "~")):
        return path
    if "://" in manifest:
        return f"{manifest.rsplit('/', 1)[0]}/{path.removeprefix('./')}"
    return str(Path(manifest).expanduser().absolute().parent / path)


def _repeated_ids(rows: list[TableRow], unit: str) -> list[_Problem]:
    """Ids that are equal, or that differ in case only, which some file systems do not tell."""
    places: defaultdict[str, list[TableRow]] = defaultdict(list)
    for row in rows:
        if slide_id := _text(row, "slide_id"):
            places[slide_id.casefold()].append(row)
    problems = []
    for first, *others in places.values():
        for row in others:
            same = _text(row, "slide_id") == _text(first, "slide_id")
            how = "as" if same else f"but for case as {_text(first, 'slide_id')!r}"
            problems.append(
                _Problem(
                    row.place,
                    f"slide_id {_text(row, 'slide_id')!r}: the same {how} in {unit} "
                    f"{first.place}, wanted unique ids",
                )
            )
    return problems


def _missing_files(rows: list[TableRow], slides: list[Slide]) -> list[_Problem]:
    paths = sorted({slide.path for slide in slides if slide.path})
    _check_buckets(paths)
    parts = [paths[start : start + _A_TASK] for start in range(0, len(paths), _A_TASK)]
    with ThreadPoolExecutor(_CHECKS_AT_ONCE) as pool:
        answers = pool.map(lambda part: [_what_is_wrong(path) for path in part], parts)
        wrong = dict(zip(paths, chain.from_iterable(answers), strict=True))
    return [
        _Problem(row.place, f"path {slide.path!r}: {wrong[slide.path]}")
        for row, slide in zip(rows, slides, strict=True)
        if wrong.get(slide.path)
    ]


def _check_buckets(paths: list[str]) -> None:
    """One look at each bucket, so that what is wrong with it is told once and not once a slide."""
    buckets: dict[str, str] = {}
    for path in paths:
        scheme, mark, rest = path.partition("://")
        if mark and scheme in ("s3", "gs"):
            buckets.setdefault(f"{scheme}://{rest.partition('/')[0]}", path)
    for path in buckets.values():
        check_place(path, "slide")


def _what_is_wrong(path: str) -> str:
    """Why there is no file at `path`; empty if there is one."""
    from pyarrow.fs import FileType

    if "\0" in path:
        return "a NUL character, which no path has in it"
    if "://" not in path and Path(path).is_file():  # one look; pyarrow takes several
        return ""
    try:
        system, place = locate(path)
        kind = system.get_file_info(place).type
    except ConfigError as error:
        return str(error)
    except OSError as error:
        return f"cannot be reached ({explain_here(error).found})"
    if kind == FileType.Directory:
        return "a folder, wanted a file"
    if kind == FileType.NotFound:
        return "no such file"
    return "" if kind == FileType.File else "a pipe or a device, wanted a file"


def _message(uri: str, unit: str, problems: list[_Problem]) -> str:
    shown = "; ".join(
        f"{unit} {problem.place}: {problem.text}" for problem in problems[:SHOWN_PROBLEMS]
    )
    more = len(problems) - SHOWN_PROBLEMS
    rest = f"; and {more} more" if more > 0 else ""
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    return f"manifest {uri}: {count}, wanted none; correct them: {shown}{rest}"
