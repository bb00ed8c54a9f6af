"""What `histo-ray encode-slides` and `histo-ray fit-slide-encoder` do."""

import argparse
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict

from histo_ray.api.slide_encoders import encode_slides, fit_slide_encoder
from histo_ray.cli.exit_codes import DONE, SOME_FAILED
from histo_ray.cli.flags import read_settings
from histo_ray.cli.json_results import print_document, print_json
from histo_ray.cli.printable import one_line
from histo_ray.cli.progress import ProgressBar, say
from histo_ray.encoders.base import describe_choice
from histo_ray.encoders.slide_table import SlideEntry
from histo_ray.pooling.slide_encoders.encode_run import SlideRun
from histo_ray.pooling.slide_encoders.resolve import Origin, describe_all
from histo_ray.pooling.slide_encoders.slide_settings import (
    EncodeSlidesConfig,
    FitSlideEncoderConfig,
)
from histo_ray.store.opening import open_root
from histo_ray.store.slide_cards import SlideEncoderCard
from histo_ray.text import count_of
from histo_ray.types import Outcome

LISTED = 50
"""Slides printed of each kind; the run table has them all."""


def run_encode_slides(args: argparse.Namespace) -> int:
    """Encode slides, and print what became of them; return 1 if some could not be encoded."""
    if args.list:
        return _list_encoders(args)
    config = read_settings(args, EncodeSlidesConfig)
    with ProgressBar("encode-slides") as progress:

        def report(done: int, total: int, name: str) -> None:
            progress.show(done, total, f"{name}: {done}/{total} slides")

        run = encode_slides(config, report=report, tell=progress.say).run
    if args.json:
        slides = [asdict(row) for row in run.rows]
        print_json({"run_id": run.run_id, "store": config.store, "slides": slides})
    else:
        for line in describe_run(run):
            print(line)
    return SOME_FAILED if run.failed else DONE


def run_fit_slide_encoder(args: argparse.Namespace) -> int:
    """Fit a slide encoder, and say what is in the store now."""
    config = read_settings(args, FitSlideEncoderConfig)
    card = fit_slide_encoder(config, tell=lambda text: say("fit-slide-encoder", text))
    if args.json:
        print_document(card.model_dump_json(indent=1))
        return DONE
    for line in describe_card(card, config.store):
        print(one_line(line))
    return DONE


def describe_run(run: SlideRun) -> Iterator[str]:
    """Lines on a run. Pure."""
    for name in dict.fromkeys(row.encoder for row in run.rows):
        own = [row for row in run.rows if row.encoder == name]
        counts = Counter(row.outcome for row in own)
        told = ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items()))
        yield f"{name}: {count_of(len(own), 'slide')}: {told}"
    for outcome in (Outcome.FAILED, Outcome.EMPTY):
        lost = [row for row in run.rows if row.outcome is outcome]
        for row in lost[:LISTED]:
            yield f"  {row.outcome:<6} {one_line(row.slide_id)}: {one_line(row.reason)}"
        if len(lost) > LISTED:
            yield f"  ... and {len(lost) - LISTED} more"


def describe_card(card: SlideEncoderCard, store: str) -> Iterator[str]:
    """Lines on a published slide encoder. Pure."""
    seen = card.fitted_on
    yield f"slide encoder {card.name}: {card.published_as}; {card.dim:,} numbers a slide"
    trained = f"trained on labels ({seen.labels})" if seen.supervised else "fitted without labels"
    yield (
        f"  {trained} on {count_of(seen.patients, 'patient')}, {count_of(seen.slides, 'slide')} "
        f"of {card.encoder}, seed {card.seed}"
    )
    if seen.supervised:
        yield (
            "  do not evaluate it on these patients: evaluate refuses, as its scores on them would "
            "be of what it was trained to say"
        )
    else:
        yield "  evaluations of these patients state as a caveat that it saw their tiles"
    yield (
        f"next: histo-ray encode-slides --store {store} --encoder {card.encoder} --slide-encoder "
        f"{card.name}, or --pooling slide:{card.name} of evaluate, fit and predict, which make "
        "what is missing"
    )


def _list_encoders(args: argparse.Namespace) -> int:
    root = open_root(args.store) if args.store else None
    known = describe_all(root)
    if args.json:
        rows = [
            {"name": name, "origin": origin, "about": about}
            | (entry.model_dump(mode="json") if entry is not None else {})
            for name, origin, entry, about in known
        ]
        print_json(rows)
        return DONE
    lines = [("name", "from", "tiles", "licence", "about")]
    for name, origin, entry, about in known:
        lines.append((name, origin.value, _describe_tiles(entry), _licence(origin, entry), about))
    widths = [max(len(line[column]) for line in lines) for column in range(4)]
    for line in lines:
        cells = [f"{cell:<{width}}" for cell, width in zip(line, widths, strict=False)]
        print(one_line("  ".join([*cells, line[4]]).rstrip()))
    print(
        "\nvlad, fisher and mixture are fitted on tiles first, attention is a predictor's: "
        "histo-ray fit-slide-encoder. Plugins: module:object, or a package's entry point."
    )
    return DONE


def _describe_tiles(entry: SlideEntry | None) -> str:
    if entry is None:
        return "any"
    px, mpp = describe_choice(entry.tile_px), describe_choice(entry.mpp)
    return f"{entry.tile_encoders[0]}, {px} px, {mpp} mpp"


def _licence(origin: Origin, entry: SlideEntry | None) -> str:
    if entry is None:
        return "-"
    gate = ", gated" if entry.gated else ""
    return f"{entry.licence.partition(';')[0]}{gate}"
