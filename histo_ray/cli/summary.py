"""What a run prints when it ends: counts, every lost slide with its reason, where things are."""

import sys
from collections.abc import Iterator
from dataclasses import asdict

from histo_ray.cli.exit_codes import DONE, INTERRUPTED, SOME_FAILED
from histo_ray.cli.json_results import print_json
from histo_ray.cli.printable import one_line
from histo_ray.cli.progress import died
from histo_ray.extract.recorder import RunSummary
from histo_ray.store.extraction_record import RunRecord
from histo_ray.text import count_of
from histo_ray.types import Outcome

LISTED = 50
"""Lost slides printed; the run table has them all."""


def print_run(summary: RunSummary, store: str, *, as_json: bool) -> int:
    """Print a run's result to stdout; the exit code it stands for."""
    if as_json:
        print_json(describe_as_json(summary, store))
    elif not summary.rows:
        print("interrupted before a slide was finished; the same command starts again")
    else:
        for line in describe_run(summary):
            print(line)
        print(f"store {store}, run table runs/{summary.run_id}.parquet")
        if summary.interrupted:
            left = count_of(summary.unfinished, "slide")
            again = "the same command again finishes what is missing"
            print(f"interrupted with {left} unfinished: {again}", file=sys.stderr)
    if summary.interrupted:
        return INTERRUPTED
    return SOME_FAILED if summary.outcomes.get(Outcome.FAILED) else DONE


def describe_as_json(summary: RunSummary, store: str) -> dict[str, object]:
    """What `--json` prints. Pure."""
    return {
        "run_id": summary.run_id,
        "store": store,
        "outcomes": summary.outcomes,
        "seconds": round(summary.seconds, 3),
        "tiles_encoded": summary.counts.tiles_encoded,
        "interrupted": summary.interrupted,
        "unfinished": summary.unfinished,
        "record": summary.record.model_dump(mode="json"),
        "slides": [asdict(row) for row in summary.rows],
    }


def describe_run(summary: RunSummary) -> Iterator[str]:
    """Lines on a run that has outcomes. Pure."""
    slides = len({row.slide_id for row in summary.rows})
    encoders = len({row.encoder for row in summary.rows})
    parts = [f"{count} {outcome}" for outcome, count in sorted(summary.outcomes.items())]
    tilings = len({row.tiling for row in summary.rows})
    size = f"{count_of(slides, 'slide')} x {count_of(encoders, 'encoder')}"
    size += f" in {tilings} tilings" if tilings > 1 else ""
    yield f"{size}: {', '.join(parts)}"
    counts = summary.counts
    span = counts.encode_ended - counts.encode_began
    if counts.tiles_encoded and span > 0:
        tiles = sum(row.n_tiles for row in summary.rows if row.outcome == Outcome.DONE)
        rate = counts.tiles_encoded / span
        yield f"{tiles} vectors written in {summary.seconds:.1f} s ({rate:.1f} tiles/s encoding)"
        yield f"{summary.record.bottleneck}: {summary.record.hint}"
    if counts.deaths:
        yield f"{died(counts.deaths)}: what was in work there was asked for again"
    yield from describe_devices(summary.record)
    yield from _list_lost(summary)
    yield from _list_remarks(summary)
    for precision, count in sorted(summary.kept.items()):
        if precision:
            kept = f"{count_of(count, 'partition')} already stored, in {precision}"
            yield f"{kept}; --replace-changed makes anew"


def describe_devices(record: RunRecord) -> Iterator[str]:
    """Lines on what a run's GPUs could not do, and on unlike ones. Pure."""
    for problem in record.left_out:
        yield f"left out, the others went on: {one_line(problem)}"
    if record.smallest_batch:
        yield (
            f"GPU memory holds {record.smallest_batch} tiles at once, not a batch of "
            f"{record.batch_size}: encoded in such steps (--batch-size {record.smallest_batch} "
            "from the start)"
        )
    if len(record.devices) > 1:
        devices = "; ".join(record.devices)
        yield f"encoded on unlike devices ({devices}): each partition names its own"


def _list_lost(summary: RunSummary) -> Iterator[str]:
    lost = [row for row in summary.rows if row.outcome in (Outcome.FAILED, Outcome.EMPTY)]
    for row in lost[:LISTED]:
        where = f"{row.encoder} {row.tiling}".rstrip()
        yield f"  {row.outcome:<6} {row.slide_id} [{where}]: {one_line(row.reason)}"
    if len(lost) > LISTED:
        yield f"  ... and {len(lost) - LISTED} more"


def _list_remarks(summary: RunSummary) -> Iterator[str]:
    done = {row.slide_id: row.reason for row in summary.rows if row.outcome == Outcome.DONE}
    remarks = [(slide_id, remark) for slide_id, remark in done.items() if remark]
    for slide_id, remark in remarks[:LISTED]:
        yield f"  remark {slide_id}: {one_line(remark)}"
    if len(remarks) > LISTED:
        yield f"  ... and {len(remarks) - LISTED} more slides with a remark"
