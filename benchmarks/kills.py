"""Random kills in runs on a cluster of three nodes: `python -m benchmarks.kills [--kills N]`.

A head that gives no CPU and two nodes of one CPU each, with network addresses of their own where
this machine allows. Each trial extracts the same slides into a new store, kills one thing at a
random moment of the work, replaces a node or the whole cluster if that is what died, and runs the
same command again. Every vector must then be that of an undisturbed run, bit by bit. One line of
JSON a trial on stdout; a Markdown table at the end on stderr. `--first` goes on where a run ended.
"""

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from histo_ray.store.run_tables import list_runs
from histo_ray.store.store import open_store
from testing.extraction_runs import (
    await_work,
    processes,
    run,
    title_of,
    tree,
    watch,
    write_slides,
)
from testing.raylets import RayCluster, ray_cluster

NODES = 2
WORKERS = "Reader", "EncoderWorker"
ROUND = (
    *("reader", "encoder", "node", "driver", "reader"),
    *("encoder", "node", "driver", "node", "head"),
)
"""What the trials kill, in turn: the head once in ten."""
Vectors = dict[tuple[str, str], bytes]


@dataclass(frozen=True)
class Trial:
    """One kill and what became of the store."""

    number: int
    kind: str
    after_s: float
    """From the first sign of work."""
    doing: str
    code: int
    """Exit code of the disturbed command; negative: killed."""
    told: str
    """Its last line."""
    seconds: float
    """Seconds of both commands together."""
    lost_s: float
    """Both commands' seconds of work, less those of an undisturbed run."""
    rerun_code: int
    missing: int
    doubled: int
    differing: int
    problems: int
    """That `verify` found."""


def main() -> int:
    """Return 1 if anything was lost."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--first", type=int, default=0, help="number of the first trial")
    parser.add_argument("--only", choices=sorted(set(ROUND)), help="kill nothing but these")
    parser.add_argument(
        "--work", type=Path, help="folder for slides and stores; default: a new one"
    )
    args = parser.parse_args()
    work = args.work or Path(tempfile.mkdtemp(prefix="kills-"))
    trials: list[Trial] = []
    with ray_cluster(work) as cluster:
        manifest = write_slides(work)
        start(cluster)
        calm = work / "calm"
        driver = run(cluster, manifest, calm)
        await_work(driver)
        code, told, usual_s = watch(driver)
        assert code == 0, told
        expected = read_vectors(calm)
        for number in range(args.first, args.first + args.kills):
            kind = args.only or ROUND[number % len(ROUND)]
            trial = try_once(
                cluster, manifest, work / f"store-{number}", number, kind, expected, usual_s
            )
            trials.append(trial)
            print(json.dumps(asdict(trial)), flush=True)
    print(table(trials, usual_s), file=sys.stderr)
    return int(any(t.missing or t.doubled or t.differing or t.problems for t in trials))


def start(cluster: RayCluster) -> None:
    """The head and its nodes."""
    cluster.start_head()
    for _ in range(NODES):
        cluster.add()


def try_once(
    cluster: RayCluster,
    manifest: Path,
    store: Path,
    number: int,
    kind: str,
    expected: Vectors,
    usual_s: float,
) -> Trial:
    """One kill, the cluster mended, the command again."""
    chance = random.Random(number)
    began = time.monotonic()
    driver = run(cluster, manifest, store)
    await_work(driver)
    at_work = time.monotonic()
    delay_s = chance.uniform(0, 0.9 * usual_s)
    time.sleep(delay_s)
    ended = driver.poll() is not None
    doing = "had ended" if ended else kill(cluster, kind, driver, chance)
    code, told, _ = watch(driver)
    worked_s = time.monotonic() - at_work
    mend(cluster)
    again, _, _ = watch(run(cluster, manifest, store))
    seconds = time.monotonic() - began
    found = read_vectors(store)
    opened = open_store(str(store))
    keys = [(about.encoder.name, about.slide.slide_id) for about in opened.receipts().values()]
    return Trial(
        number=number,
        kind=kind,
        after_s=round(delay_s, 2),
        doing=doing,
        code=code,
        told=told[-600:],
        seconds=round(seconds, 1),
        lost_s=round(worked_s + (last_run_s(store) if code else 0) - usual_s, 1),
        rerun_code=again,
        missing=len(expected.keys() - found.keys()),
        doubled=len(keys) - len(set(keys)),
        differing=sum(found[key] != expected[key] for key in expected.keys() & found.keys()),
        problems=len(opened.verify()[1]),
    )


def kill(
    cluster: RayCluster, kind: str, driver: "subprocess.Popen[str]", chance: random.Random
) -> str:
    """Kill one thing; what it was doing."""
    if kind == "driver":
        driver.send_signal(signal.SIGKILL)
        return "at work"
    if kind == "head":
        assert cluster.head
        cluster.head.kill()
        return "at work"
    if kind == "node":
        node = chance.choice(cluster.workers)
        titles = sorted(title_of(child) for child in tree(node))
        node.kill()
        return ", ".join(title for title in titles if title.startswith(WORKERS)) or "idle"
    found = processes({"reader": "ray::Reader", "encoder": "ray::EncoderWorker"}[kind])
    if not found:
        return "nothing there"
    victim = chance.choice(found)
    doing = title_of(victim)
    victim.kill()
    return doing


def mend(cluster: RayCluster) -> None:
    """Replace what is gone; wait until nothing of the old run is left."""
    for node in [node for node in cluster.workers if not node.alive]:
        cluster.remove(node)
    if cluster.head and not cluster.head.alive:
        cluster.stop()
        start(cluster)
    while len(cluster.workers) < NODES:
        cluster.add()
    deadline = time.monotonic() + 60
    while processes("ray::Reader") or processes("ray::EncoderWorker"):
        if time.monotonic() > deadline:
            raise RuntimeError("processes of a run that has ended are still there after 60 s")
        time.sleep(0.1)


def read_vectors(store: Path) -> Vectors:
    """The bytes of all vectors, by encoder and slide."""
    opened = open_store(str(store))
    return {
        (key.encoder, key.slide_id): opened.bag(
            key.slide_id, key.encoder, key.tiling
        ).embeddings.tobytes()
        for key in opened.list_keys()
    }


def last_run_s(store: Path) -> float:
    """Seconds that the latest run on a store worked, without starting."""
    (record,) = list_runs(str(store), 1).records
    return float(record.work_s)


def table(trials: Sequence[Trial], usual_s: float) -> str:
    """What was killed and what it cost, as Markdown."""
    lines = [
        f"undisturbed: {usual_s:.1f} s of work",
        "| killed | times | at work | lost work, s: median, most | missing | doubled | differing |",
        "|---|---|---|---|---|---|---|",
    ]
    for kind in dict.fromkeys(trial.kind for trial in trials):
        mine = [trial for trial in trials if trial.kind == kind]
        lost = [max(0.0, trial.lost_s) for trial in mine]
        sums = [sum(getattr(t, name) for t in mine) for name in ("missing", "doubled", "differing")]
        at_work = sum(trial.doing not in ("had ended", "nothing there") for trial in mine)
        lines.append(
            f"| {kind} | {len(mine)} | {at_work} | {median(lost):.1f}, {max(lost):.1f} | "
            + " | ".join(str(value) for value in sums)
            + " |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
