"""Units of work as Ray tasks: shared inputs once in the object store, bounded in flight.

A unit leaves its piece in the store, so a run that was killed goes on with the units that are
missing, on other machines if need be.
"""

from typing import Any

import ray
from ray.exceptions import OutOfMemoryError, RayTaskError, WorkerCrashedError

from histo_ray.cluster.pool import original_error
from histo_ray.cluster.session import cluster_nodes
from histo_ray.errors import HistoRayError
from histo_ray.evaluate.engine import do_unit
from histo_ray.evaluate.jobs import Needs, Report, Unit, UnitJob, Work
from histo_ray.store.tables import TableFolder

MAX_RETRIES = 3
"""How often a unit is tried again after its process died."""


def spread_units(job: UnitJob, report: Report) -> None:
    """Do every unit as a task of the cluster that this process is connected to; a `Spread`.

    Raises:
        HistoRayError: A unit refused its inputs, or its processes kept dying.
    """
    shared = share_inputs(job)
    room = 2 * max(1, int(sum(node.cpus for node in cluster_nodes()) / job.needs.cpus))
    task: Any = ray.remote(_do_shared_unit).options(
        scheduling_strategy="SPREAD", max_retries=MAX_RETRIES, **ray_options(job.needs)
    )
    waiting, running = list(reversed(job.units)), dict[Any, Unit]()
    while waiting or running:
        while waiting and len(running) < room:
            unit = waiting.pop()
            refs = [shared[name] for name in unit.inputs]
            running[task.remote(job.pieces, job.work, unit, *refs)] = unit
        (ref,), _ = ray.wait(list(running), num_returns=1)
        try:
            ray.get(ref)
        except RayTaskError as error:
            raise original_error(error) from None
        except (WorkerCrashedError, OutOfMemoryError) as error:
            raise explain_deaths(running[ref].piece, error) from None
        running.pop(ref)
        report()


def share_inputs(job: UnitJob) -> dict[str, Any]:
    """Put every shared input into the object store once; references by name."""
    return {name: ray.put(value) for name, value in job.inputs.items()}


def ray_options(needs: Needs) -> dict[str, float]:
    """Name what one unit needs as Ray does; memory no more than the largest node has."""
    options: dict[str, float] = {"num_cpus": needs.cpus}
    if needs.gpus:
        options["num_gpus"] = needs.gpus
    most = max((node.memory_bytes for node in cluster_nodes()), default=0)
    if needs.memory_bytes and most:
        options["memory"] = min(needs.memory_bytes, most)
    return options


def explain_deaths(piece: str, error: Exception) -> HistoRayError:
    """Make the error of processes that die again and again, in one sentence.

    Args:
        piece: What they worked on.
        error: The last one, of Ray.
    """
    first = (str(error).splitlines() or [type(error).__name__])[0]
    return HistoRayError(
        f"evaluation: processes keep dying on {piece} ({first}); a repeat may need more memory "
        "than there is, or more than --memory-gb states; what is done stays done, and the same "
        "command goes on"
    )


def _do_shared_unit(pieces: TableFolder, work: Work, unit: Unit, *values: object) -> None:
    do_unit(pieces, work, unit, dict(zip(unit.inputs, values, strict=True)))
