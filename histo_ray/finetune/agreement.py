"""What the workers of a group must agree on: where they begin, when they stop, the weights."""

from collections.abc import Sequence

import torch

from histo_ray.encoders.weights import digest_weights
from histo_ray.errors import HistoRayError
from histo_ray.finetune.checkpoint import Checkpoint
from histo_ray.finetune.worker_group import WorkerGroup


def take_first(values: Sequence[float], group: WorkerGroup, device: torch.device) -> list[float]:
    """The first worker's values, on all workers.

    Args:
        values: As many on each worker.
        group: The workers.
        device: Where the group exchanges tensors.
    """
    shared = torch.tensor(values, dtype=torch.float64, device=device)
    group.copy_first([shared])
    first: list[float] = shared.tolist()
    return first


def find_differing(own: Sequence[int], group: WorkerGroup, device: torch.device) -> list[int]:
    """Ranks of the workers whose numbers are other than the first worker's; the same on all.

    Args:
        own: This worker's, as many on each.
        group: The workers.
        device: Where the group exchanges tensors.
    """
    rows = torch.zeros(group.size, len(own), dtype=torch.int64, device=device)
    rows[group.rank] = torch.tensor(own, dtype=torch.int64, device=device)
    group.add([rows])
    first, *others = rows.tolist()
    return [rank for rank, found in enumerate(others, 1) if found != first]


def check_same_start(
    checkpoint: Checkpoint | None, group: WorkerGroup, device: torch.device
) -> None:
    """Check that all workers found the same checkpoint, or none.

    Raises:
        HistoRayError: They did not; all workers raise it.
    """
    own = (1, checkpoint.position.epoch, checkpoint.position.batch) if checkpoint else (0, 0, 0)
    differing = find_differing(own, group, device)
    if differing:
        raise HistoRayError(
            f"fine-tuning: workers {_list(differing)} found another checkpoint than worker 0; "
            "check that all nodes see the same store, and run the same command again"
        )


def check_same_weights(
    network: torch.nn.Module, epoch: int, group: WorkerGroup, device: torch.device
) -> None:
    """Check that all workers hold the same weights, by their SHA-256.

    Counters of batches are left out: a worker without a share of a batch does not count it.

    Raises:
        HistoRayError: They do not; all workers raise it.
    """
    if group.size == 1:
        return
    weights = {k: v for k, v in network.state_dict().items() if v.is_floating_point()}
    differing = find_differing(list(bytes.fromhex(digest_weights(weights))), group, device)
    if differing:
        raise HistoRayError(
            f"fine-tuning: after epoch {epoch} workers {_list(differing)} hold other weights than "
            "worker 0, so they no longer train one network; use machines and cards of one kind "
            "with one version of torch, and run the same command again, which goes on from the "
            "last checkpoint"
        )


def _list(ranks: Sequence[int]) -> str:
    return ", ".join(map(str, ranks))
