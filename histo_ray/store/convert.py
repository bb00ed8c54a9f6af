"""Convert partitions to the other form; delete nothing whose replacement was not read back.

The order for each partition is: write the new form, read it back from its final place, compare it
with the old one bit by bit, and only then remove the old one. A partition that is found there
already counts as the replacement only after the same comparison.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from histo_ray.errors import BusyError, StoreError, UnreachableError
from histo_ray.store.atomic_write import discard, publish, stage, sweep_staging
from histo_ray.store.catalog import (
    FORMATS,
    Partitions,
    find_form,
    has_form,
    list_in_form,
    list_partitions,
    raise_version,
    read_version,
)
from histo_ray.store.claim import hold_claim
from histo_ray.store.layout import FORMS, Form, partition_path
from histo_ray.store.location import ROOT_FILE, Location, Stamp
from histo_ray.store.parquet import UNREADABLE
from histo_ray.store.partition import Shape, Totals, unreadable
from histo_ray.store.verify import check_partition, is_same_content
from histo_ray.types import PartitionKey, Receipt, TileRows

_REMEDY = "delete that one, and run the command again"


class Conversion(NamedTuple):
    """Outcome of a conversion."""

    written: int
    """Partitions that are there in the form asked for and were not before."""
    dropped: int
    """Second forms of a partition that were removed because the first one holds the same."""
    problems: list[str]
    """A line on each partition that stayed as it was, and why."""

    def check(self) -> int:
        """Refuse a conversion that left partitions as they were; how many were written.

        Raises:
            StoreError: Some were not converted; says which and why.
        """
        if self.problems:
            raise StoreError(
                f"{len(self.problems)} partitions were not converted and stay as they were: "
                + "; ".join(self.problems[:5])
                + (f"; and {len(self.problems) - 5} more" if len(self.problems) > 5 else "")
            )
        return self.written


class _Task(NamedTuple):
    """One partition to be converted."""

    root: Location
    """The store it is in."""
    target: Location
    """The store it shall be in."""
    key: PartitionKey
    form: Form
    """It has."""
    to: Form
    """It shall have."""

    @property
    def source(self) -> Location:
        return self.root.child(partition_path(self.key, self.form))

    @property
    def final(self) -> Location:
        return self.target.child(partition_path(self.key, self.to))


def convert_partitions(
    root: Location,
    to: Form,
    target: Location,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> Conversion:
    """Give all partitions another form, in place or in another store; receipts stay as they are.

    One that cannot be converted stays as it is, and the others are converted all the same.

    Args:
        root: The store they are in.
        to: New form.
        target: Store to write to; `root` itself replaces the old form by the new.
        report: Called with (partitions done, partitions in all).

    Raises:
        StoreError: Another conversion is at work on the store, or it cannot be written.
        UnreachableError: It does not answer.
    """
    in_place = _is_same(root, target)
    with ExitStack() as stack:
        if in_place:
            sweep_staging(root)
            stack.enter_context(_hold_alone(root))
        else:
            raise_version(target, read_version(root))
        found = _list_sources(root, to) if in_place else list_partitions(root)
        tasks = [_Task(root, target, key, form, to) for key, form in sorted(found.items())]
        with ThreadPoolExecutor(2) as pool:
            outcomes = list[str]()
            for outcome in pool.map(_replace if in_place else _copy, tasks):
                outcomes.append(outcome)
                report(len(outcomes), len(tasks))
    return Conversion(
        outcomes.count("written"),
        outcomes.count("dropped"),
        [text for text in outcomes if text not in ("written", "dropped", "there")],
    )


@contextmanager
def _hold_alone(root: Location) -> Iterator[None]:
    """Keep other conversions of the store out."""
    try:
        with hold_claim(root, "convert", lambda holder: None, wait=False):
            yield
    except BusyError as error:
        raise StoreError(
            f"store {root.path}: {error} is converting it; wait until that has ended"
        ) from None


def _is_same(root: Location, target: Location) -> bool:
    """Whether two places are one store, also by links."""
    if not target.system.equals(root.system):
        return False
    if root.local:
        return Path(root.path).resolve() == Path(target.path).resolve()
    return root.path == target.path


def _list_sources(root: Location, to: Form) -> Partitions:
    """Every partition that is there in the other form than `to`, whether or not in `to` as well."""
    (other,) = (form for form in FORMS if form != to)
    return dict.fromkeys(list_in_form(root, other), other)


def _replace(task: _Task) -> str:
    """Convert one partition within its store: `written`, `dropped`, or why it stayed."""
    source, final = task.source, task.final
    before = _look(source, task.form)
    try:
        placed = _write(task)
        problem = find_difference(task, placed)
        if problem and placed:  # ours, just written: the old one stays what the store has
            discard(task.target, final)
        if problem:
            return _explain(task, problem)
        gone = discard(
            task.root,
            source,
            keep=lambda moved: (
                not has_form(task.target, task.key, task.to) or _look(moved, task.form) != before
            ),
        )
    except UnreachableError:
        raise
    except StoreError as error:
        return str(error)
    if not gone:
        return _explain(task, "it was replaced while it was converted; run the command again")
    return "written" if placed else "dropped"


def _copy(task: _Task) -> str:
    """Write one partition into another store: `written`, `there`, or why not."""
    there = find_form(task.target, task.key)
    try:
        placed = there is None and _write(task)
        task = task._replace(to=there or task.to)  # one form of a partition is enough
        problem = find_difference(task, placed)
        if problem and placed:
            discard(task.target, task.final)
    except UnreachableError:
        raise
    except StoreError as error:
        return str(error)
    if problem:
        return _explain(task, problem)
    return "written" if placed else "there"


def _write(task: _Task) -> bool:
    """Write the new form unless something is there; whether it is ours that is there now."""
    if has_form(task.target, task.key, task.to):
        return False
    with stage(task.target) as folder:
        built = folder / f"partition.{task.to}"
        copy_rows(task.source, task.form, built, task.to)
        return publish(built, task.final)


def find_difference(task: _Task, placed: bool) -> str:
    """Why the partition at its final place is not the source, bit by bit; empty if it is.

    The new form is read whole from where it is: every byte under its seal, and every row against
    the digests of vectors, columns and texts in its receipt. So is the source, unless it was just
    copied, when its rows have been held against the same digests already. With receipts that
    say the same the two then hold the same bits.

    Args:
        task: What was to be converted.
        placed: Whether the new form was just copied from the source.
    """
    problems, receipt = check_partition(task.target, task.key, task.to)
    if problems or receipt is None:
        return f"its {task.to} form is damaged ({'; '.join(problems)}); {_REMEDY}"
    if not placed:
        problems, _ = check_partition(task.root, task.key, task.form)
        if problems:
            return f"it is damaged ({'; '.join(problems)}); {_REMEDY}"
    said = FORMATS[task.form].read_receipt(task.source)
    if not is_same_content(said, receipt):
        return (
            f"{task.final.path} is there already, and the two differ (of runs {said.run_id} and "
            f"{receipt.run_id}); delete the one that you do not want"
        )
    return ""


def _explain(task: _Task, problem: str) -> str:
    return f"{task.source.path}: {problem}"


def copy_rows(source: Location, form: Form, built: Path, to: Form) -> None:
    """Write a partition's rows and receipt at a local path in another form.

    Raises:
        StoreError: Its rows are not those that its receipt tells of.
    """
    receipt = FORMATS[form].read_receipt(source)
    encoder = receipt.encoder
    shape = Shape(receipt.slide.slide_id, encoder.dim, encoder.dtype, receipt.text_columns)

    def conclude(totals: Totals) -> Receipt:
        said = Totals(
            receipt.tile_count,
            receipt.vectors_sha256,
            receipt.columns_sha256,
            receipt.texts_sha256,
        )
        if totals != said:
            raise StoreError(
                f"{source.path}: rows differ from the receipt's digests, so the partition is "
                "damaged; delete it and extract the slide again"
            )
        return receipt

    FORMATS[to].write(built, shape, _readable(source, form), conclude)


def _readable(source: Location, form: Form) -> Iterator[TileRows]:
    """Rows of a partition; what its bytes make a reader raise is the store's own error."""
    try:
        yield from FORMATS[form].read_rows(source)
    except UNREADABLE as error:
        raise unreadable(source.path, error) from None


def _look(location: Location, form: Form) -> tuple[int, int] | None:
    """Size and last change of the file that makes a partition count."""
    stamp: Stamp | None = (location.child(ROOT_FILE) if form == "zarr" else location).stamp()
    return None if stamp is None else (stamp.size, stamp.mtime_ns)
