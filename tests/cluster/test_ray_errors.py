# mypy: disable-error-code=no-untyped-call
# Ray's exceptions have no types.
import errno
from pathlib import Path
from typing import Any

import pytest
from ray.exceptions import (
    AuthenticationError,
    ObjectStoreFullError,
    OutOfDiskError,
    OutOfMemoryError,
    RaySystemError,
    RayTaskError,
    WorkerCrashedError,
)

from histo_ray.cluster.ray_errors import explain
from histo_ray.errors import ConfigError, HistoRayError, StoreError


def wrap(cause: Exception) -> RayTaskError:
    """As Ray raises what a task raised: with the traceback of another process as its text."""
    made: Any = RayTaskError
    error: RayTaskError = made(
        "task", "Traceback (most recent call last):\n" + "  File x\n" * 400, cause
    )
    return error


def test_a_full_disk_is_one_line_however_deep_it_lies() -> None:
    full = OSError(errno.ENOSPC, "No space left on device", "/tmp/x")
    for error in (wrap(full), wrap(wrap(full))):
        found = explain(error)
        assert isinstance(found, ConfigError)
        assert str(found).startswith("disk full (No space left on device at /tmp/x); make room")
        assert "\n" not in str(found)
    outer = RuntimeError("Tune")
    outer.__cause__ = wrap(full)
    assert "disk full" in str(explain(outer))


def test_an_error_of_ours_comes_out_as_it_was() -> None:
    ours = StoreError("store S: cannot be written")
    assert explain(wrap(ours)) is ours
    for error in (wrap(ours), wrap(wrap(ours).as_instanceof_cause())):
        raised = error.as_instanceof_cause()  # as `ray.get` raises it
        assert isinstance(raised, RayTaskError)
        assert explain(raised) is ours
    assert isinstance(wrap(ours).as_instanceof_cause(), StoreError)  # but no error of ours


def test_a_full_disk_that_ray_raises_in_a_class_of_both_is_one_line() -> None:
    full = OSError(errno.ENOSPC, "No space left on device", "/tmp/x")
    found = explain(wrap(full).as_instanceof_cause())
    assert str(found).startswith("disk full (No space left on device at /tmp/x); make room")


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OutOfDiskError("local disk is full"), "Ray has no room for what its processes hand on"),
        (ObjectStoreFullError("the object store is full"), "and the disk of its temporary folder"),
        (WorkerCrashedError(), "processes keep dying"),
        (OutOfMemoryError("Task was killed\nnode 1"), r"processes keep dying (Task was killed)"),
        (AuthenticationError("Invalid token"), "Ray: the cluster refuses this token (Invalid"),
        (RaySystemError("x" * 900), "Ray: RaySystemError (System error: xxx"),
    ],
)
def test_what_ray_itself_lacks_is_one_line(error: Exception, told: str) -> None:
    found = explain(error, Path("/tmp/ray/session_1"))
    assert isinstance(found, HistoRayError)
    assert told in str(found)
    assert "\n" not in str(found)
    assert len(str(found)) < 500


def test_a_quota_is_a_full_disk() -> None:
    quota = OSError(errno.EDQUOT, "Disk quota exceeded")
    assert str(explain(wrap(quota))).startswith("disk full (Disk quota exceeded); make room")


def test_what_ray_raises_while_it_handles_the_cause_is_the_cause() -> None:
    failed: Any = RaySystemError("a trial failed")
    failed.__context__ = OutOfMemoryError("Task was killed")
    assert "processes keep dying (Task was killed)" in str(explain(failed))
    outer = RuntimeError("Tune")
    outer.__cause__ = WorkerCrashedError()
    assert "processes keep dying" in str(explain(outer))


def test_the_logs_that_stay_are_named() -> None:
    for error in (WorkerCrashedError(), RaySystemError("x")):
        assert str(explain(error, Path("/tmp/ray/s"))).endswith("its logs are in /tmp/ray/s/logs")
        assert "logs" not in str(explain(error))


def test_a_fault_of_the_program_keeps_its_traceback() -> None:
    error = wrap(KeyError("a"))
    assert explain(error) is error
