"""What an exchange format is: one slide of a store as files of another tool."""

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from histo_ray.types import Receipt, TileRows


class ExchangeFormat(Protocol):
    """Writes slides as another tool reads them; knows neither stores nor object stores.

    A format that can be read back has two more functions: `detect(folder)`, whether a folder is in
    this format, and `read(folder)`, its slides.
    """

    @property
    def name(self) -> str:
        """How it is asked for: `--to <name>`."""

    @property
    def about(self) -> str:
        """What it is, in a few words, for the help of the command line."""

    def relative_path(self, receipt: Receipt) -> str:
        """Path of a slide's file below the folder of the export."""

    def export(self, rows: Iterable[TileRows], receipt: Receipt, path: Path) -> None:
        """Write one slide.

        Args:
            rows: All of its tiles in order, in blocks of any size; none for an empty slide.
            receipt: What the store says of the slide, its tiling and its encoder.
            path: Local file that is not there yet; its folder is.
        """
