"""Every error histo_ray raises on purpose.

The class says who must act: `ConfigError` the caller, `SlideError` the owner of one slide (the
run goes on without it), `StoreError` the operator of the store. Anything else is a bug.
All take positional arguments only, so they survive pickling between Ray processes.
"""


class HistoRayError(Exception):
    """Base of all errors below; catch it only at a program's edge."""


class ConfigError(HistoRayError):
    """The configuration cannot describe a run."""


class StoreError(HistoRayError):
    """The feature store is not in the state the operation needs."""


class UnreachableError(StoreError, OSError):
    """The storage that a store is on refuses access or does not respond."""


class BusyError(StoreError):
    """Another process does this work on the store; the argument names it."""


class SlideError(HistoRayError):
    """One slide cannot be used; the rest of the run is unaffected."""

    def __init__(self, slide_id: str, problem: str) -> None:
        super().__init__(slide_id, problem)
        self.slide_id = slide_id
        self.problem = problem

    def __str__(self) -> str:
        return f"slide {self.slide_id!r}: {self.problem}"


class DeviceError(HistoRayError):
    """A GPU or its driver failed in a process, which is of no more use; other GPUs may go on."""

    def __init__(self, device: str, problem: str, process_id: int) -> None:
        super().__init__(device, problem, process_id)
        self.device = device
        self.problem = problem
        self.process_id = process_id

    def __str__(self) -> str:
        return f"encoder on {self.device}: {self.problem}"


class DeviceMemoryError(ConfigError):
    """The memory of a GPU does not suffice for what it was asked for."""


class ClusterLostError(HistoRayError):
    """The head of the Ray cluster no longer responds."""
