"""Which views a store has: the tables and cards that each shows, and what it has one row of. Pure.

To add one: a line in `TABLES` or `CARDS`. Columns are those of `schemas/*.json`, so that a view of
what is not there yet has the columns it will have.
"""

from collections.abc import Iterable
from typing import NamedTuple

from histo_ray.store.layout import QUALITY
from histo_ray.store.sql.quoting import escape_path
from histo_ray.store.tables import EVALUATIONS

PREDICTIONS = "predictions"
TILE_TASKS = ("tissue",)
"""Tasks whose tables have other columns of the same names than those of patients."""
OF_RUNS = ("task", "run")
"""Columns that the path of an evaluation's table says."""
ZARR = "zarr_embeddings"
"""Name of the view of Zarr partitions alone, where there are some that DuckDB asks for."""
SLIDE_VECTORS = "slide_vectors"
SLIDE_FILES = "slides/*/*/*/*.parquet"
"""Pattern of the files of slide vectors, relative to the store."""
QUALITY_FILES = f"{QUALITY}/*/*.parquet"
"""Pattern of the tables of artefacts, relative to the store."""
PREDICTED = "predicted_"
"""How the names of views begin that are of tables of predictions: `predicted_patients`, ..."""


class TableView(NamedTuple):
    """A view of all tables of one kind."""

    about: str
    files: str
    """Pattern of its files, relative to the store."""
    schemas: tuple[str, ...]
    """Whose columns it has, of any task."""
    names: tuple[str, ...] = OF_RUNS
    """What the folders stand for that the pattern leaves open."""
    of_tiles: bool | None = None
    """Whether of tasks on tiles only, or of tasks on patients only; None: of all."""

    def choose_patterns(self, paths: Iterable[str]) -> list[str]:
        """Patterns that only files of its tasks fit, each with a file.

        Args:
            paths: All that fit `files`.
        """
        tasks = sorted({path.split("/")[1] for path in paths})
        if self.of_tiles is None:
            return [self.files] if tasks else []
        own = [task for task in tasks if (task in TILE_TASKS) == self.of_tiles]
        return [self.files.replace("*", escape_path(task), 1) for task in own]


class CardView(NamedTuple):
    """A view of JSON files, one row a file: the names its path says, and its content."""

    about: str
    files: str
    """Pattern of its files, relative to the store."""
    names: tuple[str, ...]
    """What the folders stand for that the pattern leaves open."""
    content: str
    """Column of the JSON."""


def _of_evaluations(file: str) -> str:
    return f"{EVALUATIONS}/*/*/{file}.parquet"


def _of_patients(about: str, file: str) -> TableView:
    return TableView(about, _of_evaluations(file), (f"outcome_{file}",))


def _of_validations(about: str, file: str) -> TableView:
    files = f"{PREDICTIONS}/*/*/*/{file}.parquet"
    return TableView(about, files, (f"external_{file}",), ("predictor", "run", "validation"))


TABLES = {
    "scores": TableView(
        "every fold", _of_evaluations("scores"), ("outcome_scores", "tissue_scores")
    ),
    "predictions": TableView(
        "every out-of-fold prediction of a patient",
        _of_evaluations("predictions"),
        ("outcome_predictions",),
        of_tiles=False,
    ),
    "tile_predictions": TableView(
        "every out-of-fold prediction of a tile",
        _of_evaluations("predictions"),
        ("tissue_predictions",),
        of_tiles=True,
    ),
    "members": TableView(
        "every member of a MIL head, on every fold", _of_evaluations("members"), ("mil_members",)
    ),
    "targets": TableView(
        "every target, with interval and test", _of_evaluations("targets"), ("outcome_targets",)
    ),
    "comparisons": TableView(
        "every pair of encoders",
        _of_evaluations("comparisons"),
        ("outcome_comparisons", "tissue_comparisons"),
    ),
    "survival": TableView(
        "every endpoint of survival", _of_evaluations("survival"), ("outcome_survival",)
    ),
    "survival_times": TableView(
        "every time that survival is scored at",
        _of_evaluations("survival_times"),
        ("outcome_survival_times",),
    ),
    "survival_curves": TableView(
        "Kaplan-Meier curves by out-of-fold risk",
        _of_evaluations("survival_curves"),
        ("outcome_survival_curves",),
    ),
    "endpoints": TableView(
        "the primary endpoint of every pair of encoders",
        _of_evaluations("endpoints"),
        ("outcome_endpoints",),
    ),
    "recalls": TableView(
        "recall of every class and fold", _of_evaluations("recalls"), ("tissue_recalls",)
    ),
    "summary": TableView(
        "every score on tiles, with interval", _of_evaluations("summary"), ("tissue_summary",)
    ),
    "folds": TableView("who is in which fold", _of_evaluations("folds"), ("folds",)),
    "cohorts": TableView(
        "who is evaluated, and why not", _of_evaluations("cohort"), ("outcome_cohort",)
    ),
    "classes": TableView(
        "how well each class of a label column is told",
        _of_evaluations("classes"),
        ("label_classes",),
    ),
    "confusion": TableView(
        "true by chosen classes of label columns",
        _of_evaluations("confusion"),
        ("label_confusion",),
    ),
    "subgroups": _of_patients("scores by site and subgroup", "subgroups"),
    "calibration": _of_patients("calibration of out-of-fold probabilities", "calibration"),
    "calibration_curves": _of_patients("bins of these", "calibration_curves"),
    "decision_curves": _of_patients("net benefit at every threshold", "decision_curves"),
    "site_prediction": _of_patients("how well encoders tell the site", "site_prediction"),
    "site_means": _of_patients("how well a site alone tells the target", "site_means"),
    "external_scores": _of_validations("scores of external validations", "scores"),
    "external_curves": _of_validations("curves of external validations", "curves"),
    "external_comparisons": _of_validations("pairs of predictors", "comparisons"),
}
CARDS = {
    "evaluations": CardView(
        "records of evaluations", f"{EVALUATIONS}/*/*/run.json", OF_RUNS, "record"
    ),
    "models": CardView("cards of published encoders", "models/*/model.json", ("name",), "card"),
    "predictors": CardView(
        "cards of published predictors", "predictors/*/predictor.json", ("name",), "card"
    ),
}
ABOUT = {
    "embeddings": "every tile with its vector, by encoder and tiling",
    "slides": "every slide, encoder and tiling, as receipts and the newest manifest say",
    "runs": "every slide and encoder of every extraction",
    SLIDE_VECTORS: "every slide vector of every slide encoder",
    QUALITY: "artefacts of every tile that was measured, by tiling",
    **{name: view.about for name, view in TABLES.items()},
    **{name: view.about for name, view in CARDS.items()},
}
"""What each view of every store has one row of."""
