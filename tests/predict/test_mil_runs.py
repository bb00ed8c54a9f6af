"""Evaluations and predictors by ensembles of MIL networks, of classes and of numbers together."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from histo_ray.api.evaluate import evaluate
from histo_ray.api.fit import fit
from histo_ray.config import parse_settings
from histo_ray.errors import ConfigError
from histo_ray.evaluate.engine import run_here
from histo_ray.evaluate.evaluation_record import PatientRecord
from histo_ray.evaluate.find_run import prepare_again
from histo_ray.evaluate.jobs import Host
from histo_ray.evaluate.patients.mil_members import summarise_members
from histo_ray.evaluate.tasks.patient_task import PatientTask
from histo_ray.evaluate.tasks.registry import TASKS
from histo_ray.predict.files import load_predictor
from histo_ray.predict.fitting.fit import FitResult
from histo_ray.predict.fitting.fit_command import fit_settings
from histo_ray.predict.heat.out_of_fold import OutOfFold
from histo_ray.report.page_blocks import Table
from histo_ray.report.targets.mil_section import tabulate_members
from histo_ray.store.store import open_store
from tests.cluster.patients import PATIENTS, write_labels, write_store

SMALL = ("epochs=2", "hidden=8", "attention=4")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mil")
    write_store(folder)
    write_labels(folder)
    (folder / "genes.txt").write_text("G0\nG2\nG5\nTP53\n")
    return folder


def settings_of(place: Path, task: str, **changes: Any) -> dict[str, Any]:
    labels = "mutations.csv" if task == "mutation" else "expression.csv"
    return {
        "store": str(place / "store"), "encoder": ("sharp",), "labels": str(place / labels),
        "genes": str(place / "genes.txt"), "head": ("mil",), "mil": SMALL, "folds": 3,
        "repeats": 2, "resamples": 100, "address": "none", **changes,
    }  # fmt: skip


def evaluate_by(place: Path, task: str, **changes: Any) -> tuple[PatientRecord, Path]:
    config = TASKS[task].config.model_validate(settings_of(place, task, **changes))
    result = evaluate(TASKS[task], config)
    assert isinstance(result.evaluation.record, PatientRecord)
    run = result.evaluation.record.run_id
    return result.evaluation.record, place / f"store/evaluations/{task}/{run}"


@pytest.fixture(scope="module")
def numbers(place: Path) -> FitResult:
    settings = fit_settings(TASKS["expression"])
    mil = (*SMALL, "network=abmil,mean-mlp")
    given = settings_of(place, "expression", name="numbers", mil=mil)
    return fit(TASKS["expression"], parse_settings(settings, given, "test"))


def test_genes_are_predicted_together_and_members_are_kept_with_their_seeds(
    place: Path, numbers: FitResult
) -> None:
    run = place / "store" / numbers.predictor.card.evaluation.folder
    scores = pd.read_parquet(run / "scores.parquet")
    assert set(scores["head"]) == {"mil network=abmil", "mil network=mean-mlp"}
    every = pd.read_parquet(run / "members.parquet")
    assert [one.head for one in summarise_members(every)] == sorted(set(scores["head"]))
    members = every[every["head"] == "mil network=abmil"]
    assert len(members) == 3 * 2 * 3 * 5  # genes, repeats, folds, members
    by_fold = members.groupby(["repeat", "fold"])["seed"].unique()
    assert {len(seeds) for seeds in by_fold} == {5}  # the genes of a member share its network
    assert members["seed"].nunique() == 2 * 3 * 5
    assert (members["prediction_sd"] > 0).all()
    (found,) = summarise_members(members)
    wide = members.pivot_table(index=["target", "repeat"], columns="member", values="score")
    assert found.members == 5
    assert found.score_sd == pytest.approx(float(wide.std(axis=1, ddof=1).mean()))
    mean = members.groupby("member")["score"].mean()
    assert found.mean_score == pytest.approx(float(mean.mean()))


def test_a_predictor_of_numbers_has_one_network_for_the_genes_that_chose_it(
    place: Path, numbers: FitResult
) -> None:
    loaded = load_predictor("numbers", str(place / "store"))
    card = loaded.card
    assert {(part.members, part.networks) for part in card.parts} == {(3, 5)}
    assert {part.network for part in card.parts} <= {"abmil", "mean-mlp"}
    assert sorted(name for part in loaded.parts.bags for name in part.targets) == ["G0", "G2", "G5"]
    store = open_store(str(place / "store"))
    rows = pd.read_parquet(place / "store" / card.evaluation.folder / "predictions.parquet")
    seen = 0
    for part, about in zip(loaded.parts.bags, card.parts, strict=True):
        chosen = (rows["head"] == f"mil network={about.network}") & (rows["repeat"] == 0)
        own = rows[chosen & rows["target"].isin(part.targets)]
        columns = ["patient_id", "fold", "target", "predicted"]
        for name, fold, target, predicted in own[columns].iloc[::5].to_numpy().tolist():
            bag = store.patient_bag(name, "sharp", "t0")
            found = part.member(0, fold).predict([bag])[0, part.targets.index(target)]
            assert found == pytest.approx(predicted, abs=1e-5)
            seen += 1
    assert seen
    bags = [store.patient_bag(name, "sharp", "t0") for name in PATIENTS[3:5]]
    found = loaded.predict({}, bags)
    assert found.shape == (2, 3)
    assert np.isfinite(found).all()


def test_a_run_from_before_ensembles_is_had_again_with_the_members_that_it_had(
    place: Path,
) -> None:
    record, _ = evaluate_by(place, "mutation", mil=(*SMALL, "members=1"), repeats=1)
    assert "network" not in record.mil[""]
    old = record.model_copy(update={"settings": {**record.settings, "mil": list(SMALL)}})
    prepared = prepare_again(str(place / "store"), old, Host(run_here))
    assert prepared.parts[0].plan.variants[""].members == 1
    assert OutOfFold(prepared, "TP53", "sharp").heads_of(PATIENTS[0]).count == 1
    three, _ = evaluate_by(place, "mutation", mil=(*SMALL, "members=3", "member_seeds=shared"),
                           repeats=1)  # fmt: skip
    assert "member_seeds" not in three.mil[""]  # as versions before 0.5 wrote it
    old = three.model_copy(update={"settings": {**three.settings, "mil": [*SMALL, "members=3"]}})
    prepared = prepare_again(str(place / "store"), old, Host(run_here))
    assert prepared.parts[0].plan.variants[""].member_seeds == "shared"


def test_networks_compete_and_one_without_attention_has_no_heat_map(place: Path) -> None:
    mil = (*SMALL, "members=2", "network=transformer,mean-mlp")
    record, folder = evaluate_by(place, "mutation", mil=mil, repeats=1)
    heads = set(pd.read_parquet(folder / "scores.parquet")["head"])
    assert heads == {"mil network=transformer", "mil network=mean-mlp"}
    prepared = prepare_again(str(place / "store"), record, Host(run_here))
    with pytest.raises(ConfigError, match=r"is no weighted mean over tiles.*network=abmil or clam"):
        OutOfFold(prepared, "TP53", "sharp").find_tested(PATIENTS[0])
    (block,) = tabulate_members(record, TASKS["mutation"].words, "m")
    assert isinstance(block, Table)
    assert [row[1:3] for row in block.rows] == [[head, "2"] for head in sorted(heads)[::-1]]
    assert "with one member were run again" in block.note


def test_a_network_that_does_not_predict_numbers_is_refused_before_anything_is_read(
    place: Path,
) -> None:
    with pytest.raises(ConfigError, match=r"network clam: it predicts binary targets, and these"):
        evaluate_by(place, "expression", mil=("network=clam",))
    with pytest.raises(ConfigError, match=r"--mil: network = clams: .*did you mean clam"):
        evaluate_by(place, "mutation", mil=("network=clams",))


def test_columns_of_several_kinds_are_predicted_from_bags(place: Path) -> None:
    state = np.load(place / "state.npy")
    kinds = np.array(["low", "medium", "high"])[np.digitize(state, (-0.5, 0.5))]
    frame = pd.DataFrame({"patient_id": PATIENTS, "type": kinds, "size": state})
    frame.to_csv(place / "columns.csv", index=False)
    given = settings_of(
        place, "label", labels=str(place / "columns.csv"), column=("type", "size"), repeats=1,
        mil=(*SMALL, "members=2"),
    )  # fmt: skip
    del given["genes"]
    result = evaluate(TASKS["label"], TASKS["label"].config.model_validate(given))
    record = result.evaluation.record
    assert isinstance(record, PatientRecord)
    assert {one.kind for one in record.mil_members} == {"multiclass", "continuous"}
    run = place / f"store/evaluations/label/{record.run_id}"
    members = pd.read_parquet(run / "members.parquet")
    assert members["target"].nunique() == 4  # three classes, each against the others, and size
    assert len(members) == 4 * 3 * 2
    task = TASKS["label"]
    assert isinstance(task, PatientTask)
    for _, part in task.split_record(record):
        assert len({one.kind for one in part.mil_members}) == 1
