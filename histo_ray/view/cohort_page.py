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
from histo_ray.view.cohort_filter import ALL, CohortFilter
from histo_ray.view.cohort_table import FIRST, LAST
from histo_ray.view.page_frame import fill_page

_LINK = '<a href="slide?slide=<%= encodeURIComponent(value) %>"><%- value %></a>'
_LETTER_PX, _LEAST_PX, _MOST_PX = 7, 60, 260


def make_cohort_page(
    doc: Document, table: pd.DataFrame, store: str, problems: list[str], synthetic: bool
) -> None:
    """Fill a document with the table of a cohort."""
    source, rows_of = ColumnDataSource(_list_cells(table)), CohortFilter(table)
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
        rows = rows_of.find(text.value_input or "", outcome.value)
        view.filter = IndexFilter(rows.tolist())
        shown.text = f"{len(rows):,} of {count_of(len(table), 'slide')}"

    text.on_change("value_input", update)
    outcome.on_change("value", update)
    about = f"{count_of(len(table), 'slide')} in {store}"
    if problems:
        about += f"; not readable: {'; '.join(problems[:3])}"
    parts = {"filter": row(text, outcome, shown, styles={"flex-wrap": "wrap"}), "table": grid}
    fill_page(doc, "cohort", "Cohort", parts, about=about, synthetic=synthetic)


def _list_cells(table: pd.DataFrame) -> dict[str, npt.NDArray[np.float64] | list[object]]:
    """Cells by column: numbers as an array, all others as a list."""
    return {
        str(name): table[name].to_numpy(np.float64)
        if pd.api.types.is_numeric_dtype(table[name])
        else table[name].astype(object).where(table[name].notna(), "").tolist()
        for name in table
    }


def _make_column(name: str, cells: pd.Series) -> TableColumn:
    """A column of the table, with a formatter for what is in it."""
    formatter: StringFormatter
    if name == "slide_id":
        formatter = HTMLTemplateFormatter(template=_LINK)
    elif name == "tiles":
        formatter = NumberFormatter(format="0,0", text_align="right")
    elif name not in (*FIRST, *LAST) and pd.api.types.is_numeric_dtype(cells):
        whole = bool((cells.dropna() % 1 == 0).all())
        formatter = NumberFormatter(
            format="0" if whole else "0.000", nan_format="", text_align="right"
        )
    elif pd.api.types.is_numeric_dtype(cells):
        formatter = NumberFormatter(format="0.0000", nan_format="", text_align="right")
    else:
        formatter = StringFormatter(nan_format="")
    longest = (
        max(len(name) + 2, int(cells.astype(str).str.len().max())) if len(cells) else len(name)
    )
    if pd.api.types.is_float_dtype(cells):
        longest = len(name) + 2
    width = min(_MOST_PX, max(_LEAST_PX, 16 + _LETTER_PX * longest))
    return TableColumn(field=name, title=name, formatter=formatter, width=width)
