"""An S3 endpoint that misbehaves: passes requests on to a real server, but for some.

`python -m testing.fault_proxy UPSTREAM [JSON of Faults]` prints its address and serves until
killed. `PUT /-/faults` changes the faults; `GET /-/counts` says how many requests there were, of
which method, and how many met which fault.
Chance is seeded by a request's number, so the shares hold whatever the order of threads.
"""

import contextlib
import http.client
import json
import random
import re
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from urllib.parse import urlsplit

CONTROL = "/-/"
REFUSALS = {
    "server_error": (500, "InternalError"),
    "lost_answer": (500, "InternalError"),
    "slow_down": (503, "SlowDown"),
    "forbidden": (403, "AccessDenied"),
    "no_bucket": (404, "NoSuchBucket"),
}
_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "server", "date"}
"""Headers that belong to one connection."""
_NOT_SENT_ON = {"expect", "transfer-encoding", "content-length"}


@dataclass(frozen=True)
class Faults:
    """What goes wrong. Shares are of requests, and exclude each other."""

    seed: int = 0
    latency_s: float = 0.0
    """Delay of every response."""
    server_error: float = 0.0
    """Share that gets a 500."""
    lost_answer: float = 0.0
    """Share carried out that gets a 500 all the same."""
    slow_down: float = 0.0
    """Share that gets a 503 SlowDown."""
    hold: float = 0.0
    """Share without a response: the connection stays open for `hold_s`."""
    hold_s: float = 60.0
    drop: float = 0.0
    """Share whose connection is closed instead of a response."""
    cut: float = 0.0
    """Share of bodies that end in the middle of what their header promises."""
    short: float = 0.0
    """Share of bodies that end in the middle with a header that says so."""
    only: str = ""
    """Pattern of `METHOD path?query`: others are left alone by all of the above but latency."""
    forbidden: str = ""
    """Pattern of `METHOD path?query` that gets a 403 AccessDenied."""
    no_bucket: str = ""
    """The same with 404 NoSuchBucket."""
    region: str = ""
    """Where buckets are: requests signed for another region are sent there with 301."""


class Proxy(ThreadingHTTPServer):
    """The server; one thread a connection."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, upstream: str, faults: Faults) -> None:
        super().__init__(("127.0.0.1", 0), Relay)
        self.upstream = urlsplit(upstream).netloc
        self.faults = faults
        self.counts: Counter[str] = Counter()
        self.lock = threading.Lock()
        self._numbers = count()

    def draw(self, request: str) -> str:
        """Which fault a request meets: the name of a field of `Faults`, or nothing."""
        faults = self.faults
        with self.lock:
            number = next(self._numbers)
            self.counts["requests"] += 1
            self.counts[request.partition(" ")[0]] += 1
        if faults.forbidden and re.search(faults.forbidden, request):
            return "forbidden"
        if faults.no_bucket and re.search(faults.no_bucket, request):
            return "no_bucket"
        if faults.only and not re.search(faults.only, request):
            return ""
        chance = random.Random(f"{faults.seed}/{number}").random()
        for name in ("server_error", "lost_answer", "slow_down", "hold", "drop", "cut", "short"):
            chance -= getattr(faults, name)
            if chance < 0:
                return name
        return ""

    def note(self, fault: str) -> None:
        """Count a fault."""
        with self.lock:
            self.counts[fault] += 1


class Relay(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: Proxy

    def handle_one_request(self) -> None:
        """Serve a request; a client that has gone is no error."""
        try:
            super().handle_one_request()
        except OSError:
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def _serve(self) -> None:
        body = self._read_body()
        if self.path.startswith(CONTROL):
            self._control(body)
            return
        faults, fault = self.server.faults, self.server.draw(f"{self.command} {self.path}")
        time.sleep(faults.latency_s)
        region = self._wrong_region(faults)
        if region:
            self._refuse(301, "PermanentRedirect", {"x-amz-bucket-region": region})
        elif fault in ("hold", "drop"):
            self.server.note(fault)
            time.sleep(faults.hold_s if fault == "hold" else 0)
            self.close_connection = True
        elif fault in REFUSALS:
            self.server.note(fault)
            if fault == "lost_answer":
                self._forward(body)
            self._refuse(*REFUSALS[fault])
        else:
            status, headers, response = self._forward(body)
            if fault and self.command != "HEAD" and status < 300 and response:
                self.server.note(fault)
                half = response[: len(response) // 2]
                self._respond(status, headers, half, len(response) if fault == "cut" else len(half))
                self.close_connection = True
            else:
                self._respond(status, headers, response)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _serve  # noqa: N815

    def _read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        chunks = []
        while size := int(self.rfile.readline().partition(b";")[0], 16):
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():  # trailers
            pass
        return b"".join(chunks)

    def _wrong_region(self, faults: Faults) -> str:
        """The region that the request should have been signed for, if it was not."""
        signed = re.search(
            r"Credential=[^/]+/\d+/([^/]+)/s3", self.headers.get("Authorization", "")
        )
        wrong = faults.region and (not signed or signed[1] != faults.region)
        return faults.region if wrong else ""

    def _forward(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        upstream = http.client.HTTPConnection(self.server.upstream, timeout=60)
        with contextlib.closing(upstream):
            headers = {k: v for k, v in self.headers.items() if k.lower() not in _NOT_SENT_ON}
            upstream.request(self.command, self.path, body, headers)
            response = upstream.getresponse()
            kept = [(k, v) for k, v in response.getheaders() if k.lower() not in _HOP]
            data = response.read()
            if self.command == "HEAD":
                kept.append(("Content-Length", response.getheader("Content-Length", "0")))
            return response.status, kept, data

    def _refuse(self, status: int, code: str, headers: dict[str, str] | None = None) -> None:
        text = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>made up</Message></Error>"
        data = b"" if self.command == "HEAD" else text.encode()
        kind = [("Content-Type", "application/xml"), *(headers or {}).items()]
        self._respond(status, kind, data, len(data))

    def _respond(
        self, status: int, headers: list[tuple[str, str]], body: bytes, length: int | None = None
    ) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        if length is not None or self.command != "HEAD":
            self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def _control(self, body: bytes) -> None:
        with self.server.lock:
            if self.command == "PUT":
                self.server.faults = Faults(**json.loads(body))
                self.server.counts.clear()
            found = dict(self.server.counts)
        self._respond(200, [], json.dumps(found).encode())


def main() -> None:
    """Serve."""
    faults = Faults(**json.loads(sys.argv[2])) if len(sys.argv) > 2 else Faults()
    proxy = Proxy(sys.argv[1], faults)
    print(f"http://127.0.0.1:{proxy.server_address[1]}", flush=True)
    proxy.serve_forever()


if __name__ == "__main__":
    main()
