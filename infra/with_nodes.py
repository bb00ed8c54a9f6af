"""Wait until a Ray cluster is as large as asked for, then run a job file on it.

`python infra/with_nodes.py --cpus 64 --gpus 2 jobs/extract.py run.toml`. A run begins with the
nodes that are there, and a cluster that grows on demand begins with none. With
--cpus or --gpus the autoscaler is told to start that many, and told to let go when the job ends.
The cluster is the one that this Ray job runs in, or that `RAY_ADDRESS` names.
"""

import argparse
import logging
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

import ray
from ray.autoscaler.sdk import request_resources

TOO_FEW = 2
"""Exit code, as of any job that could not start."""
INTERRUPTED = 130


def main(argv: list[str] | None = None) -> int:
    """Return the job's exit code, or 2 if the nodes did not come."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--nodes", type=int, default=1, help="wait for so many (default 1)")
    parser.add_argument("--cpus", type=int, default=0, help="ask the autoscaler for so many")
    parser.add_argument("--gpus", type=int, default=0, help="ask the autoscaler for so many")
    parser.add_argument("--accelerator-type", help="kind of these GPUs, as Ray names it: A100, ...")
    parser.add_argument("--wait-s", type=float, default=900, help="how long to wait (default 900)")
    parser.add_argument("job", nargs=argparse.REMAINDER, help="job file and what it is given")
    args = parser.parse_args(argv)
    if not args.job:
        parser.error("no job file; add one, as in: jobs/extract.py run.toml")
    asked = bool(args.cpus or args.gpus)
    try:
        if not wait_for_nodes(
            args.nodes, args.cpus, args.gpus, args.wait_s, kind=args.accelerator_type
        ):
            return TOO_FEW
        ray.shutdown()
        return run_job([sys.executable, *args.job])
    except KeyboardInterrupt:
        return INTERRUPTED
    finally:
        if asked:
            ray.init(log_to_driver=False, logging_level=logging.ERROR, ignore_reinit_error=True)
            request_resources(num_cpus=0, bundles=[])
            ray.shutdown()


def wait_for_nodes(
    nodes: int, cpus: int, gpus: int, wait_s: float, kind: str | None = None
) -> bool:
    """Ask for CPUs and GPUs, and wait; whether all came within `wait_s` seconds.

    With each GPU a core is asked for, which launches the work of its encoder.

    Args:
        nodes: Nodes to wait for.
        cpus: CPUs to ask for.
        gpus: GPUs to ask for.
        wait_s: How long.
        kind: Kind of the GPUs; others do not count.
    """
    bundle = {"GPU": 1.0, "CPU": 1.0}
    if kind:
        bundle[f"accelerator_type:{kind}"] = 0.001  # as Ray asks for it itself
    deadline = time.monotonic() + wait_s
    found = has_cpus = has_gpus = 0
    told = False
    while time.monotonic() < deadline:
        try:
            if not ray.is_initialized():
                ray.init(log_to_driver=False, logging_level=logging.CRITICAL)
            if not told and (cpus or gpus):
                request_resources(num_cpus=cpus, bundles=[bundle] * gpus)
            told = True
            alive = [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
            has = ray.cluster_resources()  # type: ignore[no-untyped-call]
        except (ConnectionError, RuntimeError, ValueError):  # the head is not there yet
            ray.shutdown()
            time.sleep(1)
            continue
        found = len(alive)
        has_cpus, has_gpus = int(has.get("CPU", 0)), int(has.get("GPU", 0))
        if kind:
            offers = [node["Resources"] for node in alive]
            has_gpus = int(sum(o.get("GPU", 0) for o in offers if f"accelerator_type:{kind}" in o))
        if found >= nodes and has_cpus >= cpus and has_gpus >= gpus:
            tell(f"{found} nodes, {has_cpus} CPUs, {has_gpus} GPUs")
            return True
        time.sleep(1)
    tell(
        f"{found} of {nodes} nodes, {has_cpus} of {cpus} CPUs, {has_gpus} of {gpus} GPUs after "
        f"{wait_s:g} s; see why the others did not start, or wait longer"
    )
    return False


def run_job(command: list[str]) -> int:
    """Run a command and return its exit code, which it also has when it is stopped.

    Who stops a job tells its whole process group (a terminal, `ray job stop`, SLURM): the command
    has been told then, and this process only waits for it.
    """
    stops = (signal.SIGINT, signal.SIGTERM)
    with subprocess.Popen(command) as job:
        before = {number: signal.signal(number, _wait_on) for number in stops}
        try:
            code = job.wait()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
    return 128 - code if code < 0 else code


def _wait_on(_number: int, _frame: FrameType | None) -> None:
    """Not SIG_IGN, which the command would inherit."""


def tell(text: str) -> None:
    """One line to stderr."""
    print(f"{Path(__file__).name}: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
