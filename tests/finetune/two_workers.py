"""One of two workers that train together over gloo: `python -m tests.finetune.two_workers`.

Arguments: rank and a file where both meet. They train once for each thing that goes wrong on the
second worker. Prints JSON, by what went wrong: epochs run, digest of the weights, or the error.
"""

import json
import sys
from typing import Any

import torch
import torch.distributed as dist

from histo_ray.encoders.weights import digest_weights
from histo_ray.errors import HistoRayError
from histo_ray.finetune import held_out
from histo_ray.finetune.checkpoint import Checkpoint, NoKeeper, Position
from histo_ray.finetune.compute import Compute
from histo_ray.finetune.held_out import ClassifierScores, score_logits
from histo_ray.finetune.loop import train
from histo_ray.finetune.worker_group import ProcessGroup
from tests.finetune.conftest import job_of

CHANGES = ("network.epochs=6", "network.patience=2", "network.rate=0.3", "network.warm_up=0.0")


WRONG = ("held-out", "weights", "checkpoint")


class OtherKeeper(NoKeeper):
    """Finds a checkpoint that nobody else sees."""

    def load(self, fingerprint: str) -> Checkpoint | None:
        return Checkpoint(fingerprint, Position(epoch=1), {})


def train_as(rank: int, wrong: str) -> dict[str, Any]:
    """Train as worker `rank`."""
    job, classifier = job_of(*CHANGES)
    keeper = NoKeeper()
    if rank == 1 and wrong == "held-out":  # better in each epoch: alone, it would not stop
        count = 0

        def rise(*args: Any) -> ClassifierScores:
            nonlocal count
            count += 1
            return score_logits(*args)._replace(accuracy=0.1 * count)

        held_out.score_logits = rise  # type: ignore[assignment]
    else:
        held_out.score_logits = score_logits
    if rank == 1 and wrong == "checkpoint":
        keeper = OtherKeeper()

    def report(progress: Any) -> None:
        if rank == 1 and wrong == "weights" and progress.step == "network" and progress.epoch == 2:
            with torch.no_grad():
                classifier.head.bias[0].nextafter_(torch.tensor(9.0))

    try:
        result = train(job, classifier, Compute("cpu", 1), keeper, report, ProcessGroup())
    except HistoRayError as error:
        return {"error": str(error)}
    return {
        "epochs": len(result.curves) - 1,
        "epoch": result.epoch,
        "held_out": [row.held_out_accuracy for row in result.curves],
        "weights": digest_weights(result.weights),
    }


if __name__ == "__main__":
    rank, meeting = int(sys.argv[1]), sys.argv[2]
    dist.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=2)
    print(json.dumps({wrong: train_as(rank, wrong) for wrong in WRONG}))
    dist.destroy_process_group()
