"""The page of the cohort: a table that is filtered and sorted."""

import numpy as np
import numpy.typing as npt
import pandas as pd
from bokeh.document import Document
from bokeh.layouts import row
from bokeh.models import (
    CDSView,
    ColumnDataSource,
    DataTable,
    Div,
    HTMLTemplateFormatter,
    IndexFilter,
    NumberFormatter,
    Select,
    StringFormatter,
    TableColumn,
    TextInput,
)

from histo_ray.text import count_of
from histo_ray.view.cohort_table import FIRST
from histo_ray.view.page_frame import fill_page

ALL = "all outcomes"
_LINK = '<a href="slide?slide=<%= encodeURIComponent(value) %>"><%- value %></a>'
_WIDTHS = {"slide_id": 230, "patient_id": 150, "reason": 320, "encoders": 200}
_WIDTH = 110


def filter_rows(table: pd.DataFrame, text: str, outcome: str) -> npt.NDArray[np.int64]:
    """Rows that have all words of a text somewhere, and an outcome. Pure.

    Args:
        table: From `read_cohort`.
        text: Words; capitals do not matter. `column:word` asks one column alone.
        outcome: `ALL`, or one of the column outcome.
    """
    kept = np.ones(len(table), bool)
    if outcome != ALL:
        kept &= (table["outcome"] == outcome).to_numpy()
    words = text.lower().split()
    if not words:
        return np.flatnonzero(kept)
    cells = {str(name).lower(): table[name].astype(str).str.lower() for name in table}
    whole = pd.Series("", table.index).str.cat(list(cells.values()), sep="\n")
    for word in words:
        column, _, wanted = word.partition(":")
        found = cells[column] if wanted and column in cells else whole
        kept &= found.str.contains(wanted if found is not whole else word, regex=False).to_numpy()
    return np.flatnonzero(kept)


def make_cohort_page(
    doc: Document, table: pd.DataFrame, store: str, problems: list[str], synthetic: bool
) -> None:
    """Fill a document with the table of a cohort."""
    source = ColumnDataSource(table)
    view = CDSView(filter=IndexFilter(list(range(len(table)))))
    grid = DataTable(
        source=source,
        view=view,
        columns=[_make_column(str(name), table[name]) for name in table],
        sizing_mode="stretch_both",
        index_position=None,
        autosize_mode="none",
        row_height=28,
        frozen_columns=1,
        reorderable=False,
        selectable=False,
    )
    text = TextInput(
        placeholder="filter: words, or column:word", width=260, title="", max_length=200
    )
    outcome = Select(value=ALL, options=[ALL, *sorted(table["outcome"].unique())], width=150)
    shown = Div(text=count_of(len(table), "slide"), width=180)

    def update(_attribute: str, _old: object, _new: object) -> None:
        rows = filter_rows(table, text.value_input or text.value or "", outcome.value)
        view.filter = IndexFilter(rows.tolist())
        shown.text = f"{len(rows):,} of {count_of(len(table), 'slide')}"

    text.on_change("value_input", update)
    outcome.on_change("value", update)
    about = f"{count_of(len(table), 'slide')} in {store}"
    if problems:
        about += f"; not readable: {'; '.join(problems[:3])}"
    parts = {"filter": row(text, outcome, shown, styles={"flex-wrap": "wrap"}), "table": grid}
    fill_page(doc, "cohort", "Cohort", parts, about=about, synthetic=synthetic)


def _make_column(name: str, cells: pd.Series) -> TableColumn:
    """A column of the table, with a formatter for what is in it."""
    formatter: StringFormatter
    if name == "slide_id":
        formatter = HTMLTemplateFormatter(template=_LINK)
    elif name == "tiles":
        formatter = NumberFormatter(format="0,0", text_align="right")
    elif name not in FIRST and pd.api.types.is_numeric_dtype(cells):
        whole = bool((cells.dropna() % 1 == 0).all())
        formatter = NumberFormatter(
            format="0" if whole else "0.000", nan_format="", text_align="right"
        )
    elif pd.api.types.is_numeric_dtype(cells):
        formatter = NumberFormatter(format="0.0000", nan_format="", text_align="right")
    else:
        formatter = StringFormatter(nan_format="")
    width = _WIDTHS.get(name, max(_WIDTH, 9 * len(name)))
    return TableColumn(field=name, title=name, formatter=formatter, width=width)
