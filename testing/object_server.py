"""Real server processes that speak S3: one that behaves, and one that does not in front of it."""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from pyarrow import fs

from testing.fault_proxy import CONTROL, Faults

START_S = 180
"""Most seconds that a server gets for its first response."""


@contextmanager
def serve_s3(*buckets: str) -> Iterator[str]:
    """A server that holds these buckets in its memory; its address."""
    command = [sys.executable, "-m", "testing.s3_process"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as server:
        try:
            assert server.stdout is not None
            port = int(server.stdout.readline())  # it listens by then
            system = fs.S3FileSystem(
                access_key="dummy",
                secret_key="dummy",
                region="us-east-1",
                scheme="http",
                endpoint_override=f"127.0.0.1:{port}",
                allow_bucket_creation=True,
                request_timeout=START_S,  # on a busy machine its first response is slow
            )
            for bucket in buckets:
                system.create_dir(bucket)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()


class FaultyServer:
    """A fault proxy that runs; `faults` may be changed while it does."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint

    def set_faults(self, **faults: Any) -> None:
        """Put these faults in place of those there were, and count anew."""
        self._ask("PUT", "faults", json.dumps(asdict(Faults(**faults))).encode())

    def counts(self) -> dict[str, int]:
        """How many requests there were, and how many met which fault."""
        return self._ask("GET", "counts")

    def _ask(self, method: str, what: str, body: bytes | None = None) -> dict[str, int]:
        url = f"{self.endpoint}{CONTROL}{what}"
        request = urllib.request.Request(url, body, method=method)
        with urllib.request.urlopen(request, timeout=START_S) as response:
            found: dict[str, int] = json.load(response)
        return found


@contextmanager
def serve_faults(upstream: str, **faults: Any) -> Iterator[FaultyServer]:
    """A fault proxy before `upstream`."""
    command = [sys.executable, "-m", "testing.fault_proxy", upstream, json.dumps(faults)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as proxy:
        try:
            assert proxy.stdout is not None
            yield FaultyServer(proxy.stdout.readline().strip())
        finally:
            proxy.terminate()


def aws_environment(endpoint: str) -> dict[str, str]:
    """This process's environment, less what it says of AWS, with `endpoint` in place of it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return kept | {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "dummy",
        "AWS_SECRET_ACCESS_KEY": "dummy",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
