"""Fits of patients: what is kept predicts as evaluated, is the same twice, and states its score."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save
from scipy.special import expit, logit

from histo_ray.api.evaluate import open_host
from histo_ray.api.fit import fit
from histo_ray.config import parse_settings
from histo_ray.errors import ConfigError
from histo_ray.evaluate.events import Event, FoundState, PredictorFound, RunFound
from histo_ray.evaluate.patients.patient_run import PreparedPatients
from histo_ray.evaluate.tasks.registry import TASKS
from histo_ray.learn.calibration import CalibrationMethod, choose_thresholds, fit_calibration
from histo_ray.learn.fold_data import FoldData, PatientHeadSettings, standardise_by
from histo_ray.learn.heads.registry import HEADS, HeadEntry, TrainsOn, load_patient_head
from histo_ray.learn.patient_heads import PatientData, predict_patient_repeat
from histo_ray.predict.files import ARRAYS, load_predictor
from histo_ray.predict.fitting.fit import FitResult
from histo_ray.predict.fitting.fit_command import fit_settings, split_settings
from histo_ray.predict.patient_hashes import find_overlap, hash_patient
from histo_ray.store.store import open_store
from histo_ray.types import TileRows
from histo_ray.types.receipt import UNKNOWN_WEIGHTS
from tests.cluster.patients import COUNT, DIM, PATIENTS, write_labels, write_store
from tests.made_up import card_of, facts_of


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store, `untouched` as it was before the first fit, and labels."""
    folder = tmp_path_factory.mktemp("fit")
    write_store(folder)
    shutil.copytree(folder / "store", folder / "untouched")
    write_labels(folder)
    return folder


def make_settings(place: Path, store: Path | str, task: str, **changes: Any) -> Any:
    given = {
        "store": str(store), "encoder": ("sharp",), "name": "made", "repeats": 2,
        "labels": str(place / ("mutations.csv" if task == "mutation" else "expression.csv")),
        "resamples": 100, "address": "none",
    }  # fmt: skip
    if task == "expression":
        given["permutations"] = 0
    return parse_settings(fit_settings(TASKS[task]), given | changes, "test")


def run_fit(place: Path, task: str, tell: Any = lambda event: None, **changes: Any) -> FitResult:
    store = changes.pop("store", place / "store")
    return fit(TASKS[task], make_settings(place, store, task, **changes), tell=tell)


@pytest.fixture(scope="module")
def mutation(place: Path) -> FitResult:
    return run_fit(place, "mutation")


@pytest.fixture(scope="module")
def expression(place: Path) -> FitResult:
    return run_fit(
        place, "expression", name="numbers", pooling=("mean", "std"), head=("ridge", "pls"),
        repeats=1,
    )  # fmt: skip


def prepare(place: Path, task: str, **changes: Any) -> PreparedPatients:
    config, _ = split_settings(TASKS[task], make_settings(place, place / "store", task, **changes))
    nothing = lambda *some: None  # noqa: E731
    host = open_host(
        TASKS[task], config, tell=nothing, report=nothing, report_tiles=nothing, say=nothing
    )
    prepared = TASKS[task].prepare(config, host)
    assert isinstance(prepared, PreparedPatients)
    return prepared


def test_patients_it_was_trained_on_are_predicted_as_the_head_predicts_them(
    place: Path, mutation: FitResult
) -> None:
    prepared = prepare(place, "mutation")
    features = prepared.features["sharp", "mean"]
    labels = prepared.plan.patients.labels
    found = mutation.predictor.predict({"mean": features})
    assert found.shape == (COUNT, 3)
    head = load_patient_head("logistic")
    train, same = standardise_by(features.astype(np.float64), features.astype(np.float64))
    fits = {name: part.fit for part in mutation.predictor.parts.linear for name in part.targets}
    for column, name in enumerate(labels.targets):
        at = fits[name].targets.index(name)
        chosen = (float(fits[name].choice[at]),)
        values = labels.values[:, [column]]
        plain = head.predict(FoldData(train, values, same, (name,), None, 0, chosen, 5))
        np.testing.assert_allclose(found[:, column], plain.predicted[:, 0], atol=1e-6)


