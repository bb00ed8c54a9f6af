"""The engine with a task of two lines; no Ray."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from histo_ray.evaluate import engine
from histo_ray.evaluate.engine import missing, run_here, run_job, spread_if_worth
from histo_ray.evaluate.events import Event, RunHere
from histo_ray.evaluate.jobs import Inputs, Needs, Report, UnitJob
from histo_ray.store.tables import PIECES, TableFolder, open_evaluation


@dataclass(frozen=True)
class SumUnit:
    """Adds up one of several arrays."""

    number: int

    @property
    def piece(self) -> str:
        return f"sum.{self.number}"

    @property
    def inputs(self) -> tuple[str, ...]:
        return (f"array {self.number}",)


def add_up(unit: SumUnit, inputs: Inputs) -> pa.Table:
    assert list(inputs) == list(unit.inputs)  # and nothing that it did not name
    return pa.table({"sum": [float(inputs[unit.inputs[0]].sum())]})


@pytest.fixture
def pieces(tmp_path: Path) -> TableFolder:
    return open_evaluation(str(tmp_path), "toy", "run").child(PIECES)


def make_job(pieces: TableFolder, count: int = 4, needs: Needs | None = None) -> UnitJob:
    inputs = {f"array {number}": np.arange(number + 3.0) for number in range(count)}
    return UnitJob(pieces, add_up, inputs, [SumUnit(n) for n in range(count)], needs or Needs())


def test_missing_units_alone_are_done_and_counted(pieces: TableFolder) -> None:
    job = make_job(pieces)
    engine.do_unit(pieces, add_up, SumUnit(2), {"array 2": np.ones(5)})
    assert [unit.piece for unit in missing(pieces, job.units)] == ["sum.0", "sum.1", "sum.3"]
    counts: list[tuple[int, int]] = []
    run_job(job, run_here, lambda done, total: counts.append((done, total)))
    assert counts == [(1, 4), (2, 4), (3, 4), (4, 4)]
    sums = [pieces.read(unit.piece)["sum"][0].as_py() for unit in job.units]
    assert sums == [3.0, 6.0, 5.0, 15.0]  # the third was there


def test_a_job_that_is_done_is_not_spread(pieces: TableFolder) -> None:
    job = make_job(pieces)
    run_job(job, run_here)

    def refuse(job: UnitJob, report: Report) -> None:
        raise AssertionError("nothing is left")

    run_job(job, refuse)


def note_units(seen: list[str]) -> Callable[[UnitJob, Report], None]:
    def spread(job: UnitJob, report: Report) -> None:
        seen.extend(unit.piece for unit in job.units)
        run_here(job, report)

    return spread


def test_small_work_stays_in_this_process_and_that_is_told_once(pieces: TableFolder) -> None:
    told: list[Event] = []
    elsewhere: list[str] = []
    spread = spread_if_worth(note_units(elsewhere), told.append)
    run_job(make_job(pieces), spread)
    assert not elsewhere
    (event,) = told
    assert isinstance(event, RunHere)
    run_job(make_job(pieces, 5), spread)
    assert len(told) == 1


def test_work_that_turns_out_to_be_long_is_handed_over_and_none_is_done_twice(
    pieces: TableFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "START_RAY_S", 0.0)
    elsewhere: list[str] = []
    counts: list[int] = []
    spread = spread_if_worth(note_units(elsewhere), lambda event: pytest.fail("not told"))
    run_job(make_job(pieces), spread, lambda done, total: counts.append(done))
    assert elsewhere == ["sum.1", "sum.2", "sum.3"]
    assert counts == [0, 1, 2, 3, 4]


def test_a_first_unit_that_imports_modules_sends_small_work_nowhere(
    pieces: TableFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = iter([0.0, 5.0, 5.0, 5.1, 5.1, 99.0, 99.0, 99.1])  # the third is held up by others
    cpu = iter([0.0, 4.0, 4.0, 4.1, 4.1, 4.2, 4.2, 4.3])
    clock = SimpleNamespace(monotonic=lambda: next(seconds), process_time=lambda: next(cpu))
    monkeypatch.setattr(engine, "time", clock)
    monkeypatch.setattr(engine, "START_RAY_S", 6.0)
    elsewhere: list[str] = []
    told: list[Event] = []
    run_job(make_job(pieces), spread_if_worth(note_units(elsewhere), told.append))
    assert elsewhere == []
    (event,) = told
    assert isinstance(event, RunHere)
    assert event.seconds == pytest.approx(0.2)


def test_one_unit_longer_than_the_start_of_ray_is_enough(
    pieces: TableFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = iter([0.0, 6.5])
    cpu = iter([0.0, 6.2])
    clock = SimpleNamespace(monotonic=lambda: next(seconds), process_time=lambda: next(cpu))
    monkeypatch.setattr(engine, "time", clock)
    monkeypatch.setattr(engine, "START_RAY_S", 6.0)
    elsewhere: list[str] = []
    run_job(make_job(pieces), spread_if_worth(note_units(elsewhere), lambda event: None))
    assert elsewhere == ["sum.1", "sum.2", "sum.3"]


@pytest.mark.parametrize("needs", [Needs(gpus=1.0), None])
def test_large_inputs_and_gpus_are_spread_at_once(
    pieces: TableFolder, monkeypatch: pytest.MonkeyPatch, needs: Needs | None
) -> None:
    if needs is None:
        monkeypatch.setattr(engine, "SMALL_BYTES", 10)
    elsewhere: list[str] = []
    run_job(make_job(pieces, needs=needs), spread_if_worth(note_units(elsewhere), lambda e: None))
    assert len(elsewhere) == 4
