"""`histo-ray report`: write the page, and print what it says in short."""

import argparse

from histo_ray.api.report import report
from histo_ray.cli.json_results import print_json
from histo_ray.cli.progress import say
from histo_ray.report.checklist.sheet import ItemState
from histo_ray.report.evaluations import choose_runs
from histo_ray.text import count_of


def run(args: argparse.Namespace) -> int:
    """Write the page; print the main sentence of each task and where the page is."""
    made = report(
        args.store,
        args.out,
        runs=args.runs,
        heatmaps=args.heatmaps,
        checklist=args.checklist,
    )
    others = choose_runs(args.store, args.runs).others
    if others:
        count = count_of(len(others), "other run") + (" is" if len(others) == 1 else " are")
        say("report", f"{count} not shown; the page lists them, --run shows them")
    beside = made.checklist
    if args.json:
        said = [
            {"task": f.task, "run_id": f.run_id, "sentence": f.sentence, "synthetic": f.synthetic}
            for f in made.findings
        ]
        files = {} if beside is None else {"checklist": [*map(str, beside[:3])]}
        print_json({"report": str(made.page), "findings": said, **files}, indent=1)
        return 0
    for finding in made.findings:
        print(f"{finding.task}{' (SYNTHETIC)' if finding.synthetic else ''}: {finding.sentence}")
    print(f"report: {made.page}")
    if beside is not None:
        left = beside.sheet.count(ItemState.GAP) + beside.sheet.count(ItemState.PARTLY)
        print(
            f"checklist: {beside.page}, and as .md and .csv; {left} of {len(beside.sheet.rows)} "
            "items ask for what only people know"
        )
    return 0
