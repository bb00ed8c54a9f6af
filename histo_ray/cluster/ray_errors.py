"""What went wrong inside Ray, in one line instead of the tracebacks of several processes."""

from pathlib import Path

from ray.exceptions import (
    AuthenticationError,
    ObjectStoreFullError,
    OutOfDiskError,
    OutOfMemoryError,
    RayError,
    RayTaskError,
    WorkerCrashedError,
)

from histo_ray.errors import ConfigError, HistoRayError
from histo_ray.storage.full_disk import FULL, describe_full

SHOWN = 300


def explain(error: Exception, logs: Path | None = None) -> Exception:
    """The error of ours inside another, or what happened to Ray or to a disk, in one line.

    Args:
        error: As it was raised.
        logs: Folder with Ray's logs, if it stays.

    Returns:
        What to raise instead; the error itself if it is a fault of the program, which needs its
        traceback.
    """
    cause = _find_cause(error)
    if isinstance(cause, HistoRayError):
        return cause
    if isinstance(cause, OSError) and cause.errno in FULL:
        return ConfigError(describe_full(cause))
    where = f"; its logs are in {logs}/logs" if logs else ""
    if isinstance(cause, OutOfDiskError | ObjectStoreFullError):
        return ConfigError(
            "Ray has no room for what its processes hand on: shared memory (/dev/shm) and the disk "
            "of its temporary folder are full; make room there, or set RAY_TMPDIR to a folder on "
            "another disk; the same command finishes what is missing"
        )
    if isinstance(cause, OutOfMemoryError | WorkerCrashedError):
        return HistoRayError(
            f"Ray: processes keep dying ({_first_line(cause)}); is there enough memory? What is "
            f"done stays done, and the same command goes on{where}"
        )
    if isinstance(cause, AuthenticationError):
        return ConfigError(f"Ray: the cluster refuses this token ({_first_line(cause)})")
    if isinstance(cause, RayError) and not isinstance(cause, RayTaskError):
        return HistoRayError(f"Ray: {type(cause).__name__} ({_first_line(cause)}){where}")
    return error


def _find_cause(error: BaseException) -> BaseException:
    """The innermost error that says what happened: of ours, of the system or of Ray."""
    seen: list[BaseException] = []
    now: BaseException | None = error
    while now is not None and now not in seen:
        seen.append(now)
        ours = isinstance(now, HistoRayError) or (isinstance(now, OSError) and now.errno in FULL)
        if ours and not isinstance(now, RayTaskError):  # which is of its cause's class, too
            return now
        inner = getattr(now, "cause", None) or now.__cause__
        if inner is None and type(now).__module__.startswith("ray."):
            inner = now.__context__  # Ray raises anew while it handles what was raised
        now = inner if isinstance(inner, BaseException) else None
    named = [one for one in seen if isinstance(one, RayError) and not isinstance(one, RayTaskError)]
    return named[-1] if named else error


def _first_line(error: BaseException) -> str:
    lines = [" ".join(line.split()) for line in str(error).splitlines() if line.strip()]
    return (lines or [type(error).__name__])[0][:SHOWN]
