"""Several tilings in one pass on Ray: the bits of one process, whoever dies."""

import contextlib
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from ray import cloudpickle

from histo_ray.cluster import pool
from histo_ray.cluster.actors import Reader
from histo_ray.cluster.call_values import SharedSubject
from histo_ray.cluster.plan_on_ray import PlanOnRay
from histo_ray.cluster.run_extract import run_extract
from histo_ray.config import ExtractConfig
from histo_ray.extract import run
from histo_ray.extract.dry_run import run_plan
from histo_ray.extract.in_process import open_in_process
from histo_ray.extract.meter import CallResult
from histo_ray.extract.slide import SubjectPlan
from histo_ray.extract.subject import Subject
from histo_ray.store.store import open_store
from tests.conftest import ENCODER

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.usefixtures("shared_ray")]
OTHER = "random:test_resnet?seed=1&px=32"
MIXED = (ENCODER, f"{OTHER}@px=96,mpp=1", f"{ENCODER}@px=112", f"{OTHER}@px=32,mpp=0.25,stride=48")

MakeConfig = Callable[..., ExtractConfig]
ReadVectors = Callable[[Path | str], dict[Any, bytes]]


class DyingReader(Reader):
    """A reader that is killed with tiles in its hands, once in a run."""

    def read(
        self, sent: Subject | SharedSubject, plan: SubjectPlan, span: range, step: int = 0
    ) -> tuple[npt.NDArray[np.uint8], CallResult]:
        block = super().read(sent, plan, span, step)
        with contextlib.suppress(FileExistsError):
            (Path(self._settings.store).parent / "killed").touch(exist_ok=False)
            os.kill(os.getpid(), signal.SIGKILL)
        return block


def test_a_killed_reader_costs_no_tiling_anything(
    make_config: MakeConfig,
    read_vectors: ReadVectors,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calm = make_config(tmp_path / "calm", encoder=MIXED, address="none")
    expected = run.run_extract(calm, open_in_process)
    cloudpickle.register_pickle_by_value(sys.modules[__name__])  # type: ignore[no-untyped-call]
    monkeypatch.setattr(pool, "Reader", DyingReader)
    config = make_config(tmp_path / "store", encoder=MIXED, batch_size=4)
    summary = run_extract(config)
    assert (tmp_path / "killed").exists()
    assert summary.counts.deaths >= 1
    assert read_vectors(config.store) == read_vectors(calm.store)
    assert open_store(config.store).verify()[1] == []
    fates = {(row.slide_id, row.tiling): (row.outcome, row.n_tiles) for row in expected.rows}
    assert {(r.slide_id, r.tiling): (r.outcome, r.n_tiles) for r in summary.rows} == fates
    assert (summary.counts.slides, summary.counts.slides_done) == (6, 6)


def test_a_plan_on_ray_counts_what_a_plan_here_counts(
    make_config: MakeConfig, tmp_path: Path
) -> None:
    config = make_config(tmp_path / "store", encoder=MIXED[:2], address="none")
    here = run_plan(config, PlanOnRay)
    on_ray = run_plan(config.model_copy(update={"address": "auto"}), PlanOnRay)
    assert on_ray.rows == here.rows
    assert (on_ray.source_tiles, on_ray.source_tiles_saved, on_ray.bytes) == (
        here.source_tiles,
        here.source_tiles_saved,
        here.bytes,
    )
