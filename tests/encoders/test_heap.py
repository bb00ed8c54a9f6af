"""Freed memory that stays: seen in the page faults of processes that take and free large blocks."""

import os
import platform
import subprocess
import sys

import pytest

from histo_ray.encoders.heap import ENVIRONMENT

BLOCK_BYTES = 80 << 20
TURNS = 6
WORK = f"""
import resource
from threading import Thread
import numpy as np
def take_and_free():
    for _ in range({TURNS}):
        np.ones({BLOCK_BYTES}, np.uint8)
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    threads = [Thread(target=take_and_free) for _ in range(2)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
print(faults())
"""
RESTART = "from histo_ray.encoders.heap import restart_keeping_memory\nrestart_keeping_memory()\n"
PAGES = BLOCK_BYTES // os.sysconf("SC_PAGE_SIZE")

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="not glibc's malloc")


def count_faults(code: str, **variables: str) -> int:
    environment = {key: value for key, value in os.environ.items() if "MALLOC" not in key}
    environment |= variables | {"NUMPY_MADVISE_HUGEPAGE": "0"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    return int(done.stdout)


def test_blocks_of_threads_are_taken_from_the_kernel_once() -> None:
    assert count_faults(WORK, **ENVIRONMENT) < 4 * PAGES
    assert count_faults(WORK) > TURNS * PAGES


def test_a_program_that_trains_is_started_anew_so_and_once() -> None:
    assert count_faults("import numpy\n" + RESTART + WORK) < 4 * PAGES


def test_what_the_user_set_stays() -> None:
    assert count_faults(RESTART + WORK, MALLOC_MMAP_THRESHOLD_="1000000") > TURNS * PAGES
