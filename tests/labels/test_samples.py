from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histo_ray.errors import ConfigError
from histo_ray.labels.samples import (
    SampleTable,
    Values,
    merge_rows,
    merge_samples,
    merge_targets,
    reduce_cells,
)

NAN = np.nan


def table(samples: Sequence[str], values: Any) -> SampleTable:
    matrix = np.array(values, float)
    targets = tuple("ABCDEFG"[: matrix.shape[1]])
    return SampleTable(tuple(samples), tuple(samples), targets, matrix)


def test_several_samples_are_averaged_and_normal_ones_left_out() -> None:
    samples = ["TCGA-44-2655-01B-11R", "TCGA-05-4249-01A-11R", "TCGA-44-2655-01A-11R"]
    normal = ["TCGA-44-2655-11A-01R", "TCGA-05-4249-20A"]
    values = [[1, 5], [2, NAN], [3, np.inf], [90, 90], [90, 90]]
    patients, merged, notes = merge_samples(table([*samples, *normal], values), "mean", "t.csv")
    assert patients == ("TCGA-05-4249", "TCGA-44-2655")
    np.testing.assert_array_equal(merged, [[2, NAN], [2, 5]])
    assert notes == (
        "TCGA barcodes cut to patients",
        "2 samples of normal tissue or controls left out",
        "1 infinite value taken as missing",
        "1 patient with several samples: averaged",
    )


def test_a_primary_tumour_is_preferred_and_a_metastasis_is_better_than_nothing() -> None:
    samples = ["TCGA-44-2655-06A", "TCGA-44-2655-01A", "TCGA-05-4249-06A"]
    _, merged, notes = merge_samples(table(samples, [[1], [2], [3]]), "mean", "t.csv")
    np.testing.assert_array_equal(merged, [[3], [2]])
    assert "1 sample of recurrent or metastatic tumours left out" in notes[1]


def test_a_patient_is_mutated_if_one_sample_is() -> None:
    samples = ["TCGA-44-2655-01A", "TCGA-44-2655-01B", "TCGA-05-4249-01A"]
    values = [[0, 0, NAN], [1, 0, NAN], [0, 1, 0]]
    _, merged, notes = merge_samples(table(samples, values), "any", "t.csv")
    np.testing.assert_array_equal(merged, [[0, 1, 0], [1, 0, NAN]])
    assert notes[-1] == "1 patient with several samples: mutated if one sample is"


def test_equal_rows_of_one_patient_are_noted_and_fill_each_other() -> None:
    patients, merged, notes = merge_samples(
        table(["p2", "p1", "p2"], [[1, 2], [3, 4], [1, NAN]]), "mean", "t.csv"
    )
    assert patients == ("p1", "p2")
    np.testing.assert_array_equal(merged, [[3, 4], [1, 2]])
    assert notes == ("1 id more than once, with the same values",)


def test_rows_of_one_patient_that_contradict_each_other_are_refused_with_their_ids() -> None:
    rows = [[NAN, 1], [3, 4], [2, 1], [7, 1], [3, 4], [3, 4]]
    with pytest.raises(
        ConfigError, match=r"t.csv: 1 id .*different values \(p2\), in column A \(1 id\)"
    ):
        merge_samples(table(["p2", "p1", "p2", "p2", "p1", "p3"], rows), "mean", "t.csv")


def test_nothing_but_normal_tissue_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"2 samples, all of normal tissue .*give a table with tumour"
    ):
        merge_samples(table(["TCGA-44-2655-11A", "TCGA-05-4249-11A"], [[1], [2]]), "mean", "t")


def test_several_columns_of_a_gene_become_one() -> None:
    values = np.array([[1, 10, 3], [NAN, 20, 5]])
    names, merged, note = merge_targets(["A", "B", "A"], values, "mean")
    assert names == ["A", "B"]
    np.testing.assert_array_equal(merged, [[2, 10], [5, 20]])
    assert note == "1 gene with several entries: averaged (A)"
    assert merge_targets(["A", "B", "C"], values, "mean")[2] == ""


@settings(max_examples=30)
@given(seed=st.integers(0, 200))
def test_cells_and_rows_are_merged_as_pandas_does(seed: int) -> None:
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 40))
    rows, columns = rng.integers(0, 5, count), rng.integers(0, 3, count)
    measured: Values = rng.normal(size=count)
    measured[rng.random(count) < 0.3] = rng.choice([NAN, np.inf])
    counted = pd.Series(np.where(np.isfinite(measured), measured, NAN))
    wanted = counted.groupby([rows, columns]).mean().unstack()
    wanted = wanted.reindex(index=range(5), columns=range(3))
    np.testing.assert_allclose(reduce_cells(rows, columns, measured, (5, 3), "mean"), wanted)
    group = np.append(rng.permutation(4), rng.integers(0, 4, 5))
    values = np.where(rng.random((9, 3)) < 0.3, NAN, rng.normal(size=(9, 3)))
    np.testing.assert_allclose(
        merge_rows(values, group, "mean"), pd.DataFrame(values).groupby(group).mean()
    )
