"""`python -m benchmarks.measured COMMAND ...`: run it; seconds and peak memory as JSON.

A process of its own, because a child's peak resident set begins with that of whoever started it.
"""

import json
import os
import subprocess
import sys
import tempfile
import time


def main() -> None:
    """Run the command of the arguments."""
    began = time.monotonic()
    with tempfile.TemporaryFile("w+") as printed:
        process = subprocess.Popen(sys.argv[1:], stdout=printed)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        printed.seek(0)
        lines = [line for line in printed.read().splitlines() if line.strip()]
    result = {
        "exit_code": process.returncode,
        "seconds": round(seconds, 2),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 2),
        "peak_mib": round(usage.ru_maxrss / 1024),
        "said": lines[-1] if lines else "",
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
