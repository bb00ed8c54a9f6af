import numpy as np
import pytest

from histo_ray.cohort.usable_targets import keep_usable, prepare_labels
from histo_ray.errors import ConfigError
from histo_ray.labels.label_settings import LabelSettings
from histo_ray.labels.label_table import LabelTable
from histo_ray.labels.target_exclusions import ExcludedTarget, TargetExclusion
from histo_ray.types import TargetKind

NAN = np.nan
COUNT = 20


OLD = ExcludedTarget("OLD", TargetExclusion.WORDS, "x")


def labels_of(kind: TargetKind, **columns: list[float]) -> LabelTable:
    values = np.array(list(columns.values()), float).T
    patients = tuple(f"p{at:02}" for at in range(len(values)))
    return LabelTable(patients, tuple(columns), values, (OLD,), "", "t.csv", (), kind=kind)


def mutations_of(**columns: list[float]) -> LabelTable:
    return labels_of(TargetKind.BINARY, **columns)


def expression_of(**columns: list[float]) -> LabelTable:
    return labels_of(TargetKind.CONTINUOUS, **columns)


def first(positives: int, missing: int = 0) -> list[float]:
    return [1.0] * positives + [0.0] * (COUNT - positives - missing) + [NAN] * missing


def test_genes_with_too_few_of_a_kind_are_left_out_with_the_count() -> None:
    labels = mutations_of(
        GOOD=first(5), FEW=first(4), NONE=first(0), ALL=first(17, 0), GAPS=first(12, 4),
        HOLES=first(9, 5), VOID=[NAN] * COUNT,
    )  # fmt: skip
    kept = keep_usable(labels, 5)
    assert kept.targets == ("GOOD",)
    assert kept.values.shape == (COUNT, 1)
    assert [(drop.target, drop.text) for drop in kept.dropped] == [
        ("OLD", "x"),
        ("FEW", "4 positives among 20 patients, 5 needed, one a fold"),
        ("NONE", "0 positives among 20 patients, 5 needed, one a fold"),
        ("ALL", "3 negatives among 20 patients, 5 needed, one a fold"),
        ("GAPS", "4 negatives among 16 patients, 5 needed, one a fold"),
        ("HOLES", "25.0% missing, more than 20%"),
        ("VOID", "no value"),
    ]
    assert kept.notes == ("6 genes left out (FEW, NONE, ALL, GAPS, HOLES, ...)",)
    assert keep_usable(labels, 3, 0.5).targets == (
        "GOOD", "FEW", "ALL", "GAPS", "HOLES",
    )  # fmt: skip


def test_groups_are_counted_where_they_stay_together() -> None:
    sites = ["a", "a", "b", "b", "c", *"defghijklmnopqr"]
    assert keep_usable(mutations_of(G=first(6)), 4, groups=sites).targets == ("G",)
    with pytest.raises(ConfigError, match=r"G: 3 positives \(groups\) among 20 patients, 4 needed"):
        keep_usable(mutations_of(G=first(5)), 4, groups=sites)


def test_all_zero_mutations_leave_nothing_to_evaluate() -> None:
    with pytest.raises(
        ConfigError,
        match=r"t.csv: none of 3 targets can be scored by .* of 20 patients \(OLD: x; A: 0 pos",
    ):
        keep_usable(mutations_of(A=first(0), B=first(0)), 5)


def test_expression_without_variance_or_values_is_left_out() -> None:
    rng = np.random.default_rng(0)
    labels = expression_of(
        GOOD=rng.normal(size=COUNT).tolist(), SAME=[0.1] * COUNT, RARE=[*first(4)[:-1], NAN],
        FIVE=first(5), MOST=first(17), HOLES=[*rng.normal(size=15), *[NAN] * 5], VOID=[NAN] * COUNT,
    )  # fmt: skip
    for transform in ("none", "rank", "clip", "log2"):
        if transform == "log2":
            labels = expression_of(GOOD=first(9), SAME=first(0), FIVE=first(5))
        settings = LabelSettings.model_validate({"labels": "t.csv", "transform": transform})
        kept = prepare_labels(labels, 5, settings)
        assert kept.targets == ("GOOD", "FIVE")
        assert ExcludedTarget("SAME", TargetExclusion.NO_VARIANCE) in kept.dropped
        if transform != "log2":
            rare = "4 patients off the commonest value, 5 needed, one a fold"
            few, missing = TargetExclusion.TOO_FEW_DISTINCT, TargetExclusion.TOO_MANY_MISSING
            assert kept.dropped[2:] == (
                ExcludedTarget("RARE", few, rare),
                ExcludedTarget("MOST", few, rare.replace("4", "3")),
                ExcludedTarget("HOLES", missing, "25.0% missing, more than 20%"),
                ExcludedTarget("VOID", TargetExclusion.NO_VALUE),
            )


def test_mutations_are_not_transformed() -> None:
    labels = mutations_of(G=first(6))
    kept = prepare_labels(labels, 5, LabelSettings(labels="t.csv", transform="rank"))
    np.testing.assert_array_equal(kept.values, labels.values)
