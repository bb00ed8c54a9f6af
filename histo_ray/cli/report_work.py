"""`histo-ray report`: write the page, and print what it says in short."""

import argparse
import json
import sys

from histo_ray.api.report_heatmaps import heatmaps_of
from histo_ray.report.evaluations import choose_runs
from histo_ray.report.page import summarise, write_report
from histo_ray.text import count_of


def run(args: argparse.Namespace) -> int:
    """Write the page; print the main sentence of each task and where the page is."""
    finder = heatmaps_of(args.store) if args.heatmaps else None
    path = write_report(args.store, args.out, args.runs, finder)
    findings = summarise(args.store, args.runs)
    others = choose_runs(args.store, args.runs).others
    if others:
        count = count_of(len(others), "other run") + (" is" if len(others) == 1 else " are")
        print(f"report: {count} not shown; the page lists them, --run shows them", file=sys.stderr)
    if args.json:
        said = [
            {"task": f.task, "run_id": f.run_id, "sentence": f.sentence, "synthetic": f.synthetic}
            for f in findings
        ]
        print(json.dumps({"report": str(path), "findings": said}, indent=1))
        return 0
    for finding in findings:
        print(f"{finding.task}{' (SYNTHETIC)' if finding.synthetic else ''}: {finding.sentence}")
    print(f"report: {path}")
    return 0
