"""Processes of a run, with the batch that each of its tilings has. Pure."""

from collections.abc import Sequence
from dataclasses import replace

from histo_ray.config import RunSettings
from histo_ray.encoders.base import EncoderSpec
from histo_ray.encoders.tile_groups import group_encoders
from histo_ray.extract.batch_size import largest_input
from histo_ray.extract.resources import Node, Workers, plan_workers


def plan_run_workers(
    nodes: Sequence[Node], config: RunSettings, specs: Sequence[EncoderSpec]
) -> Workers:
    """Choose the processes of a run.

    Each tiling has the batch that it would have alone, so that its vectors have the same bits. Its
    memory is bounded by the largest tiles; calls hold one batch, so that tilings stay side by side.

    Args:
        nodes: Machines of the cluster.
        config: The run.
        specs: Its encoders, in the order of `config.encoder`.

    Raises:
        ConfigError: What is asked for is not there.
    """
    groups = group_encoders(config, specs)
    plans = [plan_workers(nodes, group.settings, largest_input(group.specs)) for group in groups]
    if len(groups) == 1:
        return plans[0]
    widest = max(range(len(groups)), key=lambda at: groups[at].settings.tile_px)
    sizes = tuple(plan.batch_size for plan in plans)
    return replace(plans[widest], batch_sizes=sizes, batches_a_call=1)
