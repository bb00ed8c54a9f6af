"""An evaluation that is found done, or made once. No Ray: one that is done already needs none."""

from collections.abc import Callable
from dataclasses import dataclass

from pydantic import ValidationError

from histo_ray.errors import StoreError
from histo_ray.evaluate.evaluation_record import EvaluationRecord
from histo_ray.evaluate.events import Event, FoundState, RunFound, WaitingForRun
from histo_ray.evaluate.tasks.registry import TASKS
from histo_ray.store.claim import hold_claim
from histo_ray.store.tables import PIECES, TableFolder

Tell = Callable[[Event], None]


@dataclass(frozen=True)
class Evaluation:
    """One evaluation and where it lies."""

    folder: TableFolder
    record: EvaluationRecord


def run_once(folder: TableFolder, tell: Tell, work: Callable[[], EvaluationRecord]) -> Evaluation:
    """Do an evaluation, unless it is done; never twice at once.

    A process that comes second waits. If the first one dies, it goes on with the pieces that are
    there.

    Args:
        folder: Of the run.
        tell: Called with what is worth knowing.
        work: Writes all tables and the record, and returns it; may be called when another process
            does the same, where the file system knows no locks.

    Raises:
        StoreError: `run.json` is damaged, or of another evaluation.
    """
    done = find_done(folder)
    if done is not None:
        return _finish(folder, done, tell, FoundState.DONE)
    *_, task, run = folder.folder.split("/")

    def tell_holder(holder: str) -> None:
        tell(WaitingForRun(run, holder))

    with hold_claim(folder.root, f"evaluate-{task}-{run}", tell_holder, wait=True):
        done = find_done(folder)
        if done is not None:
            return _finish(folder, done, tell, FoundState.DONE)
        try:
            record = work()
        except StoreError:
            done = find_done(folder)
            if done is None:
                raise
            return _finish(folder, done, tell, FoundState.FINISHED_BY_ANOTHER)
        folder.delete(PIECES)
        return Evaluation(folder, record)


def find_done(folder: TableFolder) -> EvaluationRecord | None:
    """Read the record of a run; None if the run has not ended.

    Raises:
        StoreError: It is damaged, or of another evaluation.
    """
    content = folder.read_note("run")
    if content is None:
        return None
    *_, task, run = folder.folder.split("/")
    if (content.get("task"), content.get("run_id")) != (task, run):
        raise _damaged(folder, f"it is of {content.get('task')!r}, {content.get('run_id')!r}")
    try:
        return TASKS[task].record.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise _damaged(folder, f"{where}: {first['msg'].lower()}") from None


def _finish(
    folder: TableFolder, record: EvaluationRecord, tell: Tell, state: FoundState
) -> Evaluation:
    """Tidy up what a process that was killed, or came second, may have left."""
    if folder.child(PIECES).names():
        folder.delete(PIECES)
    tell(RunFound(record.run_id, state))
    return Evaluation(folder, record)


def _damaged(folder: TableFolder, found: str) -> StoreError:
    return StoreError(
        f"{folder.folder}/run.json is not the record of this evaluation: {found}; delete the file, "
        "and the same command evaluates again"
    )