def test_targets_share_configurations_by_their_inner_scores(
    place: Path, expression: FitResult
) -> None:
    card = expression.predictor.card
    prepared = prepare(place, "expression", pooling=("mean", "std"), head=("ridge", "pls"))
    pooled = {name: prepared.features["sharp", name] for name in card.poolings}
    found = expression.predictor.predict(pooled)
    assert found.shape == (57, 8)
    assert np.isfinite(found).all()
    best = card.by_name["G0"]
    assert card.parts[best.part].pooling == "mean"
    labels = prepared.plan.patients.labels
    column = labels.targets.index("G0")
    assert np.corrcoef(found[:, column], labels.values[:, column])[0, 1] > 0.7
    assert {name for part in card.parts for name in part.targets} == set(labels.targets)


def test_the_card_says_what_it_was_made_from(place: Path, mutation: FitResult) -> None:
    card = mutation.predictor.card
    assert (card.name, card.task, card.kind, card.seed) == ("made", "mutation", "binary", 0)
    assert "research use only" in card.use
    assert (card.encoder.name, card.encoder.weights_sha256) == ("sharp", "a" * 64)
    assert (card.encoder.dim, card.encoder.dtype) == (DIM, "float16")
    assert (card.tiling.fingerprint, card.tiling.settings) == ("t0", {"mpp": 0.5})
    labels = (place / "mutations.csv").read_bytes()
    assert card.labels.sha256 == hashlib.sha256(labels).hexdigest()
    assert card.labels.scale == "probability of a mutated gene"
    assert (card.cohort.n_patients, card.cohort.n_slides) == (COUNT, COUNT + 6)
    assert card.cohort.sites == tuple(f"{site:02d}" for site in range(7))
    assert card.settings["head"] == ["logistic"]
    assert card.settings["calibration"] == "auto"
    assert {"histo_ray", "numpy", "scikit-learn"} <= set(card.versions)
    stored = json.loads((place / "store/predictors/made/predictor.json").read_text())
    assert "TCGA" not in json.dumps(stored)
    assert open_store(str(place / "store")).verify()[1] == []


