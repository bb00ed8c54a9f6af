"""`histo-ray report`."""

import argparse
import json
import sys


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of the verb."""
    parser.add_argument("store", help="folder or URI of the store")
    parser.add_argument("--out", default="report.html", help="file to write (default: report.html)")
    parser.add_argument(
        "--run",
        action="append",
        default=[],
        dest="runs",
        metavar="RUN_ID",
        help="evaluation to report, again for more (default: the newest of each task)",
    )
    parser.add_argument("--json", action="store_true", help="print path and sentences as JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the page; print the main sentence of each task and where the page is."""
    from histo_ray.report.page import summarise, write_report
    from histo_ray.report.runs import choose_runs
    from histo_ray.text import count_of

    path = write_report(args.store, args.out, args.runs)
    findings = summarise(args.store, args.runs)
    others = choose_runs(args.store, args.runs).others
    if others:
        told = count_of(len(others), "other run") + (" is" if len(others) == 1 else " are")
        print(f"report: {told} not shown; the page lists them, --run shows them", file=sys.stderr)
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
