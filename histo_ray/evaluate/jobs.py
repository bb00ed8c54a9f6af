"""What a task gives the engine: jobs of units, and the run that they belong to."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from histo_ray.config import TileSetConfig
from histo_ray.evaluate.caveats import Caveat
from histo_ray.evaluate.evaluation_record import EvaluationRecord
from histo_ray.evaluate.events import Event

if TYPE_CHECKING:  # the command line reads the tasks, and so this, before anything is done
    import pyarrow as pa

    from histo_ray.store.tables import TableFolder
    from histo_ray.tilesets.tileset import TileSet

Progress = Callable[[int, int], None]
"""(units done, units in all)."""
Tell = Callable[[Event], None]


class Unit(Protocol):
    """What is done in one go and leaves one piece; frozen, and small enough to be sent."""

    @property
    def piece(self) -> str:
        """Name of its table."""
        ...

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the shared inputs that it reads."""
        ...


Inputs = Mapping[str, Any]
"""Shared inputs by name."""
Work = Callable[[Any, Inputs], "pa.Table"]
"""(unit, its inputs) -> its piece. A plain function, so that other processes can import it."""
Watch = Callable[[int, float], bool]
"""(epochs done, inner score, higher is better) -> whether to go on."""


@dataclass(frozen=True)
class Needs:
    """What one unit is given."""

    cpus: float = 1.0
    gpus: float = 0.0
    memory_bytes: int = 0
    """0: so little that nothing is asked for."""


@dataclass(frozen=True)
class Competition:
    """Units that are worth stopping early, as better ones of the same fold are known."""

    work: Callable[[Any, Inputs, Watch], "pa.Table"]
    """As a job's work, and reports after each epoch."""
    fold_of: Callable[[Any], Hashable]
    """What a unit competes within; units of other folds must not bear on it."""
    epochs: int
    """Most that a unit runs."""


@dataclass(frozen=True)
class UnitJob:
    """Units of one kind, and what they share."""

    pieces: "TableFolder"
    """Folder of this run alone: what lies there is taken for done."""
    work: Work
    inputs: Inputs
    units: Sequence[Unit]
    needs: Needs = field(default=Needs())
    competition: Competition | None = None
    """Set where several settings compete. It may be ignored: units that are never stopped early
    lead to the choice that early stopping is to find sooner."""

    @property
    def input_bytes(self) -> int:
        """Size of the arrays among the shared inputs."""
        return sum(int(getattr(value, "nbytes", 0)) for value in self.inputs.values())


Report = Callable[[], None]
"""Called when a unit has ended."""


Spread = Callable[[UnitJob, Report], None]
"""Does every unit of a job, somewhere: writes its piece, and reports. A unit that lost a
competition may leave none. Raises HistoRayError where a unit refuses its inputs, or where processes
keep dying."""

BringTiles = Callable[[TileSetConfig, "Sequence[TileSet]"], None]
"""Extracts the tile sets that a store lacks."""


def _refuse_tiles(config: TileSetConfig, sets: "Sequence[TileSet]") -> None:
    raise NotImplementedError("this host has no way to extract tiles")


@dataclass(frozen=True)
class Host:
    """Where an evaluation is done, and who is told of it."""

    spread: Spread
    tell: Tell = lambda event: None
    """Called with what is worth knowing before and while the work is done."""
    report: Progress = lambda done, total: None
    bring_tiles: BringTiles = _refuse_tiles


class PreparedRun(ABC):
    """An evaluation whose inputs are read and whose folds are drawn."""

    folder: "TableFolder"
    """Folder of the run; its name is a digest of all that decides the tables."""

    @abstractmethod
    def list_jobs(self, pieces: "TableFolder") -> Iterator[UnitJob]:
        """Yield what is to be done; a job is laid out when those before it are done."""

    @abstractmethod
    def tell_inputs(self, tell: Tell) -> None:
        """Tell what is worth knowing before the work."""

    @abstractmethod
    def find_caveats(self) -> list[Caveat]:
        """Find the caveats that are known before the work."""

    @abstractmethod
    def write_tables(
        self, pieces: "TableFolder", caveats: Sequence[Caveat], began: float
    ) -> EvaluationRecord:
        """Write all tables from the pieces, and make the record.

        Args:
            pieces: Of every unit.
            caveats: From `find_caveats`.
            began: When the work began, by `time.monotonic`.
        """
