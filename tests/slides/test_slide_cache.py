"""The cache of slides, by processes that really run side by side and are really killed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from histo_ray.errors import SlideError
from histo_ray.slides.local_copy import bring_here
from histo_ray.slides.reader import open_slide
from histo_ray.slides.slide_cache import SlideCache
from histo_ray.storage import locate
from testing.object_server import FaultyServer

GB = 1e-9
"""A byte, in GB."""

OPENER = """
import sys, time
from contextlib import ExitStack
from pathlib import Path
from histo_ray.slides.local_copy import bring_here
from histo_ray.slides.slide_cache import SlideCache
uri, folder, gb = sys.argv[1:4]
with ExitStack() as stack:
    path = bring_here(uri, stack, SlideCache(Path(folder), float(gb)))
    print(path, flush=True)
    sys.stdin.read()
    assert path.read_bytes() == path.read_bytes()[:10] * (path.stat().st_size // 10)
"""


def put(uri: str, data: bytes) -> str:
    system, path = locate(uri)
    with system.open_output_stream(path) as stream:
        stream.write(data)
    return uri


def start_opener(uri: str, folder: Path, limit_bytes: float) -> subprocess.Popen[str]:
    """A process that opens a slide, says where it lies, and keeps it open until its stdin ends."""
    command = [sys.executable, "-c", OPENER, uri, str(folder), str(limit_bytes * GB)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.fixture
def opened() -> Iterator[list[subprocess.Popen[str]]]:
    """Processes that the test need not end."""
    processes: list[subprocess.Popen[str]] = []
    yield processes
    for process in processes:
        process.kill()
        process.communicate()


def bytes_of(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def hold(cache: SlideCache, key: str, size: int) -> Path:
    """Have an entry made and let go of it."""

    def fetch(name: str, path: Path) -> None:
        path.write_bytes(b"x" * size)

    with cache.hold(key, {"a": size}, fetch):
        time.sleep(0.02)  # so that times of use differ
    return cache._folder / key


def test_processes_that_ask_at_once_download_once(
    faulty: FaultyServer, tmp_path: Path, opened: list[subprocess.Popen[str]]
) -> None:
    uri = put("s3://slides/cache/one.dat", b"0123456789" * 300_000)
    faulty.set_faults(latency_s=0.3)
    opened += [start_opener(uri, tmp_path, 1e9) for _ in range(3)]
    paths = {said(process) for process in opened}
    assert len(paths) == 1
    assert faulty.counts()["GET"] == 1, "3 MB are one range"
    for process in opened:
        process.communicate("", timeout=60)
        assert process.returncode == 0


def test_a_process_killed_while_it_downloads_leaves_nothing_that_breaks(
    faulty: FaultyServer, tmp_path: Path, opened: list[subprocess.Popen[str]]
) -> None:
    uri = put("s3://slides/cache/killed.dat", b"0123456789" * 300_000)
    faulty.set_faults(hold=1.0, only="^GET")
    first = start_opener(uri, tmp_path, 1e9)
    deadline = time.monotonic() + 60
    while not faulty.counts().get("hold"):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    waiting = start_opener(uri, tmp_path, 1e9)
    opened += [first, waiting]
    first.send_signal(signal.SIGKILL)
    first.communicate()
    faulty.set_faults()
    path = Path(said(waiting))
    assert path.read_bytes() == b"0123456789" * 300_000
    assert list(tmp_path.iterdir()) == [path.parent]


def test_what_an_ended_download_left_is_removed_when_room_is_needed(tmp_path: Path) -> None:
    (tmp_path / "old.part" / "data").mkdir(parents=True)
    (tmp_path / "old.part" / "data" / "a").write_bytes(b"x" * 600)
    (tmp_path / "other-1-2.gone").mkdir()
    (tmp_path / "other-1-2.gone" / "a").write_bytes(b"x" * 600)
    hold(SlideCache(tmp_path, 1000 * GB), "new", 500)
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_what_was_not_used_for_longest_goes_first_and_the_bound_holds(tmp_path: Path) -> None:
    cache = SlideCache(tmp_path, 1000 * GB)
    for key in ("a", "b", "c"):
        hold(cache, key, 300)
    hold(cache, "a", 300)
    hold(cache, "d", 350)
    assert {path.name for path in tmp_path.iterdir()} == {"a", "c", "d"}
    assert bytes_of(tmp_path) <= 1000
    hold(cache, "e", 900)
    assert [path.name for path in tmp_path.iterdir()] == ["e"]


def test_an_open_slide_is_not_removed_and_a_killed_reader_protects_nothing(
    s3: str, tmp_path: Path, opened: list[subprocess.Popen[str]]
) -> None:
    size = 100_000
    first = put("s3://slides/cache/first.dat", b"0123456789" * (size // 10))
    second = put("s3://slides/cache/second.dat", b"abcdefghij" * (size // 10))
    reader = start_opener(first, tmp_path, 1.5 * size)
    opened.append(reader)
    held = Path(said(reader))
    with ExitStack() as stack:
        cache = SlideCache(tmp_path, 1.5 * size * GB)
        other = bring_here(second, stack, cache)
        assert held.exists(), "open elsewhere: over the bound rather than gone"
        assert bytes_of(tmp_path) == 2 * size
    reader.send_signal(signal.SIGKILL)
    reader.communicate()
    third = put("s3://slides/cache/third.dat", b"ABCDEFGHIJ" * (size // 10))
    with ExitStack() as stack:
        newest = bring_here(third, stack, cache)
        assert set(tmp_path.rglob("*.dat")) == {newest}
        assert not other.exists()


def test_processes_that_press_on_a_small_cache_all_read_their_slides(
    s3: str, tmp_path: Path
) -> None:
    size = 50_000
    uris = [put(f"s3://slides/cache/press-{at}.dat", str(at).encode() * size) for at in range(5)]
    code = """
import random, sys
from contextlib import ExitStack
from pathlib import Path
from histo_ray.slides.local_copy import bring_here
from histo_ray.slides.slide_cache import SlideCache
cache, draw = SlideCache(Path(sys.argv[1]), float(sys.argv[2])), random.Random(int(sys.argv[3]))
for _ in range(40):
    at = draw.randrange(5)
    with ExitStack() as stack:
        path = bring_here(sys.argv[4 + at], stack, cache)
        assert path.read_bytes() == str(at).encode() * 50_000
"""
    arguments = [str(tmp_path), str(3.2 * size * GB)]
    started = [
        subprocess.Popen([sys.executable, "-c", code, *arguments, str(seed), *uris])
        for seed in range(3)
    ]
    assert [process.wait(120) for process in started] == [0, 0, 0]
    assert bytes_of(tmp_path) <= 3.2 * size
    assert not list(tmp_path.glob("*.part"))


def test_a_slide_beyond_the_bound_fails_with_the_remedy(s3: str, tmp_path: Path) -> None:
    uri = put("s3://slides/cache/big.ndpi", b"0123456789" * 100)
    with pytest.raises(SlideError, match=r"more than the 5e-07 GB of the cache.*--cache-gb"):
        open_slide(uri, mpp=0.5, cache=SlideCache(tmp_path, 500 * GB))
    assert bytes_of(tmp_path) == 0


def test_a_failed_download_leaves_nothing(tmp_path: Path) -> None:
    cache = SlideCache(tmp_path, 1)

    def fail(name: str, path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError("the network is gone")

    with pytest.raises(OSError, match="network"), cache.hold("a", {"x/y": 9}, fail):
        raise AssertionError
    assert list(tmp_path.iterdir()) == []


def test_without_a_bound_the_disk_gives_it(tmp_path: Path) -> None:
    cache = SlideCache(tmp_path)
    free = os.statvfs(tmp_path).f_bavail * os.statvfs(tmp_path).f_frsize
    assert 0 < cache._limit() <= max(50e9, free / 2)
