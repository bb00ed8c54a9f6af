"""The verbs of `histo-ray`. To add one: a module with `add_arguments`, and a line here."""

from typing import NamedTuple


class Verb(NamedTuple):
    """A verb of the program."""

    module: str
    """Module with `add_arguments(parser)`, imported only when the verb is called for. It sets the
    parser's default `run` to a function of the parsed arguments that returns the exit code."""
    help: str
    """What it does, in one line of `histo-ray --help`."""


VERBS = {
    "demo": Verb(
        "histo_ray.cli.demo", "the main job on embedded synthetic slides, offline, on this machine"
    ),
    "plan": Verb(
        "histo_ray.cli.plan", "dry run of an extraction: tiles, lost slides and why, bytes, time"
    ),
    "extract": Verb("histo_ray.cli.extract", "manifest + encoders -> feature store"),
    "encode-slides": Verb(
        "histo_ray.cli.encode_slides",
        "stored embeddings + slide encoders -> one vector a slide, in the store",
    ),
    "fit-slide-encoder": Verb(
        "histo_ray.cli.fit_slide_encoder",
        "stored embeddings -> a slide encoder (VLAD, Fisher, ...), published into the store",
    ),
    "finetune": Verb(
        "histo_ray.cli.finetune", "labelled tiles -> a new encoder, published into the store"
    ),
    "evaluate": Verb(
        "histo_ray.cli.evaluate",
        "compare encoders by honest cross-validation on a task: tissue, expression, mutation, ...",
    ),
    "fit": Verb(
        "histo_ray.cli.fit",
        "labels + stored embeddings -> a predictor, published into the store: trained on all",
    ),
    "predict": Verb(
        "histo_ray.cli.predict",
        "apply predictors to another store; with its labels: external validation",
    ),
    "report": Verb(
        "histo_ray.cli.report",
        "one HTML page of what the evaluations in a store found, readable offline",
    ),
    "heatmap": Verb(
        "histo_ray.cli.heatmap",
        "scores of a slide's tiles as a table, pictures, and GeoJSON for QuPath",
    ),
    "view": Verb(
        "histo_ray.cli.view", "a slide viewer in the browser: slides, tile scores, nearest tiles"
    ),
    "encoders": Verb(
        "histo_ray.cli.encoders", "list the encoders that have an entry, with their tile contracts"
    ),
    "store": Verb(
        "histo_ray.cli.store_flags",
        "ls | verify | sql | views | index | measure | where | convert | export | import | gc",
    ),
    "runs": Verb(
        "histo_ray.cli.runs",
        "list what past runs did: slides lost, tiles/s, bottleneck, and what to change",
    ),
    "doctor": Verb(
        "histo_ray.cli.doctor",
        "can this machine or cluster run: Ray, GPU, OpenSlide, disk, weights",
    ),
}
"""By name, in the order of the help."""
