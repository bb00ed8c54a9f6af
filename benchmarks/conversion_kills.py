"""Kills `store convert` at random moments, both ways, and counts what is lost: nothing may be.

    python -m benchmarks.conversion_kills --kills 50

A store of random vectors is converted by the command line in a process of its own, which is
killed (SIGKILL) after a random time. After each kill, and after a conversion to the other form
runs to its end, every partition's receipt and rows are held against those of the start.
"""

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from histo_ray.store.catalog import FORMATS, list_partitions
from histo_ray.store.layout import FORMS, Form, partition_path
from histo_ray.store.partition import Tally, Totals
from histo_ray.store.store import Store, open_store
from testing.partitions import facts_of, rows_of


def read_all(store: Store) -> dict[str, tuple[str, Totals]]:
    """Receipt, and digests of what the rows are now, of every partition by slide."""
    found = {}
    for key, form in list_partitions(store._root).items():
        place, tally = store._root.child(partition_path(key, form)), Tally()
        for rows in FORMATS[form].read_rows(place):
            tally.add(rows)
        found[key.slide_id] = (store.read_receipt(key).model_dump_json(), tally.totals())
    return found


def kill_one(uri: str, to: Form, after_s: float) -> str:
    """Convert in a process that is killed: `killed`, or `ended` where it was quicker."""
    command = [sys.executable, "-m", "histo_ray", "store", "convert", uri, "--to", to]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            process.wait(after_s)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            return "killed"
    return "ended"


def main() -> int:
    """Print one line a kill and what is lost in the end; 1 if anything is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--slides", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    draw = random.Random(args.seed)
    with tempfile.TemporaryDirectory() as folder:
        uri = str(Path(folder) / "store")
        store = open_store(uri, create=True)
        for at in range(args.slides):
            facts = facts_of(f"S{at:04d}", dim=64)
            store.commit(facts.key, facts, rows_of(50, 64, seed=at))
        before, to = read_all(store), 0
        began = time.monotonic()
        store.convert(FORMS[1]).check()
        whole_s = time.monotonic() - began
        done = {"killed": 0, "ended": 0}
        wrong = mixed = 0
        while done["killed"] < args.kills:
            done[kill_one(uri, FORMS[to], draw.uniform(0.5, 2 + whole_s))] += 1
            forms = list(list_partitions(store._root).values())
            mixed += len(set(forms)) > 1
            to = draw.randrange(2)  # the same way again, or the other
            wrong += read_all(store) != before
            if not done["killed"] % 10:
                print(done, "mixed", mixed, "wrong", wrong, flush=True)
        for form in FORMS:
            store.convert(form).check()
            wrong += read_all(store) != before
        checked, problems = store.verify()
        print(
            f"{done['killed']} kills ({mixed} left both forms in the store), {args.slides} "
            f"partitions before, {checked} after; wrong or lost after a kill: {wrong}; "
            f"problems by verify: {len(problems)}"
        )
    return 1 if wrong or problems else 0


if __name__ == "__main__":
    sys.exit(main())
