"""Two tiny encoders fed by one read of each slide against one pass an encoder."""

import statistics

from benchmarks.bench import (
    Figure,
    Options,
    Result,
    make_runs,
    run_settings,
    synthetic_slide,
    write_manifest,
)

ENCODERS = ("random:resnet10t?seed=0&px=32", "random:resnet10t?seed=1&px=32&name=second")


def measure_two_encoders(options: Options) -> Result:
    """Ray is warm; each round is a pass with both, then a pass with each."""
    slides = options.slides or (
        synthetic_slide(options.folder / "E.svs", 4_000 if options.quick else 12_000),
    )
    manifest = write_manifest(options.fresh("manifest.csv"), slides)
    passes = [ENCODERS, ENCODERS[:1], ENCODERS[1:]]
    rounds = 1 if options.quick else options.rounds
    settings = [
        run_settings(options, manifest, encoders)
        for encoders in [ENCODERS[:1], *passes * rounds]  # the first is not counted
    ]
    runs = make_runs(options, settings)[0][1:]
    detail: dict[str, object] = {"runs": runs}
    figures = []
    for key, what, goal in (
        ("encode_s", "reading and encoding", "< 0.65"),
        ("run_s", "whole run, Ray warm", ""),
    ):
        seconds = [run[key] for run in runs]
        ratios = [
            both / (one + other)
            for both, one, other in zip(seconds[::3], seconds[1::3], seconds[2::3], strict=True)
        ]
        ratio = statistics.median(ratios)
        detail[f"{key}_ratios"] = ratios
        met = ratio < 0.65 if goal else None
        figures.append(Figure(f"one pass / two passes, {what}", ratio, goal, met))
    return Result(figures, detail)
