"""Notes on a manifest before a run: patients, and files given twice."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from histo_ray.slides.barcodes import cut_barcode, parse_barcode
from histo_ray.slides.fingerprint import fingerprint_file
from histo_ray.slides.near_ids import describe_near_ids, find_near_ids
from histo_ray.slides.spreadsheet_dates import is_date
from histo_ray.types import Slide

SHOWN = 3
"""Groups of slides in a sentence."""
AT_ONCE = 16
"""Files that are read together; the time goes to waiting for storage."""


def describe_patients(slides: Sequence[Slide]) -> str:
    """As in: `16 slides, 8 patients, 2 of them named by their slide_id`. Pure."""
    patients = {slide.patient_id for slide in slides}
    own = {slide.patient_id for slide in slides if slide.patient_id == slide.slide_id}
    return (
        f"{_count(len(slides), 'slide')}, {_count(len(patients), 'patient')}, "
        f"{len(own)} of them named by their slide_id"
    )


def note_patients(slides: Sequence[Slide], patient_column: str | None) -> Iterator[str]:
    """Notes on ids that may belong to one patient. Pure.

    Args:
        slides: The manifest.
        patient_column: Where patients are from; None where no column names them.
    """
    own = [slide.slide_id for slide in slides if slide.patient_id == slide.slide_id]
    if own and patient_column is None:
        yield (
            f"no column of patients (patient_id, or another name such as case_id or "
            f"bcr_patient_barcode), so {_count(len(own), 'slide')} without a TCGA barcode "
            f"{'is a patient' if len(own) == 1 else 'are patients'} of "
            f"{'its' if len(own) == 1 else 'their'} own: slides of one patient may come into "
            "different folds"
        )
    elif own and len(own) < len(slides):
        yield (
            f"{_count(len(own), 'slide')} without an entry in column {patient_column} "
            f"({_name(own)}): the slide_id stands for the patient"
        )
    yield from _note_other_barcodes(slides)
    patients = {slide.patient_id for slide in slides}
    near = find_near_ids(patients, patients)
    if near:
        yield (
            f"patients: {describe_near_ids(near)}; they are kept apart: write the ids alike where "
            "they are one patient"
        )


def _note_other_barcodes(slides: Sequence[Slide]) -> Iterator[str]:
    """Slides whose TCGA barcode names another patient than the manifest does."""
    other = []
    for slide in slides:
        barcode = parse_barcode(slide.slide_id)
        if barcode is not None and barcode.patient != cut_barcode(slide.patient_id):
            other.append(f"{slide.slide_id} is of {slide.patient_id}")
    if other:
        yield (
            f"{_count(len(other), 'slide')} with the TCGA barcode of another patient than the one "
            f"named ({'; '.join(other[:SHOWN])}{'; ...' if len(other) > SHOWN else ''}): the name "
            "in the manifest holds"
        )


def note_dates(slides: Sequence[Slide]) -> Iterator[str]:
    """Ids that are dates, as spreadsheets write 1-3 or MAR1. Pure."""
    own = {slide.slide_id for slide in slides}
    for what, ids in (
        ("slide_id", own),
        ("patient_id", {slide.patient_id for slide in slides} - own),
    ):
        dates = sorted(name for name in ids if is_date(name))
        if dates:
            yield (
                f"{_count(len(dates), what)} {'looks' if len(dates) == 1 else 'look'} like a date "
                f"({_name(dates)}), which spreadsheets make of ids such as 1-3 or MAR1: compare "
                "with the source, and mark the column as text before it is saved"
            )


def note_repeated_paths(slides: Sequence[Slide]) -> Iterator[str]:
    """Files that several rows name. Pure."""
    by_path: defaultdict[str, list[Slide]] = defaultdict(list)
    for slide in slides:
        if slide.path:
            by_path[slide.path].append(slide)
    yield from _describe("the same path", [some for some in by_path.values() if len(some) > 1])


def note_repeated_files(slides: Sequence[Slide], sizes: Mapping[str, int]) -> Iterator[str]:
    """Files of equal content under several paths.

    Only files of the same size are read, and of these the first and last 64 KiB.

    Args:
        slides: The manifest.
        sizes: Bytes by path.
    """
    by_path = {slide.path: slide for slide in slides}
    by_size: defaultdict[int, list[str]] = defaultdict(list)
    for path in by_path:
        if sizes.get(path, 0):
            by_size[sizes[path]].append(path)
    asked = [path for paths in by_size.values() if len(paths) > 1 for path in paths]
    if not asked:
        return
    with ThreadPoolExecutor(AT_ONCE) as pool:
        marks = dict(zip(asked, pool.map(_mark, asked), strict=True))
    by_mark: defaultdict[str, list[Slide]] = defaultdict(list)
    for slide in slides:
        if marks.get(slide.path):
            by_mark[marks[slide.path]].append(slide)
    groups = [some for some in by_mark.values() if len({slide.path for slide in some}) > 1]
    yield from _describe("files that look the same (size, first and last 64 KiB)", groups)


def _describe(what: str, groups: Sequence[Sequence[Slide]]) -> Iterator[str]:
    """Groups of slides that are one file: those of several patients first, as they do harm."""
    several = [some for some in groups if len({slide.patient_id for slide in some}) > 1]
    one = [some for some in groups if len({slide.patient_id for slide in some}) == 1]
    for found, whose, harm in (
        (several, "of different patients", "one patient may come into training and test"),
        (one, "of one patient", "they count twice in that patient"),
    ):
        if found:
            shown = "; ".join(_name_slides(some) for some in found[:SHOWN])
            more = "; ..." if len(found) > SHOWN else ""
            number = sum(len(some) for some in found)
            yield f"{what} for {number} slides {whose} ({shown}{more}): {harm}; check these rows"


def _name_slides(slides: Sequence[Slide]) -> str:
    return ", ".join(f"{slide.slide_id} of {slide.patient_id}" for slide in slides[:4]) + (
        ", ..." if len(slides) > 4 else ""
    )


def _mark(path: str) -> str:
    try:
        return fingerprint_file(path)
    except OSError:  # told where the slide is opened
        return ""


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def _name(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
