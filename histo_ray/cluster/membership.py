"""Which of a run's processes get work: those that are ready, alike, and on a device that holds."""

import logging
import time
from collections.abc import Mapping

import ray

from histo_ray.cluster.pool import PooledActor, kill_actors
from histo_ray.errors import ConfigError, DeviceError, DeviceMemoryError, HistoRayError
from histo_ray.extract.loading import check_alike
from histo_ray.extract.run_counts import Counts
from histo_ray.types import EncoderFacts

ENCODER_DEATHS = 5
"""So many encoder deaths in a row, with no batch encoded between, end the run."""
DEVICE_FAILURES = 2
"""Processes of one encoder that its GPU must fail in before the run goes on without it."""
STALLED_S = 120
"""Between warnings that no process answers."""
DeviceFailure = DeviceError | DeviceMemoryError

_log = logging.getLogger(__name__)


def restart_after_failure(member: PooledActor, why: DeviceFailure) -> bool:
    """End the process in which a GPU failed; whether Ray starts it anew, which may help.

    After most errors of CUDA every later call of the process fails as well, so that several calls
    may tell of one failure. Memory that does not suffice for one tile, or for the weights, would
    not suffice next time either.
    """
    if isinstance(why, DeviceMemoryError):
        return False
    if why.process_id in member.failed_processes:
        return True
    member.failed_processes.add(why.process_id)
    if len(member.failed_processes) >= DEVICE_FAILURES:
        return False
    ray.kill(member.handle, no_restart=False)
    return True


def describe_exclusion(why: Exception) -> str:
    """A sentence of the run's record on a process that is of no use."""
    often = f" (in {DEVICE_FAILURES} processes)" if isinstance(why, DeviceError) else ""
    return f"{why}{often}"


def explain_last(why: Exception) -> Exception:
    """What ends the run when the last process of a kind is of no use."""
    if not isinstance(why, DeviceError):
        return why
    return HistoRayError(
        f"run: no encoder is left; {describe_exclusion(why)}; see nvidia-smi and the kernel's log "
        "(dmesg, Xid); what is done stays done, and the same command goes on"
    )


class Membership:
    """Readers and encoders of one run, and which of them get work."""

    def __init__(
        self,
        readers: list[PooledActor],
        encoders: list[PooledActor],
        facts: Mapping[str, EncoderFacts],
        counts: Counts,
    ) -> None:
        self.readers = readers
        self.encoders = encoders
        self._facts = facts
        self._counts = counts
        self._encoder_deaths = 0
        self._heard = time.monotonic()

    def admit(self, member: PooledActor, node: str, facts: Mapping[str, EncoderFacts]) -> None:
        """Give work to a process that is new, or back; none to one that would compute otherwise.

        Args:
            member: The process.
            node: Node that it runs on.
            facts: Its encoders by name; readers have none.
        """
        try:
            for name, found in facts.items():
                check_alike(self._facts[name], found)
        except ConfigError as error:
            self.exclude(member, error)
            return
        member.suspect, member.node = False, node
        self.note_devices(member, facts)

    def note_devices(self, member: PooledActor, facts: Mapping[str, EncoderFacts]) -> None:
        """Note what a process computes on; warn where the run's devices are not all alike."""
        known = set(self._counts.devices)
        member.devices = {name: about.device for name, about in facts.items()}
        self._counts.devices.update(member.devices.values())
        if known and self._counts.devices != known:
            _log.warning(
                "run: encoders compute on unlike devices (%s): vectors may differ in their last "
                "bits, and each partition names the devices of its own",
                "; ".join(sorted(self._counts.devices)),
            )

    def has(self, member: PooledActor) -> bool:
        """Whether the run has not gone on without it."""
        return member in self.encoders or member in self.readers

    def exclude(self, member: PooledActor, why: Exception) -> None:
        """Go on without a process that is of no use; raise if it was the last of its kind."""
        if not self.has(member):
            return
        group = self.encoders if member in self.encoders else self.readers
        group.remove(member)
        self._counts.left_out.append(describe_exclusion(why))
        if not group:
            raise explain_last(why)
        _log.warning("run: a node's process is left out, the others go on: %s", why)
        kill_actors([member])

    def note_device_failure(self, member: PooledActor, why: DeviceFailure) -> bool:
        """Restart an encoder's process whose GPU failed, or go on without it.

        Returns:
            Whether it is to be asked again if it is ready.
        """
        if not self.has(member):
            return False
        restarted = restart_after_failure(member, why)
        if not restarted:
            self.exclude(member, why)
        return restarted

    def note_encoded(self) -> None:
        """Note that a batch was encoded."""
        self._encoder_deaths = 0

    def note_encoder_death(self) -> None:
        """Note that an encoder's process died at work.

        Raises:
            HistoRayError: It was the last of too many in a row.
        """
        self._encoder_deaths += 1
        if self._encoder_deaths >= ENCODER_DEATHS:
            raise HistoRayError(
                f"encoder: its process died {ENCODER_DEATHS} times in a row without encoding a "
                "batch, probably out of memory; lower --batch-size, or look into Ray's logs"
            )

    def warn_if_stalled(self, heard: bool) -> None:
        """Warn where no process has answered for long: the run waits as long as it takes.

        Args:
            heard: Whether one has answered just now.
        """
        now = time.monotonic()
        if heard:
            self._heard = now
        elif now - self._heard >= STALLED_S:
            self._heard = now
            _log.warning(
                "run: no process has answered for %d s; nodes may be lost, or the cluster has no "
                "room for their processes (see ray status); it goes on when they are back",
                STALLED_S,
            )
