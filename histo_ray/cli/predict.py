"""`histo-ray predict`: predictors applied to a store that they were not fitted on."""

import argparse
import sys
from typing import TYPE_CHECKING

from histo_ray.cli.exit_codes import DONE, SOME_FAILED
from histo_ray.cli.flags import add_settings, read_settings
from histo_ray.cli.json_results import print_json
from histo_ray.cli.printable import one_line
from histo_ray.cli.progress import LineBar
from histo_ray.deferred import deferred
from histo_ray.predict.external.predict_settings import PredictConfig

if TYPE_CHECKING:
    from histo_ray.predict.external.prediction_record import MadeRecord
    from histo_ray.predict.external.prediction_result import PredictionResult
    from histo_ray.store.tables import TableFolder

_predict_all = deferred("histo_ray.predict.external.apply:predict_all")
_describe_result = deferred("histo_ray.report.external.prediction_words:describe_result")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of the verb."""
    add_settings(parser, PredictConfig)
    parser.add_argument(
        "--json", action="store_true", help="print the records of what was made as JSON"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Predict, validate where there are labels, and say what came of it.

    Returns:
        1 if labels of some target are of one class alone, so that it could not be validated.
    """
    config = read_settings(args, PredictConfig)
    with LineBar("predict") as progress:
        progress.tell("starting")  # the imports take seconds
        result: PredictionResult = _predict_all(config, progress.tell)
    for problem in result.problems:
        print(f"predict: {one_line(problem)}", file=sys.stderr)
    code = DONE if result.is_whole else SOME_FAILED
    if args.json:
        print_json(_dump(result), indent=1)
        return code
    lines: list[str] = _describe_result(result)
    for line in lines:
        print(line)
    return code


def _dump(result: "PredictionResult") -> dict[str, list[dict[str, object]]]:
    """Dump the records of predictions, validations and comparisons, each with its folder."""
    comparisons = [] if result.comparison is None else [result.comparison]
    made: dict[str, list[tuple[TableFolder, MadeRecord]]] = {
        "predictions": [(one.folder, one.record) for one in result.applied],
        "validations": [(one.folder, one.record) for one in result.validations],
        "comparisons": [(one.folder, one.record) for one in comparisons],
    }
    return {
        name: [{"folder": f.folder, **r.model_dump(mode="json")} for f, r in some]
        for name, some in made.items()
    }
