"""The demo's labelled tiles: a network is fine-tuned on them, and compared with what it was."""

from collections.abc import Callable
from pathlib import Path

from histo_ray.cluster.tissue_run import run_tissue
from histo_ray.cluster.training import run_finetune
from histo_ray.finetune.config import FinetuneConfig
from histo_ray.learn.config import TissueConfig
from histo_ray.report.words import describe_run

BASE = "random:resnet10t?seed=0&px=64"
"""No weights can be fetched offline, so the demo's base is random and says so."""
TUNED = "demo-ftx"

Say = Callable[[str], None]


def fine_tune(table: Path, store: str, epochs: int, say: Say) -> None:
    """Fine-tune the base in two steps and publish it into the store."""
    changes = (f"network.epochs={epochs}", "network.rate=1e-3", "network.batch_norm='train'")
    say("demo: fine-tuning a network of RANDOM weights in two steps on SYNTHETIC tiles")
    say(
        f"  histo-ray finetune --tiles {table} --encoder '{BASE}' --name {TUNED} --store {store} \\"
    )
    say("    " + " ".join(f'--set "{change}"' for change in changes))
    config = FinetuneConfig(tiles=str(table), encoder=BASE, name=TUNED, store=store, set=changes)
    card = run_finetune(config).card
    say(f"  held-out accuracy of its head: {card.metrics.accuracy:.2f}")


def compare_encoders(table: Path, store: str, repeats: int, say: Say) -> None:
    """Tell tissues apart with both, by the same folds, and print what a paper would.

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
    for line in describe_run(run_tissue(config).note):
        print(f"  {line}".rstrip())
