"""All tests but the slow and GPU ones: those with Ray beside the others, as they mostly wait.

`python -m infra.run_tests` prints the report of the tests without Ray as they run, then that of
those with it. Exit code 1 if any failed.
"""

import os
import signal
import subprocess
import sys
import tempfile

WITHOUT = ("-n", "2", "--dist", "loadfile", "-m", "not ray and not slow and not gpu")
WITH = ("-m", "ray and not slow and not gpu")


def main() -> int:
    """Run both parts at once."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # even where a shell ignores it
    pytest = [sys.executable, "-m", "pytest", "-q"]
    with tempfile.TemporaryFile() as report:
        with_ray = subprocess.Popen([*pytest, *WITH], stdout=report, stderr=subprocess.STDOUT)
        try:
            print("tests without Ray, and beside them those with Ray:", flush=True)
            without = subprocess.call(
                [*pytest, *WITHOUT], env={**os.environ, "OMP_NUM_THREADS": "1"}
            )
            both = (without, with_ray.wait())
        finally:
            if with_ray.poll() is None:
                with_ray.send_signal(signal.SIGINT)
                with_ray.wait()
            report.seek(0)
            print("tests with Ray:", flush=True)
            sys.stdout.buffer.write(report.read())
            sys.stdout.flush()
    return int(any(both))


if __name__ == "__main__":
    sys.exit(main())
