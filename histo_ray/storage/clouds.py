"""Object stores by pyarrow: timeouts, retries and credentials.

pyarrow reads AWS keys, session tokens and profiles by itself; the endpoint and the region are
passed here, because releases of pyarrow differ in which of their variables they look at. Requests
that fail on the way, time out, are throttled or end with 5xx are repeated by the SDK below
pyarrow, after pauses that double; refusals (403, 404) are not.
"""

import os
import socket
from datetime import timedelta
from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple

from pyarrow import fs

Pairs = tuple[tuple[str, str], ...]


class Patience(NamedTuple):
    """Timeouts and retries of requests to an object store."""

    repeats: int
    """Tries of one request: the first at once, then after 0.05 s, 0.1 s, 0.2 s, ..."""
    connect_s: float
    silence_s: float
    """How long a response, or its next byte, may take."""
    gs_limit_s: int
    """On Google's, where not attempts but seconds are counted."""


WORK = Patience(repeats=11, connect_s=5, silence_s=10, gs_limit_s=60)
"""A minute of errors passes unnoticed, and three of silence."""
HURRY = Patience(repeats=5, connect_s=2, silence_s=3, gs_limit_s=8)
"""Before work starts, so that a wrong address is reported within seconds; some retries are made."""

METADATA_SERVER = ("169.254.169.254", 80)
"""Where an EC2 instance asks for its role."""
_SOURCES = (
    "AWS_ACCESS_KEY_ID",
    "AWS_PROFILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)


def open_s3(bucket: str, hurried: bool = False) -> fs.FileSystem:
    """S3 or a compatible store, configured by the usual AWS environment; one client a process."""
    patience = HURRY if hurried else WORK
    return _open_s3(_environment("AWS_"), tuple(_options(bucket).items()), patience)


def open_gs(hurried: bool = False) -> fs.FileSystem:
    """Google Cloud Storage, configured by the usual Google environment."""
    return _open_gs(_environment("GOOGLE_", "CLOUD"), (HURRY if hurried else WORK).gs_limit_s)


def names_credentials() -> bool:
    """Whether this machine, or its role, has credentials for S3."""
    if any(os.environ.get(name) for name in _SOURCES):
        return True
    home = Path("~/.aws").expanduser()
    places = [
        os.environ.get("AWS_SHARED_CREDENTIALS_FILE", home / "credentials"),
        os.environ.get("AWS_CONFIG_FILE", home / "config"),
    ]
    return any(Path(place).is_file() for place in places) or _has_role()


def _environment(*prefixes: str) -> Pairs:
    return tuple(sorted(item for item in os.environ.items() if item[0].startswith(prefixes)))


@lru_cache(maxsize=16)
def _open_gs(asked_by: Pairs, limit_s: int) -> fs.FileSystem:
    del asked_by  # as below
    return fs.GcsFileSystem(retry_time_limit=timedelta(seconds=limit_s))


@lru_cache(maxsize=16)
def _open_s3(asked_by: Pairs, options: Pairs, patience: Patience) -> fs.FileSystem:
    del asked_by  # pyarrow reads it by itself; other keys are another client
    if not names_credentials():  # the SDK would wait for the metadata server again and again
        os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
    return fs.S3FileSystem(
        **dict(options),
        # pyarrow's own default, AwsStandardS3RetryStrategy, repeats 100 times in a client's life:
        # the SDK takes each from a budget that is refilled by successes, which Arrow never reports.
        retry_strategy=fs.AwsDefaultS3RetryStrategy(max_attempts=patience.repeats),
        connect_timeout=patience.connect_s,
        request_timeout=patience.silence_s,
        allow_delayed_open=True,  # a small object is one PUT, not an upload in parts
    )


def _options(bucket: str) -> dict[str, str]:
    """Endpoint and region."""
    options: dict[str, str] = {}
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    if endpoint:
        scheme, mark, host = endpoint.partition("://")
        options["scheme"] = scheme if mark else "https"
        options["endpoint_override"] = (host if mark else endpoint).rstrip("/")
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    region = region or (None if endpoint else _bucket_region(bucket))
    if region:
        options["region"] = region
    return options


@cache
def _bucket_region(bucket: str) -> str | None:
    """Region of an AWS bucket by asking AWS; None leaves it to the profile or AWS's default."""
    try:
        return str(fs.resolve_s3_region(bucket))
    except OSError:
        return None


@cache
def _has_role() -> bool:
    """Whether there is a metadata server to ask for a role."""
    if os.environ.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true":
        return False
    try:
        socket.create_connection(METADATA_SERVER, timeout=1).close()
    except OSError:
        return False
    return True
