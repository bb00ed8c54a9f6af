"""`histo-ray heatmap`: write the files, and print what they say in short."""

import argparse
import sys

from histo_ray.api.heatmap import HeatmapResult, heatmap
from histo_ray.cli.exit_codes import DONE, SOME_FAILED
from histo_ray.cli.flags import read_settings
from histo_ray.cli.json_results import print_json
from histo_ray.cli.printable import one_line
from histo_ray.cli.progress import say
from histo_ray.predict.heat.heatmap_settings import HeatmapConfig
from histo_ray.report.slides.score_pictures import describe_heads
from histo_ray.text import count_of


def run(args: argparse.Namespace) -> int:
    """Score and draw; return 1 if a slide's file could not be read, so that pictures lack it."""
    given = argparse.Namespace(**{**vars(args), "run": args.run_id})  # `run` is this function there
    config = read_settings(given, HeatmapConfig)
    result = heatmap(config, out=args.out, say=lambda text: say("heatmap", text))
    for problem in result.problems:
        print(f"not in the pictures: {one_line(problem)}", file=sys.stderr)
    if args.json:
        print_json(_to_json(result), indent=1)
    else:
        _print(result, args.out)
    return SOME_FAILED if result.problems else DONE


def _print(result: HeatmapResult, out: str) -> None:
    for record in result.records:
        if record.kind == "scores":
            print(f"{record.target} on {record.slide_id}: {one_line(describe_heads(record))}")
    for table in result.shares:
        for row in table.to_pylist():
            print(
                f"{row['slide_id']}  {row['label']:<12} {row['n_tiles']:>7,} {row['share']:>7.1%}"
            )
    print(f"{count_of(len(result.written), 'file')} written into {one_line(out)}")
    if result.there:
        there = count_of(len(result.there), "file")
        print(f"{there} there already and left as they are; --overwrite writes them anew")


def _to_json(result: HeatmapResult) -> dict[str, object]:
    return {
        "records": [record.model_dump(mode="json") for record in result.records],
        "shares": [row for table in result.shares for row in table.to_pylist()],
        "written": result.written,
        "there": result.there,
        "problems": result.problems,
    }
