"""Estimate of whether work is done before Ray would have started.

Encoding takes as long on Ray as in one process: the cores, or the one GPU, are the same. What Ray
gains is that processes read on all cores, where threads wait for Python's lock, so only the time of
reading counts, and it is compared with the time that Ray takes to start (docs/decisions/0021).
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from histo_ray.config import NO_RAY, RunSettings, works_here
from histo_ray.extract.labelled_tiles import TileSetSubject
from histo_ray.extract.plan_processes import count_cores
from histo_ray.extract.subject import Subject
from histo_ray.extract.work import SubjectWork
from histo_ray.types import Slide

RAY_START_S = 6.0
"""Seconds that Ray and its processes take to start, beyond what this process needs as well."""
THREADS_GAIN = 1.4
"""How many times as fast threads of one process read as one of them; on two cores. More cores are
not trusted to bring more."""
LONG_S = 60.0
"""Seconds of reading from which on processes of their own are worth it on one core, too: a file
that crashes a decoder then costs its slide, not the run."""
PLAN_S = 0.4
"""Seconds to find the tissue of one slide."""
READ_BYTES_PER_S = 12e6
"""Bytes of a slide's file whose tiles are read in a second by one core."""
TILES_PER_S = 1500.0
"""Tiles of a labelled set that are decoded in a second by one core."""
OF_SEVERAL_FILES = (".mrxs", ".vms", ".vmu", ".dcm", ".zarr", ".svslide")
"""Formats whose named file does not hold the pixels, or not all of them."""
GPUS = Path("/proc/driver/nvidia/gpus")


def prefers_this_process(settings: RunSettings, todo: Sequence[SubjectWork]) -> bool:
    """Whether no address is given, and this process is done before Ray would be."""
    if "address" in settings.model_fields_set or not works_here(settings.address):
        return False
    if settings.readers or settings.encoder_workers or settings.encoder_gpus:
        return False  # processes are asked for
    ray = sys.modules.get("ray")
    if ray is not None and ray.is_initialized():  # it costs nothing any more
        return False
    return is_small([work.subject for work in todo], settings)


def starts_ray(settings: RunSettings, todo: Sequence[SubjectWork]) -> bool:
    """Whether a run starts Ray or joins one: it has work, and does it not in this process."""
    return bool(todo) and settings.address != NO_RAY and not prefers_this_process(settings, todo)


def is_small(subjects: Sequence[Subject], settings: RunSettings) -> bool:
    """Whether one process has worked on the subjects before Ray would have started.

    Args:
        subjects: What is to be worked on.
        settings: The run.
    """
    if settings.device != "cpu" and count_gpus() > 1:
        return False
    total, cores = 0.0, count_cores()
    for seconds in _estimate_reading(subjects):
        total += seconds
        if outlasts_ray_start(total, cores):
            return False
    return True


def outlasts_ray_start(reading_s: float, cores: int) -> bool:
    """Whether reading by threads takes longer than starting Ray and reading on all cores. Pure.

    Args:
        reading_s: Seconds to read everything on one core.
        cores: Cores of this machine.
    """
    cores = max(cores, 1)
    saved_s = reading_s / min(cores, THREADS_GAIN) - reading_s / cores
    return reading_s >= LONG_S or saved_s > RAY_START_S


def count_gpus() -> int:
    """Number of NVIDIA GPUs of this machine, without asking a library that takes seconds."""
    try:
        return len(list(GPUS.iterdir()))
    except OSError:
        return 0


def _estimate_reading(subjects: Sequence[Subject]) -> Iterator[float]:
    """Seconds to read each subject on one core; infinite where it is not known."""
    for subject in subjects:
        if isinstance(subject, TileSetSubject):
            away = any("://" in path for path in subject.tiles.paths[:1])
            yield float("inf") if away else len(subject.tiles) / TILES_PER_S
        elif isinstance(subject, Slide):
            yield PLAN_S + _count_bytes(subject.path) / READ_BYTES_PER_S
        else:
            yield float("inf")


def _count_bytes(path: str) -> float:
    """Size of a slide's local file; infinite where it lies elsewhere or in several files."""
    if "://" in path or PurePosixPath(path.lower()).suffix in OF_SEVERAL_FILES:
        return float("inf")
    try:
        return Path(path).stat().st_size
    except OSError:
        return 0.0  # it fails at once
