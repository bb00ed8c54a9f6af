"""Cross-validation of every task: units of work that can be done in any order, anywhere.

A prepared run lays out its work as jobs, each of which has many units. A unit reads shared inputs
and returns one table, a *piece*, which is written at once. So a run that was killed goes on with
the pieces that are missing, wherever it is continued, and ends in the same tables.

Where units are done is decided by a `Spread`: `run_here` does them one after another in this
process, `cluster.run_evaluate` spreads them with Ray. All of them leave the same bits.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import replace

from threadpoolctl import threadpool_limits

from histo_ray.evaluate.evaluation_record import EvaluationRecord
from histo_ray.evaluate.events import RunHere, Scoring
from histo_ray.evaluate.jobs import (
    Host,
    Inputs,
    PreparedRun,
    Progress,
    Report,
    Spread,
    Tell,
    Unit,
    UnitJob,
    Work,
)
from histo_ray.evaluate.run_once import Evaluation, find_done, run_once
from histo_ray.store.tables import PIECES, TableFolder

START_RAY_S = 6.0
"""What starting Ray on this machine costs, measured as 5 to 8 s."""
PIECE_ROWS = 524
"""Rows of a piece, as targets, that can be read on their own."""
SMALL_BYTES = 1 << 26
"""Shared inputs above this are spread without a trial: one unit alone may take minutes."""


def run_evaluation(prepared: PreparedRun, host: Host) -> Evaluation:
    """Do an evaluation, unless it is done: never twice at once, never a unit twice.

    Raises:
        HistoRayError: A unit refused its inputs, processes kept dying, or the record is damaged.
    """
    return run_once(prepared.folder, host.tell, lambda: cross_validate(prepared, host))


def cross_validate(prepared: PreparedRun, host: Host) -> EvaluationRecord:
    """Do every unit that is missing, write the tables and the record."""
    folder = prepared.folder
    pieces = folder.child(PIECES)
    caveats = prepared.find_caveats()
    prepared.tell_inputs(host.tell)
    began = time.monotonic()
    for job in prepared.list_jobs(pieces):
        run_job(job, host.spread, host.report)
    made = find_done(folder)
    if made is not None:  # by a process that no lock held up; its pieces are gone
        return made
    host.tell(Scoring())
    record = prepared.write_tables(pieces, caveats, began)
    folder.write_note("run", record.model_dump(mode="json"))
    return record


def run_job(job: UnitJob, spread: Spread, report: Progress = lambda done, total: None) -> None:
    """Do the units of a job whose pieces are missing.

    Args:
        job: All units.
        spread: Does them.
        report: Called with (units done, units in all) when one ends.
    """
    todo, total = missing(job.pieces, job.units), len(job.units)
    done = total - len(todo)
    report(done, total)

    def count() -> None:
        nonlocal done
        done += 1
        report(done, total)

    if todo:
        spread(replace(job, units=todo), count)


def missing(pieces: TableFolder, units: Sequence[Unit]) -> list[Unit]:
    """List the units whose pieces are not there."""
    there = set(pieces.names())
    return [unit for unit in units if f"{unit.piece}.parquet" not in there]


def do_unit(pieces: TableFolder, work: Work, unit: Unit, inputs: Inputs) -> None:
    """Do one unit and write its piece.

    Linear algebra gets one thread wherever it is done, so that sums are added up in the same order.
    """
    with threadpool_limits(1):
        table = work(unit, inputs)
    pieces.write(unit.piece, [table], table.schema, PIECE_ROWS, plain=table.column_names)


def run_here(job: UnitJob, report: Report) -> None:
    """Do every unit in this process, one after another; a `Spread`.

    Where settings compete, none is stopped early: the one that is selected is the one with the best
    inner score of all, which early stopping (ASHA) finds unless it has stopped
    that very one for a slow start.
    """
    for unit in job.units:
        do_unit(job.pieces, job.work, unit, take_inputs(job, unit))
        report()


def spread_if_worth(elsewhere: Spread, tell: Tell) -> Spread:
    """Make a `Spread` that does small jobs in this process, and leaves large ones to another.

    The first units are done and timed here. As soon as what is left would take longer than starting
    Ray, the rest is spread; what was done stays done. A unit counts as its shortest so far, by the
    clock or by this process's time, whichever is less: the first one imports modules, and other
    programs on the machine hold up Ray as well.

    Args:
        elsewhere: Does what is too large.
        tell: Told once that a job is done here.
    """
    told = False

    def spread(job: UnitJob, report: Report) -> None:
        nonlocal told
        if job.input_bytes > SMALL_BYTES or job.needs.gpus:
            elsewhere(job, report)
            return
        shortest = math.inf
        for done, unit in enumerate(job.units, 1):
            began, began_cpu = time.monotonic(), time.process_time()
            do_unit(job.pieces, job.work, unit, take_inputs(job, unit))
            report()
            took = min(time.monotonic() - began, time.process_time() - began_cpu)
            shortest = min(shortest, took)
            left = job.units[done:]
            expected = len(left) * shortest
            if (shortest if done == 1 else expected) > START_RAY_S:
                elsewhere(replace(job, units=left), report)
                return
            if not told and (done > 1 or not left):
                tell(RunHere(expected, START_RAY_S))
                told = True

    return spread


def take_inputs(job: UnitJob, unit: Unit) -> Inputs:
    """Take the shared inputs that a unit reads."""
    return {name: job.inputs[name] for name in unit.inputs}
