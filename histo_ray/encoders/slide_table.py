"""The table of slide encoders of others, and each of its entries behind the protocol. No torch."""

import re
import tomllib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt
from pydantic import Field

from histo_ray.deferred import deferred
from histo_ray.encoder_spec import NAME_PATTERN, REVISION_PATTERN
from histo_ray.encoders.remote_code import FLAG
from histo_ray.encoders.slide_protocol import SlideSpec, TileBag
from histo_ray.errors import ConfigError
from histo_ray.settings import parse_settings

TABLE = Path(__file__).with_name("slide_encoders.toml")
Loader = Literal["feather", "chief", "titan", "prism", "gigapath", "cobra"]


class SlideEntry(SlideSpec):
    """One entry of the table."""

    name: str = Field(pattern=NAME_PATTERN)
    loader: Loader
    """How its network is built."""
    hub: str | None = None
    """Repository that holds the weights."""
    weights_file: str | None = None
    """Name of the weights there, where it is none of the usual ones."""
    package: str = ""
    """Package of its authors that has to be installed; empty: none."""
    remote_code: bool = False
    """Whether its network is Python code of the repository."""
    sources: dict[str, str] = Field(default_factory=dict)
    """Where facts were read, by fact: URL."""

    def state(self) -> SlideSpec:
        """The part that receipts record."""
        return SlideSpec(**{name: getattr(self, name) for name in SlideSpec.model_fields})


class SlideNetwork(Protocol):
    """A network with its weights, on a device."""

    weights_sha256: str
    precision: Literal["float32", "float16", "bfloat16"]

    def encode(self, bag: TileBag) -> npt.NDArray[np.floating]:
        """Vector of a slide, (dim,)."""


_load_network = deferred("histo_ray.encoders.slide_networks:load_slide_network")


class TableEncoder:
    """An entry of the table; its network is built when it is loaded."""

    def __init__(self, entry: SlideEntry, file: str | None, revision: str) -> None:
        """Keep what is needed to load.

        Args:
            entry: Of the table.
            file: Weights on this machine, in place of the hub's; None: the hub's.
            revision: Commit of the repository whose code may run; empty: none may.
        """
        self.entry = entry
        self._file = file
        self._revision = revision
        self._network: SlideNetwork | None = None

    def spec(self) -> SlideSpec:
        """State the entry; the digest of its weights once they are loaded."""
        known: dict[str, object] = {"code_revision": self._revision}
        if self._network is not None:
            known["weights_sha256"] = self._network.weights_sha256
            known["precision"] = self._network.precision
        return self.entry.state().model_copy(update=known)

    def load(self, device: Literal["cpu", "cuda"], threads: int) -> None:
        """Build the network and load its weights, all of them or none.

        Raises:
            ConfigError: A package is not installed, code would run that nobody trusts, or the
                weights cannot be had or do not fit.
        """
        self._network = _load_network(self.entry, self._file, self._revision, device, threads)

    def encode(self, bag: TileBag) -> npt.NDArray[np.floating]:
        """Vector of a slide, (dim,)."""
        if self._network is None:
            raise RuntimeError("a slide encoder encodes before it is loaded")
        return self._network.encode(bag)


@cache
def list_slide_entries() -> tuple[SlideEntry, ...]:
    """All entries of the table, in its order."""
    entries = tomllib.loads(TABLE.read_text(encoding="utf-8"))
    return tuple(
        parse_settings(SlideEntry, {"name": name, **values}, f"{TABLE.name}: {name}")
        for name, values in entries.items()
    )


def find_slide_entry(name: str) -> SlideEntry | None:
    """Find an entry by its name; None if there is none."""
    return next((entry for entry in list_slide_entries() if entry.name == name), None)


def open_slide_entry(entry: SlideEntry, file: str | None, trusted: Sequence[str]) -> TableEncoder:
    """Open an entry of the table; nothing is loaded.

    Args:
        entry: Of the table.
        file: Weights on this machine, in place of the hub's.
        trusted: What `--trust-remote-code` gives: `COMMIT` or `NAME=COMMIT`.

    Raises:
        ConfigError: What is trusted is no full commit, or is given to one that runs no code.
    """
    revision = ""
    for text in trusted:
        name, _, commit = text.rpartition("=")
        if name not in ("", entry.name) or not entry.remote_code:
            raise ConfigError(f"{FLAG} {text}: {entry.name} does not need that code; leave it out")
        if not re.fullmatch(REVISION_PATTERN, commit):
            raise ConfigError(
                f"{FLAG} {text}: {commit!r} is no full commit of a repository; give its 40 hex "
                "digits, as a branch or a tag may be other code tomorrow"
            )
        revision = commit
    return TableEncoder(entry, file, revision)
