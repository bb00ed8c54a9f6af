"""A disk that is full, in one line."""

import errno

FULL = (errno.ENOSPC, errno.EDQUOT)
"""Errors of the system where a disk is full."""


def describe_full(error: OSError) -> str:
    """Describe a disk that is full, and what to do."""
    name = f" at {error.filename}" if error.filename else ""
    return (
        f"disk full ({error.strerror}{name}); make room in the store, and in the temporary folder "
        "(TMPDIR, RAY_TMPDIR), and the same command finishes what is missing"
    )
