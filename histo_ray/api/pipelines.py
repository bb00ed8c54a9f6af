"""Where the work of a run is done: in this process, or on Ray.

Torch and Ray take seconds to import, so the module of each is imported once it is chosen.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager

from histo_ray.config import NO_RAY, RunSettings
from histo_ray.deferred import deferred
from histo_ray.extract.pipeline import OpenPipeline, RunOrder, RunPipeline
from histo_ray.extract.small_work import prefers_this_process

_open_in_process: OpenPipeline = deferred("histo_ray.extract.in_process:open_in_process")
_open_on_ray: OpenPipeline = deferred("histo_ray.cluster.run_extract:open_on_ray")
Notify = Callable[[str], None]
SMALL = (
    "so little is to be read that starting Ray would take longer: it is done in this process "
    "(--address local starts Ray)"
)


def choose_pipeline(settings: RunSettings, notify: Notify = lambda text: None) -> OpenPipeline:
    """Choose how the work of a run is done.

    An address that was given is obeyed. Where none was, small work is done in this process, which
    is said, and other work on a Ray of this machine.

    Args:
        settings: The run; its `address` decides.
        notify: Called with a line where small work is done in this process.
    """

    def open_pipeline(order: RunOrder) -> AbstractContextManager[RunPipeline]:
        if settings.address == NO_RAY:
            return _open_in_process(order)
        if prefers_this_process(settings, order.todo):
            notify(SMALL)
            return _open_in_process(order)
        return _open_on_ray(order)

    return open_pipeline
