"""What a column of labels is taken for, and when the caller is asked."""

from collections.abc import Sequence

import numpy as np
import pytest

from histo_ray.errors import ConfigError
from histo_ray.labels.column_kinds import ReadColumn, read_column
from histo_ray.labels.column_wishes import ColumnWishes, parse_wishes
from histo_ray.types import TargetKind

NAN = float("nan")


def read(cells: Sequence[str], wishes: ColumnWishes = ColumnWishes()) -> ReadColumn:  # noqa: B008
    def number(cell: str) -> float:
        try:
            return float(cell)
        except ValueError:
            return NAN

    numbers = np.array([number(cell) for cell in cells])
    return read_column("c", cells, numbers, wishes, "made.csv")


@pytest.mark.parametrize(
    ("cells", "classes"),
    [
        (("0", "1", "1", ""), ("0", "1")),
        (("2", "1.0", "1", ""), ("1", "2")),
        (("yes", "no", "yes"), ("no", "yes")),
        (("Wild type", "Altered", "Altered"), ("Wild type", "Altered")),
        (("MSS", "MSI-H", "MSS"), ("MSS", "MSI-H")),
        (("alive", "other", "other"), ("alive", "other")),
        (("b", "b", "a"), ("b", "a")),  # the rarer one
        (("a", "b"), ("a", "b")),
        (("+", "-", "-"), ("-", "+")),
        (("1:DECEASED", "1:DECEASED", "0:LIVING"), ("0:LIVING", "1:DECEASED")),
        (("0:LIVING", "1:DECEASED", "1:DECEASED"), ("0:LIVING", "1:DECEASED")),
        (("0:Recurred", "1:Free", "1:Free"), ("0:Recurred", "1:Free")),  # numbered, not guessed
    ],
)
def test_two_values_are_binary_and_the_rule_chooses_the_positive_one(
    cells: Sequence[str], classes: tuple[str, str]
) -> None:
    found = read(cells)
    assert (found.column.kind, found.column.classes) == (TargetKind.BINARY, classes)
    assert f"positive is {classes[1]}" in found.column.rule
    wanted = [NAN if not c else float(c.removesuffix(".0") == classes[1]) for c in cells]
    np.testing.assert_array_equal(found.values, wanted)


def test_positive_is_as_told_and_others_are_negative() -> None:
    found = read(("I", "III", "II", "iii "), ColumnWishes(positive="III"))
    assert found.column.classes == ("I or II or iii ", "III")
    with pytest.raises(ConfigError, match=r"--positive IV is not among its values \(I, II\)"):
        read(("I", "II"), ColumnWishes(positive="IV"))
    with pytest.raises(ConfigError, match=r"but --kind says binary; name the positive one"):
        read(("I", "II", "III"), ColumnWishes(kind="binary"))


def test_few_whole_numbers_are_asked_about_with_the_flags_that_answer() -> None:
    with pytest.raises(
        ConfigError,
        match=r"column c holds 3 different whole numbers \(1, 2, 10\).* --kind c=ordinal, "
        r"--kind c=multiclass or --kind c=continuous",
    ):
        read(("1", "2", "10", "1"))
    assert read(("1", "2", "10"), ColumnWishes(kind="ordinal")).column.classes == ("1", "2", "10")
    assert read(("1", "2", "10"), ColumnWishes(kind="continuous")).values.tolist() == [1, 2, 10]
    assert read(("0.5", "2", "10")).column.kind is TargetKind.CONTINUOUS
    assert read([str(n) for n in range(11)]).column.kind is TargetKind.CONTINUOUS


def test_words_are_classes_and_too_many_are_refused() -> None:
    found = read(("LumA", "Basal", "Her2", "", "Basal"))
    assert found.column.kind is TargetKind.MULTICLASS
    assert found.column.classes == ("Basal", "Her2", "LumA")
    np.testing.assert_array_equal(found.values, [2, 0, 1, NAN, 0])
    assert "--order c=G1,G2,G3" in read(("G1", "G2", "G3")).column.rule
    with pytest.raises(ConfigError, match=r"holds 30 different values, words among them"):
        read([f"name {n}" for n in range(30)])
    with pytest.raises(ConfigError, match=r"holds 'a' alone"):
        read(("a", "a", ""))


