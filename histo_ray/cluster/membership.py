"""The processes of a run: who is there, who is of no use, and that they are heard of."""

import logging
import time
from collections.abc import Mapping

from histo_ray.cluster.pool import Member, dismiss
from histo_ray.errors import ConfigError, HistoRayError
from histo_ray.types import EncoderFacts

ENCODER_DEATHS = 5
"""So many encoder deaths in a row, with no batch encoded between, end the run."""
PATIENCE_S = 120
"""Between words on processes that do not answer."""

_log = logging.getLogger(__name__)


class Team:
    """Readers and encoders of one run."""

    def __init__(
        self, readers: list[Member], encoders: list[Member], facts: Mapping[str, EncoderFacts]
    ) -> None:
        self.readers = readers
        self.encoders = encoders
        self._facts = facts
        self._encoder_deaths = 0
        self._heard = time.monotonic()

    def welcome(self, member: Member, node: str, weights: Mapping[str, str]) -> None:
        """A process that is new, or back, is ready; one with other weights gets no work.

        Args:
            member: The process.
            node: Where it runs.
            weights: SHA-256 of what it loaded, by encoder; readers have none.
        """
        for name, digest in weights.items():
            wanted = self._facts[name].weights_sha256
            if digest != wanted:
                problem = (
                    f"encoder {name}: other weights ({digest[:12]}, wanted {wanted[:12]}); "
                    "give all nodes the same file"
                )
                self.leave_out(member, ConfigError(problem))
                return
        member.suspect, member.node = False, node

    def leave_out(self, member: Member, why: Exception) -> None:
        """Go on without a process that is of no use; that it was the last one ends the run."""
        group = self.encoders if member in self.encoders else self.readers
        group.remove(member)
        if not group:
            raise why
        _log.warning("run: a node's process is left out, the others go on: %s", why)
        dismiss([member])

    def note_encoded(self) -> None:
        """A batch was encoded."""
        self._encoder_deaths = 0

    def note_encoder_death(self) -> None:
        """An encoder's process died at work.

        Raises:
            HistoRayError: Once too often.
        """
        self._encoder_deaths += 1
        if self._encoder_deaths >= ENCODER_DEATHS:
            raise HistoRayError(
                f"encoder: its process died {ENCODER_DEATHS} times in a row without encoding a "
                "batch, probably out of memory; lower --batch-size, or look into Ray's logs"
            )

    def mind_silence(self, heard: bool) -> None:
        """Say so where no process has answered for long: the run waits as long as it takes."""
        now = time.monotonic()
        if heard:
            self._heard = now
        elif now - self._heard >= PATIENCE_S:
            self._heard = now
            _log.warning(
                "run: no process has answered for %d s; nodes may be lost, or the cluster has no "
                "room for their processes (ray status tells); it goes on when they are back",
                PATIENCE_S,
            )
