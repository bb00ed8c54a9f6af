"""An evaluation that is found done, or made once. No Ray: one that is done already needs none."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from histo_ray.errors import StoreError
from histo_ray.evaluate.record import OutcomeNote, TissueNote
from histo_ray.store.claim import hold_claim
from histo_ray.store.tables import TableFolder

PIECES = "pieces"
"""Folder of what is done of an unfinished run."""
DONE = "is done already; nothing was computed"

Say = Callable[[str], None]


@dataclass(frozen=True)
class Evaluation:
    """One evaluation and where it lies."""

    folder: TableFolder
    note: dict[str, Any]
    """What `run.json` says."""

    def describe(self, words: Callable[[dict[str, Any]], list[str]]) -> list[str]:
        """The note in words.

        Args:
            words: Makes lines of a note.

        Raises:
            StoreError: The note lacks what the words need.
        """
        try:
            return words(self.note)
        except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            found = f"{type(error).__name__}: {error}"
            raise _damaged(self.folder, f"its content cannot be shown ({found})") from error


def run_once(folder: TableFolder, say: Say, work: Callable[[], dict[str, Any]]) -> Evaluation:
    """Do an evaluation, unless it is done; never twice at once.

    A process that comes second waits. If the first one dies, it goes on with the pieces that are
    there.

    Args:
        folder: Of the run.
        say: Called with lines worth knowing.
        work: Makes all tables and the note, and returns the note; may be called when another
            process does the same, where the file system knows no locks.

    Raises:
        StoreError: `run.json` is damaged, or of another evaluation.
    """
    done = find_done(folder)
    if done is not None:
        return _finish(folder, done, say, DONE)
    *_, task, run = folder.folder.split("/")

    def tell(holder: str) -> None:
        say(f"run {run} is being made by {holder}; waiting for it")

    with hold_claim(folder.root, f"evaluate-{task}-{run}", tell, wait=True):
        done = find_done(folder)
        if done is not None:
            return _finish(folder, done, say, DONE)
        try:
            note = work()
        except StoreError:
            done = find_done(folder)
            if done is None:
                raise
            return _finish(folder, done, say, "was finished by another process meanwhile")
        folder.delete(PIECES)
        return Evaluation(folder, note)


def find_done(folder: TableFolder) -> dict[str, Any] | None:
    """What `run.json` says; None if the run has not ended.

    Raises:
        StoreError: It is damaged, or of another evaluation.
    """
    note = folder.read_note("run")
    if note is None:
        return None
    *_, task, run = folder.folder.split("/")
    if (note.get("task"), note.get("run_id")) != (task, run):
        raise _damaged(folder, f"it is of {note.get('task')!r}, {note.get('run_id')!r}")
    try:
        (TissueNote if task == "tissue" else OutcomeNote).model_validate(note)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise _damaged(folder, f"{where}: {first['msg'].lower()}") from None
    return note


def _finish(folder: TableFolder, note: dict[str, Any], say: Say, how: str) -> Evaluation:
    """Tidy up what a process that was killed, or came second, may have left."""
    if folder.child(PIECES).names():
        folder.delete(PIECES)
    say(f"run {note['run_id']} {how}")
    return Evaluation(folder, note)


def _damaged(folder: TableFolder, found: str) -> StoreError:
    return StoreError(
        f"{folder.folder}/run.json is not the record of this evaluation: {found}; delete the file, "
        "and the same command evaluates again"
    )
