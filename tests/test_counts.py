"""Counts that do not depend on the machine, with bounds: what costs time on every one.

A bound is what is counted today, or a little more where others may add to it; raising one is a
decision, not a repair.
"""

import math
import pickle
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import openslide
import pytest

from histo_ray.cluster.actors import Reader
from histo_ray.config import ExtractConfig
from histo_ray.extract.in_process import open_in_process
from histo_ray.extract.job_group import JobGroup
from histo_ray.extract.open_reader import open_reader
from histo_ray.extract.reader_queue import Backlog
from histo_ray.extract.recorder import RunSummary
from histo_ray.extract.resources import Node, Workers, plan_workers
from histo_ray.extract.run import run_extract
from histo_ray.extract.run_counts import Counts
from histo_ray.extract.work import ReaderJob, SubjectWork
from histo_ray.slides.direct import direct_reader
from histo_ray.slides.direct.jpeg import decode_tile
from histo_ray.slides.manifest import read_manifest
from histo_ray.types import Slide

MODULES_OF_HELP = 125
"""Modules that `histo-ray --help` may import."""
MODULES_OF_PLAN = 700
"""Modules that `plan` and `extract` may import before their work; torch would add 800."""
OPENS_A_SLIDE = 3
"""Times that one extraction may open a slide's file."""
CALLS_A_BIOPSY = 0.21
"""Calls of a reader for a slide of 20 tiles: planned, read and written, as encoders are quick."""
BIOPSIES = 400
IN_BAND_BYTES = 2048
"""Bytes of a block that may travel beside its pixels, which are not copied."""


@dataclass
class Counted:
    """One run of three slides in this process, and what it did."""

    summary: RunSummary
    decodes: Counter[bytes]
    """JPEG tiles decoded, by their bytes."""
    opens: Counter[str] = field(default_factory=Counter)
    """Files opened, by path."""


@dataclass(eq=False)
class Taker:
    """A reader, as far as the backlog looks at it."""

    slide_id: str = ""
    calls: set[Any] = field(default_factory=set)


_HEARD: list[Counter[str]] = []


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    """Count opened files while somebody listens; a hook cannot be taken off again."""
    if _HEARD and event == "open" and isinstance(arguments[0], str):
        _HEARD[-1][arguments[0]] += 1


@pytest.fixture(scope="module")
def counted(
    make_config: Callable[..., ExtractConfig], cohort: Any, tmp_path_factory: pytest.TempPathFactory
) -> Counted:
    config = make_config(
        tmp_path_factory.mktemp("counts") / "store", address="none", manifest=str(cohort.good)
    )
    decodes, opens = Counter[bytes](), Counter[str]()
    decode, make = decode_tile, openslide.OpenSlide.__init__

    def decode_counted(data: bytes, *how: Any) -> Any:
        decodes[data] += 1
        return decode(data, *how)

    def open_counted(self: openslide.OpenSlide, filename: Any) -> None:
        opens[str(filename)] += 1
        make(self, filename)

    sys.addaudithook(_hear)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(direct_reader, "decode_tile", decode_counted)
        patch.setattr(openslide.OpenSlide, "__init__", open_counted)
        _HEARD.append(opens)
        summary = run_extract(config, open_in_process)
        _HEARD.pop()
    return Counted(summary, decodes, opens)


def test_each_jpeg_tile_is_decoded_once(counted: Counted) -> None:
    assert len(counted.decodes) > 20
    assert set(counted.decodes.values()) == {1}


def test_a_slides_file_is_opened_a_few_times(counted: Counted, cohort: Any) -> None:
    slides = {name: n for name, n in counted.opens.items() if name.endswith(".svs")}
    assert len(slides) == 3
    assert max(slides.values()) <= OPENS_A_SLIDE


