"""Finds rows of the cohort's table by words and outcome. Pure."""

import numpy as np
import numpy.typing as npt
import pandas as pd

ALL = "all outcomes"


class CohortFilter:
    """The cells of a table as text, so that each question takes milliseconds."""

    def __init__(self, table: pd.DataFrame) -> None:
        """Take a table of `read_cohort`."""
        self._outcomes = table["outcome"].to_numpy()
        self._cells = {str(name).lower(): table[name].astype(str).str.lower() for name in table}
        self._rows = pd.Series("", table.index)
        for cells in self._cells.values():
            self._rows = self._rows + "\n" + cells

    def find(self, text: str, outcome: str = ALL) -> npt.NDArray[np.int64]:
        """Rows that have all words of a text, and an outcome.

        Args:
            text: Words; capitals do not matter. `column:word` asks one column alone.
            outcome: `ALL`, or one of the column outcome.
        """
        kept = np.ones(len(self._rows), bool)
        if outcome != ALL:
            kept &= self._outcomes == outcome
        for word in text.lower().split():
            column, _, sought = word.partition(":")
            asks_one = bool(sought) and column in self._cells
            cells = self._cells[column] if asks_one else self._rows
            kept &= cells.str.contains(sought if asks_one else word, regex=False).to_numpy(bool)
        return np.flatnonzero(kept)
