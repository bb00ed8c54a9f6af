import errno
from pathlib import Path
from typing import Any

import pytest
from ray.exceptions import OutOfDiskError, RayTaskError, WorkerCrashedError

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


def as_raised(error: RayTaskError) -> Exception:
    """The error as `ray.get` raises it: of its cause's class, too."""
    raised: Exception = error.as_instanceof_cause()  # type: ignore[no-untyped-call]
    return raised


def test_an_error_of_ours_comes_out_as_it_was() -> None:
    ours = StoreError("store S: cannot be written")
    assert explain(wrap(ours)) is ours
    for error in (wrap(ours), wrap(as_raised(wrap(ours)))):
        raised = as_raised(error)
        assert isinstance(raised, RayTaskError)
        assert explain(raised) is ours
    assert isinstance(as_raised(wrap(ours)), StoreError)  # but no error of ours


def test_a_full_disk_that_ray_raises_in_a_class_of_both_is_one_line() -> None:
    full = OSError(errno.ENOSPC, "No space left on device", "/tmp/x")
    found = explain(as_raised(wrap(full)))
    assert str(found).startswith("disk full (No space left on device at /tmp/x); make room")


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (OutOfDiskError("local disk is full"), "Ray has no room for what its processes hand on"),
        (WorkerCrashedError(), "processes keep dying"),
    ],
)
def test_what_ray_itself_lacks_is_one_line(error: Exception, told: str) -> None:
    found = explain(error, Path("/tmp/ray/session_1"))
    assert isinstance(found, HistoRayError)
    assert told in str(found)
    assert "\n" not in str(found)


def test_a_fault_of_the_program_keeps_its_traceback() -> None:
    error = wrap(KeyError("a"))
    assert explain(error) is error
