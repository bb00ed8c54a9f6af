"""`histo-ray finetune`."""

import argparse
import math
from typing import TYPE_CHECKING

from histo_ray.cli.flags import add_settings, read_settings
from histo_ray.cli.json_results import print_document
from histo_ray.cli.progress import ProgressBar, format_seconds, say
from histo_ray.deferred import deferred
from histo_ray.finetune.finetune_config import FinetuneConfig

if TYPE_CHECKING:
    from histo_ray.finetune.finetune_run import FinetuneResult
    from histo_ray.finetune.job import TrainingProgress
    from histo_ray.store.models import Metrics

finetune = deferred("histo_ray.api.finetune:finetune")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags of the verb."""
    add_settings(parser, FinetuneConfig)
    parser.add_argument("--json", action="store_true", help="print the new encoder's card as JSON")
    parser.set_defaults(run=run, trains=True)


def run(args: argparse.Namespace) -> int:
    """Fine-tune, publish, and say what came of it."""
    config = read_settings(args, FinetuneConfig)
    notify("starting")  # the imports take seconds
    with TrainingBar() as training:
        result: FinetuneResult = finetune(config, report=training.report, notify=notify)
    if args.json:
        print_document(result.card.model_dump_json(indent=2))
    else:
        print_result(result, config.store)
    return 0


class TrainingBar(ProgressBar):
    """Progress of training; each epoch has a line."""

    def __init__(self) -> None:
        super().__init__("finetune", tells_ends=True)

    def report(self, progress: "TrainingProgress") -> None:
        """Show how far training is."""
        self.show(progress.batch, progress.batches, describe(progress))


def notify(text: str) -> None:
    """A line on stderr."""
    say("finetune", text)


def describe(progress: "TrainingProgress") -> str:
    """Step, loss, accuracy, images/s and time left, in words. Pure."""
    parts = [f"step 1, view {progress.batch}/{progress.batches}"]
    if progress.step == "network":
        parts = [
            f"step 2, epoch {progress.epoch}/{progress.epochs}, "
            f"batch {progress.batch}/{progress.batches}"
        ]
    figures = {
        "loss {:.3f}": progress.loss,
        "accuracy {:.3f}": progress.accuracy,
        "held out {:.3f}": progress.held_out_accuracy,
        "{:.1f} images/s": progress.images_per_s,
    }
    parts += [text.format(value) for text, value in figures.items() if not math.isnan(value)]
    if progress.seconds_left > 0:
        parts.append(f"about {format_seconds(progress.seconds_left)} left")
    return ", ".join(parts)


def describe_steps(metrics: "Metrics", epoch: int) -> list[str]:
    """What step 2 gained, and which weights were kept, in words. Pure."""
    first, second = metrics.first_accuracy, metrics.second_accuracy
    if first is None:
        return []
    steps = f"held-out accuracy: {first:.3f} after step 1 (a head on the base as it was)"
    if second is None:
        return [f"{steps}; there was no step 2"]
    steps += f", {second:.3f} after step 2 (the network trained)"
    if epoch:
        return [f"{steps}; kept: step 2, epoch {epoch}"]
    return [
        f"{steps}; kept: step 1, so the encoder's vectors are those of its base; a lower "
        "network.rate, fewer epochs or more tiles may help"
    ]


def print_result(result: "FinetuneResult", store: str) -> None:
    """Say what is in the store now."""
    card = result.card
    if result.was_there:
        notify("published before by the same run; nothing to do")
    scores = "not evaluated: nothing was held out"
    if card.metrics.accuracy is not None:
        scores = (
            f"accuracy {card.metrics.accuracy:.3f}, balanced "
            f"{card.metrics.balanced_accuracy:.3f} on {sum(card.data.held_out.values())} tiles "
            f"({card.data.held_out_from})"
        )
    print(f"{card.name}: {card.base.name}, fine-tuned on {sum(card.data.train.values())} tiles")
    print(f"  head: {scores}")
    for line in describe_steps(card.metrics, card.epoch):
        print(f"  {line}")
    print(f"  weights {card.weights_sha256[:12]} in {store}/models/{card.name}")
    print(f"  next: histo-ray extract --store {store} --encoder {card.name} ...")
