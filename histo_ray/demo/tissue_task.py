"""The demo's tissue task: a network is fine-tuned on tiles and compared with its base."""

from collections.abc import Callable
from pathlib import Path

from histo_ray.api.evaluate import tissue
from histo_ray.evaluate.tasks.tissue import TissueConfig
from histo_ray.finetune.finetune_config import FinetuneConfig
from histo_ray.finetune.finetune_run import finetune
from histo_ray.report.record_words import describe_record

BASE = "random:resnet10t?seed=0&px=64"
"""No weights can be fetched offline, so the demo's base is random and says so."""
TUNED = "demo-ftx"

Say = Callable[[str], None]


def fine_tune(table: Path, store: str, epochs: int, say: Say) -> None:
    """Fine-tune the base in two steps and publish it into the store."""
    changes = (f"network.epochs={epochs}", "network.rate=3e-4", "network.batch_norm='recalibrate'")
    say("demo: fine-tuning a network of RANDOM weights in two steps on SYNTHETIC tiles")
    say(
        f"  histo-ray finetune --tiles {table} --encoder '{BASE}' --name {TUNED} --store {store} \\"
    )
    say("    " + " ".join(f'--set "{change}"' for change in changes))
    config = FinetuneConfig(tiles=str(table), encoder=BASE, name=TUNED, store=store, set=changes)
    card = finetune(config).card
    metrics = card.metrics
    if metrics.first_accuracy is not None and metrics.second_accuracy is not None:
        kept = "step 1, as it is better" if card.epoch == 0 else "step 2"
        say(
            f"  held-out accuracy {metrics.first_accuracy:.2f} after step 1 (the head), "
            f"{metrics.second_accuracy:.2f} after step 2 (the network): {kept} is kept"
        )
    if card.epoch == 0:
        say("  so its vectors are those of its base, and the comparisons show no difference")


def compare_encoders(table: Path, store: str, repeats: int, say: Say) -> None:
    """Evaluate both encoders on tissue classes, on the same folds, and print the sentences.

    The tiles are others than those that the network was fine-tuned on.
    """
    say("demo: comparing both encoders on other SYNTHETIC tiles, on the same folds")
    say(f"  histo-ray evaluate tissue --tiles {table} --store {store} \\")
    say(f"    --encoder '{BASE}' --encoder {TUNED} --repeats {repeats}")
    config = TissueConfig(
        tiles=str(table),
        store=store,
        encoder=(BASE, TUNED),
        repeats=repeats,
        batch_size=32,
        remark="SYNTHETIC tiles: drawn tissue; no figure says anything of medicine",
    )
    print("\nTissue classification (synthetic tiles):")
    for line in describe_record(tissue(config=config).record):
        print(f"  {line}".rstrip())