def test_pixels_of_a_block_travel_without_a_copy(
    make_config: Callable[..., ExtractConfig], cohort: Any, tmp_path: Path
) -> None:
    config = make_config(tmp_path, manifest=str(cohort.good))
    reader = open_reader(config)
    slide = read_manifest(config.manifest)[0]
    plan = reader.plan(slide)
    block = reader.read(slide, plan, range(4))
    buffers: list[pickle.PickleBuffer] = []
    beside = pickle.dumps(block.pixels, protocol=5, buffer_callback=buffers.append)
    reader.close()
    assert sum(buffer.raw().nbytes for buffer in buffers) == 4 * config.tile_px**2 * 3
    assert len(beside) <= IN_BAND_BYTES


@pytest.mark.parametrize(("tiles", "batches"), [(95, 1), (400, 4)])
def test_a_slide_is_planned_once_and_read_in_as_few_calls_as_batches(
    tiles: int, batches: int
) -> None:
    workers = Workers(
        1, 1, 0, 1, 1, 0, 1, batch_size=10, blocks_in_flight=99, batches_a_call=batches
    )
    backlog, reader = Backlog(), Taker()
    backlog.extend([SubjectWork(Slide("S1", "S1.svs", "S1"), ("a",))])
    kinds = Counter[str]()
    while job := backlog.next_job(reader, [reader], 0, workers):
        assert isinstance(job, ReaderJob)
        kinds[job.kind] += 1
        reader.slide_id = "S1"
        if job.kind == "plan":
            found = SimpleNamespace(grid=range(tiles), empty_reason="")
            job.work.begin(cast(Any, found), None, reader)
    fewest = math.ceil(tiles / 10)
    assert kinds["plan"] == 1
    assert kinds["read"] == fewest if batches == 1 else kinds["read"] <= fewest // 2


def test_biopsies_are_read_and_written_in_few_calls() -> None:
    workers = plan_workers(
        [Node(2, 0, 2**32)], ExtractConfig(manifest="m", store="s", encoder=("a",))
    )
    backlog, reader, calls = Backlog(), Taker(), 0
    backlog.extend([SubjectWork(Slide(f"S{n}", "", ""), ("a",)) for n in range(BIOPSIES)])
    while job := backlog.next_job(reader, [reader], 0, workers):
        calls += 1
        jobs = job.jobs if isinstance(job, JobGroup) else [job]
        for each in jobs:
            if each.kind == "plan":
                found = SimpleNamespace(grid=range(20), empty_reason="")
                each.work.begin(cast(Any, found), None, reader)
                backlog.note_plan(each.work, Counts(0))
            if isinstance(job, JobGroup) and each.kind == "plan":
                each.work.take_span(20, reader)
            if not each.work.has_unread() and each.kind != "commit":
                backlog.jobs.append(ReaderJob("commit", each.work, 0, encoder="a"))
            if each.kind == "commit":
                each.work.committed["a"] = 20
        reader.slide_id = jobs[-1].work.slide_id
        backlog.take_finished()
    assert not backlog
    assert calls <= CALLS_A_BIOPSY * BIOPSIES


def test_a_long_read_copies_no_pixel(
    make_config: Callable[..., ExtractConfig],
    cohort: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reader = Reader(make_config(tmp_path, manifest=str(cohort.good)))
    slide = read_manifest(str(cohort.good))[0]
    plan, _ = reader.plan(slide)
    assert plan is not None
    given: list[Any] = []
    read = reader._reader.read

    def read_noted(*arguments: Any) -> Any:
        given.append(arguments[-1])
        return read(*arguments)

    monkeypatch.setattr(reader._reader, "read", read_noted)
    pixels, _ = reader.read(slide, plan, range(10), 4)
    assert [len(part) for part in given] == [4, 4, 2]
    assert all(np.shares_memory(part, pixels) for part in given)


@pytest.mark.parametrize(
    ("work", "most"),
    [
        ("main(['--help'])", MODULES_OF_HELP),
        ("import histo_ray.cli.plan_work, histo_ray.api.extract", MODULES_OF_PLAN),
    ],
)
def test_help_and_plan_import_few_modules(work: str, most: int) -> None:
    code = (
        "import sys; from histo_ray.cli import main\n"
        f"try: {work}\nexcept SystemExit: pass\n"
        "print(len(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout.splitlines()[-1]) <= most
