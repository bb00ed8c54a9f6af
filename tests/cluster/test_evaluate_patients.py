"""Whole evaluations of expression and mutation on a real Ray; a store on disk, label files."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from histo_ray.api.evaluate import evaluate
from histo_ray.api.evaluation_result import EvaluationResult
from histo_ray.errors import ConfigError
from histo_ray.evaluate.caveats import CaveatCode
from histo_ray.evaluate.evaluation_record import PatientRecord
from histo_ray.evaluate.events import CohortJoined, Event, FoundState, RunFound
from histo_ray.evaluate.jobs import Progress
from histo_ray.evaluate.patients.patient_cohort import find_slides, gather_patients
from histo_ray.evaluate.patients.patient_features import load_bags
from histo_ray.evaluate.tasks.expression import ExpressionConfig
from histo_ray.evaluate.tasks.mutation import TASK, MutationConfig
from histo_ray.evaluate.tasks.registry import TASKS
from histo_ray.schema import arrow_schema
from histo_ray.store.store import open_store
from histo_ray.store.tables import PIECES
from tests.cluster.patients import COUNT, PATIENTS, write_labels, write_store

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("shared_ray")]

TABLES = ("scores", "predictions", "folds", "targets", "comparisons", "cohort")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("outcome")
    write_store(folder)
    write_labels(folder)
    return folder


def expression(place: Path, **changes: Any) -> ExpressionConfig:
    settings = {
        "store": str(place / "store"),
        "labels": str(place / "expression.csv"),
        "encoder": ("dull", "sharp"),
        "repeats": 3,
        "permutations": 200,
        "resamples": 200,
        "address": "local",
    }
    return ExpressionConfig.model_validate(settings | changes)


def mutation(place: Path, **changes: Any) -> MutationConfig:
    settings = {
        "store": str(place / "store"),
        "labels": str(place / "mutations.csv"),
        "encoder": ("dull", "sharp"),
        "repeats": 2,
        "resamples": 200,
        "address": "local",
    }
    return MutationConfig.model_validate(settings | changes)


Finished = tuple[EvaluationResult, list[Event]]


def run(
    config: ExpressionConfig | MutationConfig,
    tell: Callable[[Event], None] = lambda event: None,
    report: Progress = lambda done, total: None,
) -> EvaluationResult:
    task = "expression" if isinstance(config, ExpressionConfig) else "mutation"
    return evaluate(TASKS[task], config, tell=tell, report=report)


def record_of(result: EvaluationResult) -> PatientRecord:
    assert isinstance(result.record, PatientRecord)
    return result.record


@pytest.fixture(scope="module")
def finished(shared_ray: None, place: Path) -> Finished:
    told: list[Event] = []
    return run(expression(place, pooling=("mean", "mean+std")), told.append), told


def frames(result: EvaluationResult) -> dict[str, pd.DataFrame]:
    return {name: result.table(name) for name in TABLES}


def bytes_of(result: EvaluationResult, name: str) -> bytes:
    return (Path(result.store) / result.folder / f"{name}.parquet").read_bytes()


def test_every_table_is_there_in_the_columns_of_its_schema(
    finished: Finished,
) -> None:
    folder = finished[0].evaluation.folder
    for name in TABLES:
        schema = arrow_schema(name if name == "folds" else f"outcome_{name}")
        assert folder.read(name).schema.names == schema.names, name
    assert not any(name == PIECES for name in folder.names())


def test_driven_genes_are_found_better_than_chance_and_better_with_the_sharp_encoder(
    finished: Finished,
) -> None:
    tables = frames(finished[0])
    targets = tables["targets"].set_index(["encoder", "target"])
    assert targets.loc[("sharp", ["G0", "G1"]), "q_chance"].max() < 0.05
    assert targets["score"].loc[[("sharp", "G0")]].item() > 0.6
    assert (targets["low"] <= targets["score"]).all()
    assert (targets["score"] <= targets["high"]).all()
    better = tables["comparisons"].set_index("target")
    assert better["difference"].loc[["G0"]].item() > 0.05
    assert set(better["encoder_b"]) == {"sharp"}


def test_each_patient_is_predicted_once_a_repeat_by_each_encoder_on_the_same_folds(
    finished: Finished,
) -> None:
    tables = frames(finished[0])
    rows = tables["predictions"].query("target == 'G0'")
    counts = rows.groupby(["encoder", "repeat"])["patient_id"].agg(["size", "nunique"])
    used = record_of(finished[0]).cohort.patients_used
    assert (counts == used).all(axis=None)
    folds = tables["folds"].rename(columns={"item": "patient_id", "fold": "given"})
    joined = rows.merge(folds, on=["patient_id", "repeat"])
    assert len(joined) == len(rows)
    assert (joined["fold"] == joined["given"]).all()
    unknown = tables["predictions"].query("target == 'G2'")["patient_id"] == PATIENTS[5]
    assert not unknown.any()


def test_one_pooling_is_selected_for_each_gene_and_fold_by_its_inner_score(
    finished: Finished,
) -> None:
    scores = frames(finished[0])["scores"]
    keys = ["target", "encoder", "repeat", "fold"]
    assert (scores.groupby(keys)["selected"].sum() == 1).all()
    best = scores.loc[scores.groupby(keys)["inner_score"].idxmax()]
    assert best["selected"].all()
    assert scores.query("selected")["pooling"].nunique() == 2


def test_who_does_not_join_is_counted_listed_and_told_before_anything_runs(
    finished: Finished,
) -> None:
    result, told = finished
    flow = record_of(result).cohort
    assert flow.patients_used == 57
    assert flow.features_only == 3
    assert flow.labels_only == 2
    (joined,) = [event for event in told if isinstance(event, CohortJoined)]
    assert joined.patients == 57
    table = result.cohort
    assert table["used"].sum() == 57
    assert (table.query("not used")["reason"] != "").all()
    (flat,) = record_of(result).labels.dropped
    assert (flat.target, flat.reason) == ("FLAT", "no variance")


def test_encoders_with_other_slides_are_compared_on_the_common_ones_and_that_is_said(
    finished: Finished,
) -> None:
    (found,) = [one for one in finished[0].record.caveats if one.code is CaveatCode.SLIDES_DIFFER]
    assert (found.values["encoder"], found.number("slides")) == ("dull", 2)


def test_the_same_command_again_computes_nothing(finished: Finished, place: Path) -> None:
    told: list[Event] = []
    again = run(expression(place, pooling=("mean", "mean+std")), told.append)
    assert again.record == finished[0].record
    assert told == [RunFound(again.record.run_id, FoundState.DONE)]


def test_any_duckdb_reads_the_tables(finished: Finished) -> None:
    folder = finished[0].evaluation.folder
    path = f"{folder.root.path}/{folder.folder}"
    query = f"select count(distinct target) from '{path}/targets.parquet' where score > -2"
    found = duckdb.sql(query)
    assert found is not None
    assert found.fetchall() == [(8,)]


def test_poisoned_labels_of_a_fold_change_nothing_that_predicts_it(
    finished: Finished, place: Path, tmp_path: Path
) -> None:
    folds = finished[0].evaluation.folder.read("folds").to_pandas()
    pq.write_table(finished[0].evaluation.folder.read("folds"), tmp_path / "folds.parquet")
    labels = pd.read_csv(place / "expression.csv")
    judged = folds.query("repeat == 0 and fold == 0")["item"]
    rows = labels["patient_id"].isin(judged)
    rng = np.random.default_rng(0)
    labels.loc[rows, "G0"] = rng.permutation(labels.loc[rows, "G0"].to_numpy())[::-1]
    labels.to_csv(tmp_path / "poisoned.csv", index=False)
    changes = {"pooling": ("mean", "mean+std"), "permutations": 0}
    config = expression(
        place, labels=str(tmp_path / "poisoned.csv"), fold_file=str(tmp_path / "folds.parquet"),
        **changes,
    )  # fmt: skip
    poisoned = frames(run(config))["scores"]
    clean = frames(finished[0])["scores"]
    where = "target == 'G0' and repeat == 0 and fold == 0"
    chosen = ["encoder", "pooling", "selected", "choice", "inner_score"]
    pd.testing.assert_frame_equal(
        poisoned.query(where)[chosen].reset_index(drop=True),
        clean.query(where)[chosen].reset_index(drop=True),
    )
    elsewhere = "target == 'G0' and repeat == 0 and fold == 1"
    assert (
        poisoned.query(elsewhere)["inner_score"].to_numpy()
        != clean.query(elsewhere)["inner_score"].to_numpy()
    ).any()


@pytest.mark.slow
def test_mutations_are_predicted_by_logistic_regression_and_by_attention(place: Path) -> None:
    config = mutation(
        place, genes=str(_genes(place, "TP53")), head=("logistic", "mil"), repeats=1,
        mil=("epochs=12", "rate=0.001,0.01", "hidden=16"),
    )  # fmt: skip
    result = run(config)
    scores = frames(result)["scores"]
    assert {head.split()[0] for head in scores["head"]} == {"logistic", "mil"}
    judged = scores.query("head != 'logistic'").groupby(["encoder", "fold"])["auroc"].count()
    assert len(judged) == 10  # at least one setting of each fold went to its end
    assert judged.min() >= 1
    assert scores.query("selected")["auroc"].between(0, 1).all()
    counts = scores.query("selected").groupby(["encoder", "fold"]).size()
    assert (counts == 1).all()
    row = frames(result)["targets"].query("encoder == 'sharp'").iloc[0]
    assert row["score"] > 0.6
    assert row["n_patients"] == COUNT


def test_attention_keeps_sites_whole_inside_training_parts_where_folds_do(place: Path) -> None:
    config = mutation(place, genes=str(_genes(place, "TP53")), keep_together="site", folds=3)
    store = open_store(config.store)
    found = find_slides(store, config)
    patients = gather_patients(found, TASK, config)
    for bags in load_bags(store, found, patients, most=5, seed=0).values():
        assert bags.groups is not None
        assert len(set(bags.groups.tolist())) == len(set(patients.groups)) == 7
        assert {len(vectors) for vectors in bags.vectors} == {5}


def test_genes_without_positives_are_refused_with_the_count(place: Path) -> None:
    with pytest.raises(ConfigError, match=r"WILD1: 0 positives"):
        run(mutation(place, genes=str(_genes(place, "WILD1"))))


def test_labels_of_other_patients_are_refused_with_both_ids(place: Path, tmp_path: Path) -> None:
    path = tmp_path / "others.csv"
    path.write_text("patient_id,TP53\nA,1\nB,0\nC,1\n")
    with pytest.raises(ConfigError, match=r"none of its 3 patients \(A, B, C\)"):
        run(mutation(place, labels=str(path)))


def test_an_encoder_that_the_store_lacks_is_named_beside_those_that_it_has(place: Path) -> None:
    with pytest.raises(ConfigError, match=r"encoder resnet50: no slides .*dull, sharp"):
        run(mutation(place, encoder=("resnet50",)))


@pytest.mark.slow
def test_a_killed_driver_costs_no_finished_repeat_and_changes_no_table(
    place: Path, tmp_path: Path
) -> None:
    write_store(tmp_path)
    write_labels(tmp_path)
    flags = {"store": tmp_path / "store", "labels": tmp_path / "expression.csv", "repeats": 20}
    flags |= {"permutations": 100, "resamples": 200, "seed": 3}
    command = [sys.executable, "-m", "histo_ray", "evaluate", "expression"]
    command += [text for key, value in flags.items() for text in (f"--{key}", str(value))]
    command += ["--address", "local"]
    driver = subprocess.Popen([*command, "--encoder", "dull", "--encoder", "sharp"])
    pattern = f"store/evaluations/expression/*/{PIECES}/*.parquet"
    deadline = time.monotonic() + 200
    while len(list(tmp_path.glob(pattern))) < 4 and time.monotonic() < deadline:
        assert driver.poll() is None
        time.sleep(0.02)
    driver.kill()
    driver.wait()
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.glob(pattern)}
    assert 4 <= len(kept) < 40
    counts: list[tuple[int, int]] = []
    settings = {"repeats": 20, "permutations": 100, "seed": 3}
    ours = run(expression(tmp_path, **settings), report=lambda a, b: counts.append((a, b)))
    assert counts[0] >= (len(kept), 40)
    assert counts[-1] == (40, 40)
    calm = run(expression(place, **settings))
    for name in TABLES:
        pd.testing.assert_frame_equal(frames(ours)[name], frames(calm)[name], check_exact=True)


def _genes(place: Path, *names: str) -> Path:
    path = place / f"genes-{'-'.join(names)}.txt"
    path.write_text("\n".join(names) + "\n")
    return path


@pytest.mark.parametrize("changes", [{}, {"head": ("mil",), "mil": ("epochs=4", "hidden=8")}])
def test_in_this_process_every_table_is_that_of_ray_to_the_last_bit(
    place: Path, tmp_path: Path, changes: dict[str, object]
) -> None:
    write_store(tmp_path)
    write_labels(tmp_path)
    settings = {"genes": str(_genes(place, "TP53", "KRAS")), "repeats": 1} | changes
    on_ray = run(mutation(place, **settings))
    here = run(mutation(tmp_path, **settings, address="none"))
    assert here.folder == on_ray.folder
    for name in TABLES:
        assert bytes_of(here, name) == bytes_of(on_ray, name), name
    ours, theirs = (
        result.record.model_dump(exclude={"created_at", "seconds", "settings", "labels"})
        for result in (here, on_ray)
    )
    assert ours == theirs


def test_expression_in_this_process_is_that_of_ray_to_the_last_bit(
    finished: Finished, tmp_path: Path
) -> None:
    write_store(tmp_path)
    write_labels(tmp_path)
    here = run(expression(tmp_path, pooling=("mean", "mean+std"), address="none"))
    assert here.folder == finished[0].folder
    for name in TABLES:
        assert bytes_of(here, name) == bytes_of(finished[0], name), name


def test_a_search_in_this_process_selects_what_asha_selects_where_it_stops_no_winner(
    place: Path, tmp_path: Path
) -> None:
    """All settings run to their last epoch before ASHA may stop one, so the best is never lost."""
    write_store(tmp_path)
    write_labels(tmp_path)
    settings = {
        "genes": str(_genes(place, "TP53")), "repeats": 1, "encoder": ("sharp",),
        "head": ("mil",), "mil": ("epochs=5", "hidden=8", "rate=0.0001,0.01"), "folds": 3,
    }  # fmt: skip
    on_ray = run(mutation(place, **settings))
    here = run(mutation(tmp_path, **settings, address="none"))
    assert here.folder == on_ray.folder
    for name in ("predictions", "targets", "folds"):
        assert bytes_of(here, name) == bytes_of(on_ray, name), name
    assert here.scores["inner_score"].notna().all()  # nothing was stopped here
    assert here.scores["head"].nunique() == 2
