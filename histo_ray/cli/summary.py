"""What a run prints when it ends: counts, every lost slide with its reason, where things are."""

import json
import sys
from collections import Counter
from dataclasses import asdict

from histo_ray.cli.main import DONE, INTERRUPTED, SOME_FAILED
from histo_ray.cli.printable import one_line
from histo_ray.cli.progress import died
from histo_ray.cluster.run_extract import RunSummary
from histo_ray.extract.resume import STORED
from histo_ray.text import count_of

LISTED = 50
"""Lost slides printed; the run table has them all."""


def print_run(summary: RunSummary, store: str, *, as_json: bool) -> int:
    """Print a run's result to stdout; the exit code it stands for."""
    outcomes = summary.outcomes
    code = SOME_FAILED if outcomes.get("failed") else DONE
    if summary.interrupted:
        code = INTERRUPTED
    if as_json:
        rows = [asdict(row) for row in summary.rows]
        print(
            json.dumps(
                {
                    "run_id": summary.run_id,
                    "store": store,
                    "outcomes": outcomes,
                    "seconds": round(summary.seconds, 3),
                    "tiles_encoded": summary.counts.tiles_encoded,
                    "interrupted": summary.interrupted,
                    "unfinished": summary.unfinished,
                    "record": summary.record.model_dump(mode="json"),
                    "slides": rows,
                },
                indent=2,
            )
        )
        return code
    slides = len({row.slide_id for row in summary.rows})
    encoders = len({row.encoder for row in summary.rows})
    parts = [f"{count} {outcome}" for outcome, count in sorted(outcomes.items())]
    tiles = sum(row.n_tiles for row in summary.rows if row.outcome == "done")
    if not summary.rows:
        print("interrupted before a slide was finished; the same command starts again")
        return code
    size = f"{count_of(slides, 'slide')} x {count_of(encoders, 'encoder')}"
    print(f"{size}: {', '.join(parts)}")
    span = summary.counts.encode_ended - summary.counts.encode_began
    if summary.counts.tiles_encoded and span > 0:
        rate = summary.counts.tiles_encoded / span
        print(f"{tiles} vectors written in {summary.seconds:.1f} s ({rate:.1f} tiles/s encoding)")
        print(f"{summary.record.bottleneck}: {summary.record.hint}")
    if deaths := summary.counts.deaths:
        print(f"{died(deaths)}: what was in work there was asked for again")
    lost = [row for row in summary.rows if row.outcome in ("failed", "empty")]
    for row in lost[:LISTED]:
        print(f"  {row.outcome:<6} {row.slide_id} [{row.encoder}]: {one_line(row.reason)}")
    if len(lost) > LISTED:
        print(f"  ... and {len(lost) - LISTED} more")
    remarks = {row.slide_id: row.reason for row in summary.rows if row.outcome == "done"}
    remarks = {name: remark for name, remark in remarks.items() if remark}
    for slide_id, remark in list(remarks.items())[:LISTED]:
        print(f"  remark {slide_id}: {one_line(remark)}")
    if len(remarks) > LISTED:
        print(f"  ... and {len(remarks) - LISTED} more slides with a remark")
    kept = Counter(row.reason for row in summary.rows if row.outcome == "skipped")
    for reason, count in sorted(kept.items()):
        if reason != STORED:
            print(f"{count_of(count, 'partition')} {reason}; --replace-changed makes anew")
    print(f"store {store}, run table runs/{summary.run_id}.parquet")
    if summary.interrupted:
        left = count_of(summary.unfinished, "slide")
        print(
            f"interrupted with {left} unfinished: the same command again finishes what is missing",
            file=sys.stderr,
        )
    return code
