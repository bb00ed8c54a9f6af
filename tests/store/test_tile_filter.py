"""Conditions on tiles: what is let through, what is refused, and which tiles are kept."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histo_ray.errors import ConfigError
from histo_ray.store.tile_filter import TileFilter, parse_where

COLUMNS = {
    "focus": np.array([1, 30, np.nan, 40, 20], np.float32),
    "ink": np.array([0, 0.05, 0, 0.01, 1], np.float32),
    "x": np.array([0, 448, 896, 0, 448], np.int32),
}


def keep(where: str) -> list[int]:
    return [int(row) for row in parse_where(where).find_rows(COLUMNS)]


@pytest.mark.parametrize(
    ("where", "rows"),
    [
        ("focus > 20", [1, 3]),
        ("focus > 20 and ink < 0.05", [3]),  # 0.05 as the float32 that is stored
        ("focus >= 20 AND NOT ink = 1", [1, 3]),
        ("focus <= 20 or ink < 0.05", [0, 2, 3, 4]),
        ("not (focus > 20)", [0, 4]),  # what is not known fulfils neither a comparison nor its not
        ("focus is null", [2]),
        ("focus is not null and x in (0, 896)", [0, 3]),
        ("x not in (0)", [1, 2, 4]),
        ("ink between 0.01 and 0.05", [1, 3]),
        ("0.5 < ink", [4]),
        ("focus <> 30 and focus != 40", [0, 4]),
        ("x > -1 and x <= +448", [0, 1, 3, 4]),
        ("focus > 1e9", []),
    ],
)
def test_tiles_are_kept_as_sql_says(where: str, rows: list[int]) -> None:
    assert keep(where) == rows


def test_one_condition_has_one_spelling() -> None:
    texts = (
        "focus>20 and (ink<.05 or ink is null)",
        " FOCUS > 20 AND ( ink < .05\nor ink IS NULL )",
    )
    first, second = map(parse_where, texts)
    assert (
        first
        == second
        == TileFilter(
            "focus > 20 and (ink < .05 or ink is null)", ("focus", "ink"), frozenset({"ink"})
        )
    )
    assert parse_where(first.text) == first
    assert parse_where("focus >- 1").text == "focus > -1"


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("focs > 1", "tiles have no column focs; .*; did you mean focus?"),
        ("abs(focus) > 1", "no column abs"),
        ("focus(1) > 2", "Function"),
        ("focus > '1'", "neither a column, a number nor a comparison"),
        ('"focus" > 1', "neither a column"),
        ("focus > 1; drop table tiles", "'; drop table tiles' is neither"),
        ("focus > (select 1)", "no column select"),
        ("focus > 1 -- comment", "'--' begins a comment"),
        ("focus > 1 /* c", "begins a comment"),
        ("focus > $1", "neither"),
        ("focus::int > 1", "neither"),
        ("focus > 1) or (x < 2", "brackets do not match"),
        ("(focus > 1", "brackets do not match"),
        ("focus", "a number, not a comparison"),
        ("focus - 1", "a number, not a comparison"),
        ("focus >", "it ends where a number or a column is expected"),
        ("focus > 20 ink", "syntax error"),
        ("1 = 1", "compares no column"),
        ("", "compares no column"),
        ("focus > 0x1F", "neither"),
        ("read_csv('/etc/passwd')", "no column read_csv"),
    ],
)
def test_all_else_is_refused_in_one_sentence(where: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        parse_where(where)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("where", [5, b"focus > 1"])
def test_a_condition_is_text(where: Any) -> None:
    with pytest.raises(ConfigError, match="a condition is text, such as"):
        parse_where(where)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(["focus", "ink", "and", "not", "(", ")", ">", "1", "in", "is",
                                 "null", ",", "-", "between", ".5", " "]), max_size=9))  # fmt: skip
def test_any_text_is_a_condition_or_refused(words: list[str]) -> None:
    try:
        rows = keep(" ".join(words))
    except ConfigError:
        return
    assert rows == sorted(set(rows))
    assert set(rows) <= set(range(5))