def test_the_order_of_words_is_never_guessed_and_other_values_are_told() -> None:
    with pytest.raises(ConfigError, match=r"say it, lowest first, with --order c=high,low,medium"):
        read(("low", "high", "medium"), ColumnWishes(kind="ordinal"))
    found = read(
        ("low", "HIGH", "medium", "unclear"), ColumnWishes(order=("low", "medium", "high"))
    )
    assert found.column.classes == ("low", "medium", "HIGH")
    np.testing.assert_array_equal(found.values, [0, 2, 1, NAN])
    assert found.notes == (
        "column c: 1 cell of other values than low, medium or HIGH taken as missing (unclear 1)",
    )
    with pytest.raises(ConfigError, match=r"--order names mid, which it does not hold"):
        read(("low", "high", "medium"), ColumnWishes(order=("low", "mid", "high")))


def test_cells_that_are_no_numbers_are_told_where_numbers_are_asked_for() -> None:
    found = read(("1.5", ">90", "3"), ColumnWishes(kind="continuous"))
    np.testing.assert_array_equal(found.values, [1.5, NAN, 3])
    assert found.notes == ("column c: 1 cell without a number (>90) taken as missing",)
    endless = read(("1.5", "inf", "-inf", "2.5", "7"), ColumnWishes(kind="continuous"))
    np.testing.assert_array_equal(endless.values, [1.5, NAN, NAN, 2.5, 7])
    assert endless.notes == ("column c: 2 cells without a number (-inf, inf) taken as missing",)
    with pytest.raises(ConfigError, match="holds no number"):
        read(("a", "b"), ColumnWishes(kind="continuous"))


def test_classes_of_a_predictor_stay_where_a_table_lacks_some() -> None:
    known = ColumnWishes(kind="multiclass", classes=("a", "b", "c"))
    np.testing.assert_array_equal(read(("c", "a", "z"), known).values, [2, 0, NAN])
    two = ColumnWishes(kind="binary", classes=("I or II", "III"))
    np.testing.assert_array_equal(read(("II", "III", "I", "X"), two).values, [0, 1, 0, NAN])


def test_wishes_name_their_columns() -> None:
    found = parse_wishes(
        ("grade", "a=b", "age"),
        ("grade=ordinal", "a=b=binary"),
        ("grade=low, high",),
        ("a=b=yes",),
    )
    assert found["grade"] == ColumnWishes("ordinal", ("low", "high"))
    assert found["a=b"] == ColumnWishes("binary", (), "yes")
    assert found["age"] == ColumnWishes()
    assert parse_wishes(("x", "y"), ("continuous",), (), ())["y"].kind == "continuous"
    assert parse_wishes(("x",), (), ("1,2,3",), ())["x"].order == ("1", "2", "3")


@pytest.mark.parametrize(
    ("kinds", "orders", "positives", "told"),
    [
        (("z=ordinal",), (), (), "names none of the columns x, y; write NAME="),
        (("x=ordnal",), (), (), "did you mean ordinal"),
        ((), ("a,b",), (), "names none of the columns"),
        ((), ("x=a,a",), (), "two or more different classes"),
        (("x=binary",), ("x=a,b",), (), "column x is binary, and only ordinal columns have one"),
        (("x=ordinal",), (), ("x=a",), "column x is ordinal, and only binary ones have one"),
        (("x=ordinal", "x=binary"), (), (), "said twice of column x"),
    ],
)
def test_wishes_that_make_no_sense_are_refused(
    kinds: Sequence[str], orders: Sequence[str], positives: Sequence[str], told: str
) -> None:
    with pytest.raises(ValueError, match=told):
        parse_wishes(("x", "y"), kinds, orders, positives)
