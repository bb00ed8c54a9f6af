"""The real tables of TCGA-LUAD; features are not needed here."""

import re
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import rankdata

from histo_ray.cohort.join import join_cohort
from histo_ray.cohort.usable_targets import prepare_labels
from histo_ray.labels.expression_labels import read_expression
from histo_ray.labels.label_settings import LabelSettings
from histo_ray.labels.mutation_labels import read_mutations
from histo_ray.labels.target_exclusions import TargetExclusion


@pytest.fixture(scope="module")
def tables(real_data: Path) -> Path:
    return real_data / "tables"


def test_expression_is_read_ranked_and_joined(tables: Path) -> None:
    slides = pd.read_csv(tables / "tcga_luad_slides.csv", dtype=str)
    pairs = list(zip(slides["patient_id"], slides["site"], strict=True))
    counts = Counter(patient for patient, _ in pairs)
    sites = {patient: [site] for patient, site in pairs}
    settings = LabelSettings(labels=str(tables / "tcga_luad_expression.parquet"))
    labels = read_expression(settings, counts)
    assert labels.values.shape == (453, 1555)
    cohort = join_cohort({"a": counts.keys(), "b": list(counts)[3:]}, counts, sites, labels)
    assert len(cohort.patients) == 450
    assert cohort.lost == {"a": 0, "b": 3}
    assert len(set(cohort.groups("site"))) == len({sites[p][0] for p in cohort.patients})
    ready = prepare_labels(cohort.labels, 5, settings)
    assert len(ready.targets) + len(ready.dropped) == 1555
    assert {drop.reason for drop in ready.dropped} <= {TargetExclusion.TOO_FEW_DISTINCT}
    assert all(re.match(r"\d patients? off the commonest value", d.text) for d in ready.dropped)
    assert np.abs(ready.values).max() < 3
    wildest = labels.targets.index("DEFA5")
    assert labels.values[:, wildest].max() > 7377
    again = ready.values[:, ready.targets.index("DEFA5")]
    np.testing.assert_array_equal(rankdata(again), rankdata(cohort.labels.values[:, wildest]))


def test_immune_genes_that_the_table_has_are_used_and_the_others_listed(tables: Path) -> None:
    path = str(tables / "tcga_luad_expression.parquet")
    labels = read_expression(LabelSettings(labels=path, genes="immune"))
    assert (len(labels.targets), len(labels.dropped)) == (84, 71)
    assert {drop.reason for drop in labels.dropped} == {TargetExclusion.ABSENT}


def test_mutations_all_have_enough_positives(tables: Path) -> None:
    settings = LabelSettings(labels=str(tables / "tcga_luad_mutations.csv"))
    labels = prepare_labels(read_mutations(settings), 5, settings)
    assert labels.values.shape == (453, 10)
    plain = pd.read_csv(tables / "tcga_luad_mutations.csv", index_col=0).sort_index()
    np.testing.assert_array_equal(labels.values, plain[list(labels.targets)])
