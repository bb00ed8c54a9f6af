from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm, pearsonr

from histo_ray.errors import ConfigError
from histo_ray.labels.expression_labels import (
    clip_values,
    rank_normal,
    read_expression,
    robust_sd,
    transform_expression,
)
from histo_ray.labels.label_settings import LabelSettings
from histo_ray.labels.label_table import LabelTable
from histo_ray.labels.target_exclusions import ExcludedTarget, TargetExclusion
from histo_ray.types import TargetKind

NAN = np.nan
WIDE = pd.DataFrame(
    {"CD8A": [1.5, NAN, -2.0], "GZMA": [7377.6, 0.0, 1.0]},
    index=pd.Index(["TCGA-05-4249", "TCGA-44-2655", "TCGA-44-2656"], name="patient_id"),
)


def read(path: Path, **settings: Any) -> LabelTable:
    return read_expression(LabelSettings(labels=str(path), **settings))


def write_rows(path: Path) -> Path:
    WIDE.iloc[::-1].to_csv(path)
    return path


def write_columns(path: Path) -> Path:
    turned = WIDE.rename(index=lambda name: f"{name}-01A-11R".replace("-", ".")).T
    turned.insert(0, "Entrez_Gene_Id", [925, 3001])
    turned.rename_axis("Hugo_Symbol").to_csv(path, sep="\t")
    return path


def write_long(path: Path) -> Path:
    long = WIDE.reset_index().melt("patient_id", var_name="gene")
    long.sample(frac=1, random_state=0).to_csv(path, index=False)
    return path


def write_parquet(path: Path) -> Path:
    WIDE.to_parquet(path)
    return path


@pytest.mark.parametrize(
    ("write", "name"),
    [
        (write_rows, "a.csv"), (write_rows, "a.csv.gz"), (write_columns, "data_mrna.txt"),
        (write_long, "a.csv"), (write_parquet, "a.parquet"),
    ],
)  # fmt: skip
def test_the_same_table_whichever_way_round(tmp_path: Path, write: Any, name: str) -> None:
    labels = read(write(tmp_path / name))
    assert labels.patients == tuple(WIDE.index)
    wanted = WIDE[list(labels.targets)].to_numpy()
    np.testing.assert_allclose(labels.values, wanted)
    assert sorted(labels.targets) == ["CD8A", "GZMA"]
    assert len(labels.digest) == 64
    assert labels.notes[0].startswith("layout ")


def test_words_for_missing_values_are_known_in_parquet_too(tmp_path: Path) -> None:
    frame = pd.DataFrame({"A": ["1.5", "NA", " "], "B": [1, 2, None], "C": [True, False, True]})
    frame.set_axis(["p1", "p2", "p3"]).rename_axis("patient_id").to_parquet(tmp_path / "a.parquet")
    labels = read(tmp_path / "a.parquet")
    np.testing.assert_array_equal(labels.values, [[1.5, 1, 1], [NAN, 2, 0], [NAN, NAN, 1]])


def test_genes_that_are_asked_for_but_not_there_are_listed(tmp_path: Path) -> None:
    asked = tmp_path / "genes.txt"
    asked.write_text("GZMA\nIFNG\nPRF1\n")
    for write in (write_rows, write_columns, write_long):
        labels = read(write(tmp_path / "a.txt"), genes=str(asked))
        assert labels.targets == ("GZMA",)
        assert labels.dropped == (
            ExcludedTarget("IFNG", TargetExclusion.ABSENT),
            ExcludedTarget("PRF1", TargetExclusion.ABSENT),
        )  # fmt: skip
    asked.write_text("IFNG\n")
    with pytest.raises(
        ConfigError, match=r"none of the 1 genes of .*\(IFNG\) is in the table, which has CD8A"
    ):
        read(write_rows(tmp_path / "a.csv"), genes=str(asked))


