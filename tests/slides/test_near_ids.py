import pytest

from histo_ray.slides.near_ids import describe_near_ids, find_near_ids


@pytest.mark.parametrize(
    ("one", "other", "kind"),
    [
        ("p01", "P01", "case"),
        ("P-01", "P_01", "punctuation"),
        ("P 01", "P01", "punctuation"),
        ("P1", "P001", "leading zeros"),
        ("7", "007", "leading zeros"),
        ("case-7", "CASE_007", "leading zeros"),
        ("12.0", "12", "a suffix"),
        ("P12", "P12-T", "a suffix"),
        ("P12", "p12_2_b", "a suffix"),
        ("P12", "P12A", "a suffix"),
        ("C3L-00001", "C3L-00001-21", "a suffix"),
    ],
)
def test_ids_that_differ_in_writing_are_a_pair(one: str, other: str, kind: str) -> None:
    assert find_near_ids([one, "x"], [other, "y"]) == {kind: [(one, other)]}
    assert find_near_ids([other, "x"], [one, "y"]) == {kind: [(other, one)]}


@pytest.mark.parametrize(
    ("one", "other"),
    [("P1", "P10"), ("P1", "P2"), ("1-1", "11"), ("10", "100"), ("A", "B"), ("P12", "P12")],
)
def test_other_ids_are_none(one: str, other: str) -> None:
    assert find_near_ids([one], [other]) == {}


def test_one_list_is_compared_with_itself_and_each_pair_is_told_once() -> None:
    ids = ["a1", "A1", "A01", "b", "b-2", "c"]
    found = find_near_ids(ids, ids)
    assert found == {
        "case": [("A1", "a1")],
        "leading zeros": [("A01", "A1"), ("A01", "a1")],
        "a suffix": [("b", "b-2")],
    }
    assert describe_near_ids(found) == (
        "1 pair differs only in case (A1 / a1), 2 pairs differ only in leading zeros (A01 / A1, "
        "A01 / a1), 1 pair differs only in a suffix (b / b-2)"
    )


def test_examples_are_few() -> None:
    found = find_near_ids([f"p{k}" for k in range(9)], [f"P{k}" for k in range(9)])
    told = "9 pairs differ only in case (p0 / P0, p1 / P1, p2 / P2, ...)"
    assert describe_near_ids(found) == told
