"""A bucket on a real S3-speaking server."""

import pytest


@pytest.fixture
def s3_bucket(s3: str) -> str:
    """`s3://slides`, a bucket on a real S3-speaking server process."""
    return "s3://slides"