def test_columns_of_words_are_no_genes_but_a_word_among_numbers_is_an_error(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.csv"
    path.write_text("patient_id,remark,CD8A,CD4\np1,IIA,1,nan\np2,IB,-inf,3\n")
    labels = read(path)
    assert labels.targets == ("CD8A", "CD4")
    assert labels.dropped == (
        ExcludedTarget("remark", TargetExclusion.WORDS, "words, as in 'IIA'"),
    )
    np.testing.assert_array_equal(labels.values, [[1, NAN], [NAN, 3]])
    path.write_text("patient_id,CD8A\np1,1\np2,high\n")
    with pytest.raises(
        ConfigError, match=r"1 cell is not a number, or NA: column CD8A, row p2: 'high'"
    ):
        read(path)


def test_genes_with_several_rows_are_averaged(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("gene\ts1\ts2\nA\t1\t2\nB\t3\t4\nA\t3\tNA\n\t9\t9\n")
    labels = read(path)
    assert labels.targets == ("A", "B")
    np.testing.assert_array_equal(labels.values, [[2, 3], [2, 4]])
    assert "1 row without a gene left out" in labels.notes


def test_a_table_of_nothing_but_words_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("patient_id,stage\np1,IIA\n")
    with pytest.raises(
        ConfigError, match=r"1 sample and 0 genes with values \(left out: stage \(clinical\)\)"
    ):
        read(path)


def labels_of(values: Any) -> LabelTable:
    matrix = np.array(values, float)
    patients = tuple(f"p{at}" for at in range(len(matrix)))
    targets = tuple("ABCDEFG"[: matrix.shape[1]])
    return LabelTable(patients, targets, matrix, (), "", "t.csv", (), kind=TargetKind.CONTINUOUS)


def test_rank_normal_is_bloms_formula_with_ties_and_gaps() -> None:
    scores = rank_normal(np.array([[5.0, 1.0], [7377.0, NAN], [-2.0, 1.0], [5.0, 0.0]]))
    wanted = norm.ppf((np.array([2.5, 4.0, 1.0, 2.5]) - 3 / 8) / (4 + 1 / 4))
    np.testing.assert_allclose(scores[:, 0], wanted)
    wanted = norm.ppf((np.array([2.5, NAN, 2.5, 1.0]) - 3 / 8) / (3 + 1 / 4))
    np.testing.assert_allclose(scores[:, 1], wanted)


@settings(max_examples=20)
@given(seed=st.integers(0, 100))
def test_a_transform_does_not_know_which_patient_is_which(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = labels_of(rng.lognormal(0, 3, (17, 3)))
    order = rng.permutation(17)
    mixed = labels.take(order.tolist(), labels.patients)
    for transform in ("none", "log2", "rank", "clip"):
        before = transform_expression(mixed, transform, "5sd")
        after = transform_expression(labels, transform, "5sd")
        np.testing.assert_array_equal(before.values, after.values[order])
        rising = after.values[np.argsort(labels.values[:, 1]), 1]
        assert (np.diff(rising) >= 0).all()
        assert rising[0] < rising[-1]


def test_an_outlier_decides_a_correlation_until_it_is_ranked_or_clipped() -> None:
    rng = np.random.default_rng(0)
    feature = rng.normal(size=200)
    values = (feature + rng.normal(size=200))[:, None]
    values[7] = 7377
    found = {}
    for transform in ("none", "rank", "clip"):
        labels = transform_expression(labels_of(values), transform, "5sd")
        found[transform] = abs(pearsonr(feature, labels.values[:, 0])[0])
    assert found["none"] < 0.15 < 0.6 < min(found["rank"], found["clip"])


def test_log2_refuses_negative_values_with_the_genes() -> None:
    labels = transform_expression(labels_of([[0, 7], [1, NAN]]), "log2", "5sd")
    np.testing.assert_array_equal(labels.values, [[0, 3], [1, NAN]])
    with pytest.raises(ConfigError, match=r"1 gene with negative values \(B; the least is -2\)"):
        transform_expression(labels_of([[0, -2], [1, NAN]]), "log2", "5sd")


def test_clipping_at_a_value_and_at_standard_deviations() -> None:
    values = np.array([[-20.0, 3.0], [NAN, 12.0]])
    np.testing.assert_array_equal(clip_values(values, "10"), [[-10, 3], [NAN, 10]])
    column: npt.NDArray[np.float64] = np.append(norm.ppf((np.arange(99) + 0.5) / 99), 1e6)[:, None]
    clipped = clip_values(column, "5sd")
    assert 4.5 < clipped.max() < 5.5
    np.testing.assert_array_equal(clipped[:99], column[:99])
    np.testing.assert_allclose(clip_values(column + 100, "5sd"), clipped + 100)
    labels = transform_expression(labels_of(column), "clip", "5sd")
    assert labels.notes == ("expression: 1 value clipped at 5sd",)


def test_the_robust_sd_goes_outwards_where_most_values_are_equal() -> None:
    rng = np.random.default_rng(1)
    normal = rng.normal(3, 2, 5000)
    rare = np.where(np.arange(5000) < 4000, 0.0, normal)
    alone = np.zeros(5000)
    alone[0] = 50
    gaps = np.where(np.arange(5000) % 7 == 0, NAN, normal)
    wild = np.where(np.arange(5000) % 20 == 0, rng.choice([-1e6, 1e6], 5000), normal)
    sd = robust_sd(np.stack([normal, rare, alone, gaps, np.zeros(5000), wild], axis=1))
    np.testing.assert_allclose(sd[[0, 3]], 2, rtol=0.05)
    np.testing.assert_allclose(sd[5], 2, rtol=0.15)
    assert 0 < sd[1] < 3
    np.testing.assert_allclose(sd[2], alone.std())
    assert sd[4] == 0
    everything = np.stack([normal, np.full(5000, NAN)], axis=1)
    np.testing.assert_array_equal(clip_values(everything, "99sd"), everything)
