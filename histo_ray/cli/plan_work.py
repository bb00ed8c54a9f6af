"""What `histo-ray plan` does and prints."""

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict

from histo_ray.api.plan import plan
from histo_ray.cli.exit_codes import DONE, SOME_FAILED
from histo_ray.cli.json_results import print_json
from histo_ray.cli.printable import one_line
from histo_ray.cli.progress import SlideProgress, format_seconds, note
from histo_ray.config import ExtractConfig
from histo_ray.extract.dry_run import MEASURED_FROM, PlanListener
from histo_ray.extract.plan_summary import FROM_BATCH, Planned, PlanRow, PlanStatus, PlanSummary


def plan_slides(
    config: ExtractConfig,
    progress: SlideProgress,
    pictures: str | None,
    *,
    open_slides: bool,
    as_json: bool,
    measure: bool | None,
) -> PlanSummary:
    """Plan an extraction, and print its rows as soon as they are known."""

    def report(planned: Planned, total: int) -> None:
        progress.show(len(planned.rows), total, describe_planned(planned, total))

    def show_rows(rows: Sequence[PlanRow], undrawn: dict[str, str]) -> None:
        progress.clear()
        if not as_json:
            print_rows(rows, opened=open_slides)

    listener = PlanListener(report, show_rows, progress.say)
    made = plan(
        config, pictures=pictures, open_slides=open_slides, measure=measure, listener=listener
    ).summary
    if not open_slides:
        show_rows(made.rows, {})
    return made


def print_plan(made: PlanSummary, pictures: str | None, *, as_json: bool) -> int:
    """Print what is left to be printed of a plan; the exit code it stands for."""
    if as_json:
        print_json(asdict(made))
    else:
        _print_sums(made, pictures)
    return SOME_FAILED if any(row.status is PlanStatus.FAILED for row in made.rows) else DONE


def describe_planned(planned: Planned, total: int) -> str:
    """How far a plan is, in words. Pure."""
    parts = [f"{len(planned.rows)}/{total} slides opened", f"{planned.tiles} tiles"]
    if planned.failed:
        parts.append(f"{planned.failed} slides failed")
    return ", ".join(parts)


def _percent(share: float | None) -> str:
    """A share in per cent; empty where unknown."""
    return "" if share is None else f"{share:.1%}"


def print_rows(rows: Sequence[PlanRow], *, opened: bool) -> None:
    """Print a line a slide, and remarks below."""
    width = max(len("slide_id"), *(len(row.slide_id) for row in rows))
    edge = max((len(row.tiles_of) for row in rows), default=0)
    tiles_of = f"  {'tiles of':<{edge}}" if edge else ""
    print(
        f"{'slide_id':<{width}}{tiles_of}  status  tiles   size (px)        mpp (from)         "
        "level  tissue    ink"
    )
    for row in rows:
        size = f"{row.width} x {row.height}" if row.width else ""
        mpp = f"{row.mpp:.4g} ({row.mpp_source})" if row.mpp else ""
        level = str(row.level) if row.level >= 0 else ""
        level = f"{level:<5}  {_percent(row.tissue_share):>6}  {_percent(row.ink_share):>5}"
        tiles = row.n_tiles if opened or row.status is not PlanStatus.TODO else ""
        tiles_of = f"  {row.tiles_of:<{edge}}" if edge else ""
        print(
            f"{row.slide_id:<{width}}{tiles_of}  {row.status:<6} {tiles:>6}   {size:<15}  "
            f"{mpp:<17}  {level}  {one_line(row.reason)}".rstrip()
        )
    for slide_id, remark in {row.slide_id: row.remark for row in rows if row.remark}.items():
        print(f"{slide_id}: {one_line(remark)}")
    sys.stdout.flush()  # what follows may take seconds


def _print_tilings(rows: Sequence[PlanRow]) -> None:
    """Print a line a tiling: the tiles to be read of it."""
    tiles: Counter[str] = Counter()
    for row in rows:
        tiles[row.tiles_of] += row.n_tiles if row.status is PlanStatus.TODO else 0
    for what, count in tiles.items():
        print(f"  {what}: {count} tiles")


def describe_time(plan: PlanSummary) -> str:
    """Say how long a run would take, and how that is known; empty where nothing is to do. Pure."""
    ray = ", and Ray's start" if plan.starts_ray else ""
    if plan.seconds is not None and plan.seconds_from == FROM_BATCH:
        return f"about {format_seconds(plan.seconds)}, measured on one batch here{ray}"
    if plan.seconds is not None:
        return (
            f"about {format_seconds(plan.seconds)}, at the speed of run {plan.seconds_from}{ray}; "
            "the encoders were not loaded (--measure loads them and measures one batch)"
        )
    if not plan.tiles or plan.vectors is None:
        return ""
    if plan.vectors < MEASURED_FROM:
        why = f"below {MEASURED_FROM:,} vectors"
    else:
        why = "with --no-measure, as no run of the store was like this one"
    return (
        f"no estimate of time {why}, and the encoders were not loaded: --measure loads them and "
        "measures one batch"
    )


def _print_sums(plan: PlanSummary, pictures: str | None) -> None:
    if plan.tiles is None or plan.vectors is None:
        counts = Counter(str(row.status) for row in plan.rows)
        print(", ".join(f"{count} {status}" for status, count in sorted(counts.items())))
        note(
            "no slide was opened: what is to do may hold no tissue or fail, and what is stored was "
            "not compared with its file; without --no-open both are shown"
        )
    else:
        size = "" if plan.bytes is None else f", {plan.bytes / 1e6:.1f} MB to write"
        print(f"{plan.tiles} tiles to read, {plan.vectors} vectors to encode{size}")
        if plan.source_tiles is not None and plan.source_tiles_saved is not None:
            _print_tilings(plan.rows)
            print(
                f"about {plan.source_tiles} tiles of the slides' files to decode, once for all "
                f"sizes; a run for each would decode {plan.source_tiles_saved} again"
            )
    for remark in plan.notes:
        print(one_line(remark))
    if told := describe_time(plan):
        print(told)
    if pictures:
        print(f"pictures of slides that the store lacks: {pictures}")
        for slide_id, problem in plan.undrawn.items():
            print(f"  no picture of {slide_id}: {problem}")
    note("nothing was written into the store")