def test_the_score_of_the_card_is_that_of_the_evaluation(place: Path, mutation: FitResult) -> None:
    card = mutation.predictor.card
    run = place / "store" / card.evaluation.folder
    table = pd.read_parquet(run / "targets.parquet").set_index("target")
    for target in card.targets:
        row = table.loc[target.name]
        assert target.metric == row["metric"] == "auroc"
        assert [target.score, target.low, target.high] == [row["score"], row["low"], row["high"]]
        assert (target.n_patients, target.positives) == (row["n_patients"], row["positives"])
    assert card.evaluation.score == sorted(table["score"])[len(table) // 2]


def test_calibration_and_thresholds_are_of_out_of_fold_predictions_by_the_penalty_that_is_kept(
    place: Path, mutation: FitResult
) -> None:
    prepared = prepare(place, "mutation")
    matrix, (features,) = prepared.matrix, prepared.features.values()
    for column, target in enumerate(mutation.predictor.card.targets):
        assert target.choice is not None
        settings = PatientHeadSettings("logistic", (target.choice,), 2)
        labels = matrix.targets[:, [column]]
        data = PatientData(features, labels, (target.name,), matrix.groups)
        repeats = []
        for ids in matrix.fold_ids_of(column):
            odds = logit(predict_patient_repeat(data, ids, settings)[0][:, 0])
            trained = [labels[(ids >= 0) & (ids != fold)].mean() for fold in ids]
            repeats.append(expit(odds + logit(labels.mean()) - logit(trained)))
        predicted = np.mean(repeats, axis=0)
        plain = fit_calibration(CalibrationMethod.PLATT, predicted, labels[:, 0])
        assert target.calibration.slope == pytest.approx(plain.slope, rel=1e-6)
        assert target.calibration.n_patients == COUNT
        chosen = choose_thresholds(predicted, labels[:, 0], 0.9, plain)
        assert [one.rule for one in target.thresholds] == ["youden", "sensitivity 0.9"]
        for one, two in zip(target.thresholds, chosen, strict=True):
            assert one.value == pytest.approx(two.value)
            assert one.sensitivity == pytest.approx(two.sensitivity)


def test_labels_of_new_patients_come_to_the_scale_of_predictions(
    place: Path, expression: FitResult
) -> None:
    prepared = prepare(place, "expression")
    raw, used = prepared.plan.patients.cohort.labels, prepared.plan.patients.labels
    columns = [raw.targets.index(name) for name in used.targets]
    scale = expression.predictor.parts.label_scale
    np.testing.assert_allclose(scale.to_scale(raw.values[:, columns]), used.values, atol=1e-12)
    card = expression.predictor.card
    assert (card.cohort.n_patients, card.cohort.n_slides) == (57, COUNT + 6 - 4)
    assert card.labels.transform == "rank"
    assert "normal score" in card.labels.scale
    assert {target.calibration.method.value for target in card.targets} == {"linear"}
    assert all(target.thresholds == () for target in card.targets)


def test_the_same_fit_elsewhere_gives_the_same_bytes(
    place: Path, expression: FitResult, tmp_path: Path
) -> None:
    shutil.copytree(place / "untouched", tmp_path / "store")
    again = run_fit(
        place, "expression", name="numbers", pooling=("mean", "std"), head=("ridge", "pls"),
        repeats=1, store=tmp_path / "store",
    )  # fmt: skip
    assert not again.was_there
    one, two = (where / "store/predictors/numbers" / ARRAYS for where in (place, tmp_path))
    assert one.read_bytes() == two.read_bytes()
    cards = [result.predictor.card for result in (expression, again)]
    assert cards[0].model_copy(update={"created": ""}) == cards[1].model_copy(
        update={"created": ""}
    )


def test_a_fit_that_is_done_is_found_and_its_evaluation_too(
    place: Path, mutation: FitResult
) -> None:
    events: list[Event] = []
    again = run_fit(place, "mutation", events.append)
    assert again.was_there
    assert events == [PredictorFound("made")]
    assert again.predictor.card == mutation.predictor.card == load_predictor(
        "made", str(place / "store")
    ).card  # fmt: skip
    events.clear()
    other = run_fit(place, "mutation", events.append, name="other", calibration="isotonic")
    assert not other.was_there
    (found,) = [event for event in events if isinstance(event, RunFound)]
    assert found.state is FoundState.DONE
    methods = {target.calibration.method.value for target in other.predictor.card.targets}
    assert methods == {"isotonic"}


def test_a_name_that_is_taken_is_refused_before_anything_is_evaluated(
    place: Path, mutation: FitResult
) -> None:
    before = sorted((place / "store/evaluations/mutation").iterdir())
    with pytest.raises(ConfigError, match=r"name 'made' is in use .* choose another --name"):
        run_fit(place, "mutation", repeats=3)
    assert sorted((place / "store/evaluations/mutation").iterdir()) == before


def test_patients_are_found_by_their_hashes_unless_these_are_left_out(
    place: Path, mutation: FitResult
) -> None:
    cohort = mutation.predictor.card.cohort
    assert len(cohort.patient_hashes or ()) == COUNT
    asked = [PATIENTS[3], f"{PATIENTS[4]}-01Z-00-DX1", "TCGA-99-9999"]
    assert find_overlap(cohort, asked) == set(asked[:2])
    assert hash_patient(cohort.salt, PATIENTS[3]) in (cohort.patient_hashes or ())
    hidden = run_fit(place, "mutation", name="hidden", patient_hashes=False)
    assert hidden.predictor.card.cohort.patient_hashes is None
    assert hidden.predictor.card.cohort.salt == ""
    assert find_overlap(hidden.predictor.card.cohort, asked) == set()


def test_two_encoders_are_refused_with_a_remedy(place: Path) -> None:
    with pytest.raises(ConfigError, match=r"--encoder: 2 are given .* with histo-ray evaluate"):
        run_fit(place, "mutation", encoder=("sharp", "dull"))


def test_a_head_that_is_not_linear_is_refused(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = "histo_ray.learn.heads.ridge"
    entry = next(one for one in HEADS if one.name == "ridge")
    monkeypatch.setattr(f"{module}.HEAD", load_patient_head("ridge")._replace(fit=None))
    assert entry == HeadEntry("ridge", TrainsOn.PATIENTS, entry.kinds, module)
    with pytest.raises(ConfigError, match="--head ridge: it is not linear"):
        run_fit(place, "expression", name="no")


def test_features_of_unknown_weights_are_refused_before_anything_is_evaluated(
    tmp_path: Path,
) -> None:
    store = open_store(str(tmp_path / "store"), create=True)
    rng = np.random.default_rng(2)
    for at in range(12):
        facts = facts_of(f"S{at}", "foreign", patient_id=f"P{at}", weights=UNKNOWN_WEIGHTS)
        ones = np.ones(4, np.float32)
        rows = TileRows(
            np.zeros((4, 2), np.int32), ones, ones, rng.normal(size=(4, 5)).astype(np.float16)
        )
        store.commit(facts.key, facts, [rows])
    lines = [f"P{at},{at % 2}" for at in range(12)]
    (tmp_path / "mutations.csv").write_text("\n".join(["patient_id,TP53", *lines]) + "\n")
    with pytest.raises(ConfigError, match=r"without the SHA-256 .* with --weights-sha256"):
        run_fit(tmp_path, "mutation", store=tmp_path / "store", encoder=("foreign",), folds=2)
    assert not (tmp_path / "store/evaluations").exists()


def test_attention_heads_of_the_folds_are_kept_as_an_ensemble(place: Path) -> None:
    result = run_fit(
        place, "mutation", name="attention", head=("mil",), mil=("epochs=2", "hidden=8"),
        folds=3, ensemble_repeats=2,
    )  # fmt: skip
    card, parts = result.predictor.card, result.predictor.parts
    assert [part.members for part in card.parts] == [6, 6, 6]
    assert (card.poolings, card.needs_bags) == ((), True)
    store = open_store(str(place / "store"))
    run = place / "store" / card.evaluation.folder
    rows = pd.read_parquet(run / "predictions.parquet")
    loaded = load_predictor("attention", str(place / "store"))
    for part in loaded.parts.bags:
        own = rows[(rows["target"] == part.targets[0]) & (rows["repeat"] == 1)].iloc[:4]
        for name, fold, predicted in own[["patient_id", "fold", "predicted"]].to_numpy().tolist():
            bag = store.patient_bag(name, "sharp", "t0")
            found = part.member(1, fold).predict([bag])[0, 0]
            assert found == pytest.approx(predicted, abs=1e-6)
    bag = store.patient_bag(PATIENTS[0], "sharp", "t0")
    np.testing.assert_array_equal(loaded.predict({}, [bag]), result.predictor.predict({}, [bag]))
    assert parts.bags[0].attend(bag).shape == (len(bag),)
    assert not Path(place, "store/cache/fits").exists() or not any(
        Path(place, "store/cache/fits").iterdir()
    )


def test_a_pooling_by_class_names_the_encoder_whose_head_weighs_tiles(
    place: Path, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    shutil.copytree(place / "untouched", store)
    weight = np.random.default_rng(8).normal(size=(3, DIM)).astype(np.float32)
    data = save(
        {"classification_head.weight": weight, "classification_head.bias": np.ones(3, np.float32)}
    )
    sha256 = hashlib.sha256(data).hexdigest()
    folder = store / "models/sharp"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(data)
    said = card_of("sharp", ("ADI", "STR", "TUM"), file_sha256=sha256, weights_sha256="a" * 64)
    (folder / "model.json").write_text(json.dumps(said))
    result = run_fit(
        place, "mutation", store=store, name="tumour", pooling=("classes",), folds=2, repeats=1,
        inner_folds=2,
    )  # fmt: skip
    found = result.predictor.card.class_encoder
    assert found is not None
    assert (found.name, found.tiling) == ("sharp", "t0")
    assert (found.weights_sha256, found.file_sha256) == ("a" * 64, sha256)
    assert result.predictor.card.poolings == ("classes",)


def test_one_tile_in_a_hundred_of_the_training_patients_lies_outside_their_range(
    place: Path, mutation: FitResult
) -> None:
    store = open_store(str(place / "store"))
    tiles = np.concatenate([store.patient_bag(name, "sharp", "t0") for name in PATIENTS])
    found = mutation.predictor.parts.tile_range
    assert found is not None
    assert found.share_outside(tiles) == pytest.approx(0.01, abs=0.005)
    assert found.share_outside(tiles + np.float16(8)) > 0.9


def test_heads_of_a_fit_that_was_killed_are_used_or_collected(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise KeyboardInterrupt

    changes = {"name": "killed", "head": ("mil",), "mil": ("epochs=1", "hidden=4"), "folds": 2,
               "repeats": 1}  # fmt: skip
    with monkeypatch.context() as patch:
        patch.setattr("histo_ray.predict.fitting.mil_ensemble._read", die)
        with pytest.raises(KeyboardInterrupt):
            run_fit(place, "mutation", **changes)
    left = sorted((place / "store/cache/fits").rglob("*.parquet"))
    assert len(left) == 3 * 2
    assert not (place / "store/predictors/killed").exists()
    store = open_store(str(place / "store"))
    found = [path for path in store.gc(0, dry_run=True) if path.startswith("cache/fits/")]
    assert len(found) == len(left)
    trained: list[object] = []
    with monkeypatch.context() as patch:
        patch.setattr("histo_ray.predict.fitting.mil_ensemble.train_fold", trained.append)
        run_fit(place, "mutation", **changes)
    assert trained == []
    assert not any((place / "store/cache/fits").rglob("*.parquet"))
