"""Verb `histo-ray runs`."""

import argparse
import json
from datetime import datetime
from typing import TYPE_CHECKING

from histo_ray.cli.exit_codes import DONE, SOME_FAILED
from histo_ray.cli.json_results import print_json
from histo_ray.cli.printable import one_line
from histo_ray.cli.progress import format_seconds
from histo_ray.deferred import deferred
from histo_ray.errors import ConfigError

if TYPE_CHECKING:
    from histo_ray.store.extraction_record import RunRecord

list_runs = deferred("histo_ray.store.run_tables:list_runs")
read_run = deferred("histo_ray.store.run_tables:read_run")
LAST = 20
LISTED = 50
"""Lost slides printed of one run; --json has them all."""
HEADINGS = ("run", "began (UTC)", "took", "state", "slides", "outcomes", "tiles/s", "bottleneck")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's flags."""
    parser.add_argument("store", help="folder or URI of the store")
    parser.add_argument("run_id", nargs="?", help="show this run, with the slides that it lost")
    parser.add_argument(
        "--last", type=int, default=LAST, metavar="N", help=f"list so many runs (default: {LAST})"
    )
    parser.add_argument("--json", action="store_true", help="print as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """List the runs of a store, or show one; 1 if a run's table cannot be read."""
    if args.last < 1:
        raise ConfigError(f"--last {args.last}: must be 1 or more")
    return _show(args) if args.run_id else _list(args)


def _list(args: argparse.Namespace) -> int:
    runs = list_runs(args.store, args.last)
    code = SOME_FAILED if runs.problems else DONE
    if args.json:
        records = [record.model_dump(mode="json") for record in runs.records]
        print_json({"runs": records, "problems": runs.problems})
        return code
    for problem in runs.problems:
        print(one_line(problem))
    if not runs.records:
        if not runs.problems:
            print("no run is recorded in the store")
        return code
    lines = [HEADINGS, *map(_cells, runs.records)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
    for line, record in zip(lines, [None, *runs.records], strict=True):
        print(one_line("  ".join(f"{c:<{w}}" for c, w in zip(line, widths, strict=True)).rstrip()))
        if record is not None:
            said = f"{', '.join(record.encoders)}{': ' if record.hint else ''}{record.hint}"
            print(f"    {one_line(said)}")
    if runs.older:
        print(f"... and {runs.older} older (--last {args.last + runs.older})")
    return code


def _state(record: "RunRecord") -> str:
    """Name a run's state; of a killed run nothing later than `running` is recorded."""
    return "at work, or killed" if record.state == "running" else record.state


def _cells(record: "RunRecord") -> tuple[str, ...]:
    return (
        record.run_id,
        _time(record.began_at),
        format_seconds(record.seconds) if record.seconds else "-",
        _state(record),
        str(record.slides),
        _count(record.outcomes),
        f"{record.tiles_per_s:.1f}" if record.tiles_per_s else "-",
        record.bottleneck or "-",
    )


def _show(args: argparse.Namespace) -> int:
    record, rows = read_run(args.store, args.run_id)
    if args.json:
        slides = json.loads(rows.to_json(orient="records"))
        print_json({**record.model_dump(mode="json"), "rows": slides})
        return DONE
    for heading, text in _describe(record):
        print(f"{heading:<11} {one_line(text)}")
    lost = rows[rows["outcome"].isin(["failed", "empty"])]
    for row in lost.head(LISTED).itertuples():
        print(f"  {row.outcome:<6} {row.slide_id} [{row.encoder}]: {one_line(str(row.reason))}")
    if len(lost) > LISTED:
        print(f"  ... and {len(lost) - LISTED} more")
    return DONE


def _describe(record: "RunRecord") -> list[tuple[str, str]]:
    """Describe one run as (heading, text) lines; what does not apply is left out."""
    lines = [
        ("run", f"{record.run_id} ({_state(record)})"),
        ("began", f"{_time(record.began_at)} UTC" if record.began_at else "unknown"),
        ("encoders", ", ".join(record.encoders)),
        ("outcomes", f"{record.slides} slides: {_count(record.outcomes)}"),
    ]
    if record.seconds:
        start = f", {format_seconds(record.startup_s)} of it to start" if record.work_s else ""
        if start and record.ray_start_s:
            start += (
                f" (Ray {record.ray_start_s:.1f} s, processes {record.process_start_s:.1f} s, "
                f"encoders {record.loading_s:.1f} s)"
            )
        lines.insert(2, ("took", f"{format_seconds(record.seconds)}{start}"))
    if record.work_s:
        size = f", {record.file_bytes / 1e6:.1f} MB of slides read" if record.file_bytes else ""
        lines += [
            (
                "tiles",
                f"{record.tiles_read} read, {record.tiles_encoded} encoded, "
                f"{record.tiles_per_s:.1f} tiles/s{size}",
            ),
            (
                "cluster",
                f"nodes {record.nodes}, cores {record.cores}, GPUs {record.gpus}; "
                f"readers {record.readers}, encoders {record.encoder_workers} "
                f"(threads of each {record.encoder_threads}), tiles a batch {record.batch_size}"
                + (f" ({record.gpu_memory_gb:.1f} GB free)" if record.gpu_memory_gb else ""),
            ),
            (
                "busy",
                f"readers {record.reader_busy:.0%} (waiting for storage {record.storage_wait:.0%} "
                f"of reading), encoders {record.encoder_busy:.0%}, GPUs {record.gpu_busy:.0%}, "
                f"cores {record.cores_busy:.0%}; {record.blocks_waiting:.1f} blocks waited",
            ),
            (
                "lost",
                f"processes that died {record.deaths}, new starts of slides {record.restarts}",
            ),
        ]
    if record.devices:
        lines.append(("devices", "; ".join(record.devices)))
    if record.smallest_batch:
        lines.append(("memory", f"GPU memory held {record.smallest_batch} tiles at once"))
    lines += [("left out", one_line(problem)) for problem in record.left_out]
    if record.bottleneck:
        lines.append(("bottleneck", f"{record.bottleneck}: {record.hint}"))
    if record.versions:
        lines.append(("versions", ", ".join(f"{k} {v}" for k, v in record.versions.items())))
    if record.settings:
        settings = ", ".join(f"{k} = {json.dumps(v)}" for k, v in record.settings.items())
        lines.append(("settings", f"{settings}; of all: sha256 {record.settings_sha256[:12]}"))
    return lines


def _time(began_at: str) -> str:
    return f"{datetime.fromisoformat(began_at):%Y-%m-%d %H:%M:%S}" if began_at else "-"


def _count(outcomes: dict[str, int]) -> str:
    return ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items())) or "-"
