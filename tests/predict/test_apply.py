from pathlib import Path

import numpy as np
import pytest

from histo_ray.errors import ConfigError, StoreError
from histo_ray.predict.card import ClassEncoderCard
from histo_ray.predict.external import patient_predictions
from histo_ray.predict.external.apply import predict
from histo_ray.predict.external.patient_predictions import PatientPiece
from histo_ray.predict.external.prediction_run import Groups, PredictionRun
from histo_ray.predict.patient_hashes import hash_slides
from histo_ray.predict.predictor import FittedPredictor
from histo_ray.report.external.prediction_words import describe_predictions
from histo_ray.schema import column_names
from histo_ray.store.store import open_store
from tests.predict.external_store import PEOPLE, make_numbers, write_external
from tests.predict.made_predictor import SALT, make_bags, make_predictor, pool_mean


@pytest.fixture(scope="module")
def predictor() -> FittedPredictor:
    return make_predictor()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_external(tmp_path_factory.mktemp("external") / "B")


def test_patients_are_predicted_from_all_of_their_tiles(
    store: str, predictor: FittedPredictor
) -> None:
    found = predict(predictor, store)
    table = found.patients
    assert list(table) == column_names("predicted_patients")
    bags = make_bags(len(PEOPLE), seed=8)
    raw = predictor.predict({"mean": pool_mean(bags)})
    wide = table.pivot(index="patient_id", columns="target", values="raw")
    assert list(wide.index) == list(PEOPLE)
    np.testing.assert_allclose(wide[["ALPHA", "BETA"]], raw, atol=1e-5)
    calibrated = table.pivot(index="patient_id", columns="target", values="calibrated")
    np.testing.assert_allclose(calibrated, predictor.calibrate(raw), atol=1e-5)
    threshold = predictor.card.targets[0].thresholds[0].value
    alpha = table[table.target == "ALPHA"].set_index("patient_id")
    assert (alpha.call == np.where(alpha.raw >= threshold, "positive", "negative")).all()
    assert alpha.n_slides.tolist() == [2 if at % 5 == 0 else 1 for at in range(len(PEOPLE))]
    assert alpha.n_tiles.tolist() == [len(bag) for bag in bags]
    tile_range = predictor.parts.tile_range
    assert tile_range is not None
    shares = [tile_range.share_outside(bag) for bag in bags]
    np.testing.assert_allclose(alpha.outside, shares, atol=1e-6)
    assert found.record.patients == len(PEOPLE)
    assert found.record.outside == pytest.approx(np.average(shares, weights=alpha.n_tiles))
    assert found.record.use.startswith("research use only")


def test_what_is_done_is_found_and_the_bits_are_the_same(
    tmp_path: Path, predictor: FittedPredictor
) -> None:
    one, other = (write_external(tmp_path / name, PEOPLE[:7], make_bags(7)) for name in "ab")
    first = predict(predictor, one)
    path = Path(one) / first.folder / "patients.parquet"
    before = path.stat().st_mtime_ns
    again = predict(predictor, one)
    assert (again.record, path.stat().st_mtime_ns) == (first.record, before)
    elsewhere = predict(predictor, other)
    assert elsewhere.folder == first.folder
    assert (Path(other) / first.folder / "patients.parquet").read_bytes() == path.read_bytes()
    assert not (path.parent / "pieces").exists()


def test_a_killed_run_goes_on_from_its_pieces(
    tmp_path: Path, predictor: FittedPredictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = write_external(tmp_path / "B", PEOPLE[:9], make_bags(9))
    whole = predict(predictor, write_external(tmp_path / "C", PEOPLE[:9], make_bags(9)))
    monkeypatch.setattr(patient_predictions, "PATIENTS_AT_ONCE", 4)
    made = patient_predictions.predict_patients
    calls: list[list[str]] = []

    def killed_at_the_second(run: PredictionRun, groups: Groups) -> PatientPiece:
        calls.append(list(groups))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return made(run, groups)

    monkeypatch.setattr(patient_predictions, "predict_patients", killed_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        predict(predictor, store)
    (folder,) = (Path(store) / "predictions" / "made").iterdir()
    assert not (folder / "run.json").exists()
    found = predict(predictor, store)
    assert calls == [
        list(PEOPLE[:4]), list(PEOPLE[4:8]), list(PEOPLE[4:8]), [PEOPLE[8]],
    ]  # fmt: skip
    key = ["target", "patient_id"]
    left, right = (one.patients.sort_values(key).reset_index(drop=True) for one in (found, whole))
    assert left.equals(right)


def test_patients_that_it_was_fitted_on_are_left_out_and_told(
    tmp_path: Path, predictor: FittedPredictor
) -> None:
    mixed = ("P3", "P39", *PEOPLE[:4])
    store = write_external(tmp_path / "B", mixed, make_bags(6))
    found = predict(predictor, store)
    assert found.record.overlap == ("P3", "P39")
    assert set(found.patients.patient_id) == set(PEOPLE[:4])
    assert any("2 patients left out, as the predictor was fitted" in n for n in found.record.notes)
    own = write_external(tmp_path / "A", ["P1", "P2"], make_bags(2))
    with pytest.raises(ConfigError, match=r"fitted on all 2 patients .* evaluations/mutation"):
        predict(predictor, own)
    blind = predictor.card.cohort.model_copy(update={"patient_hashes": None})
    card = predictor.card.model_copy(update={"cohort": blind})
    told = predict(FittedPredictor(card, predictor.parts), own).record
    assert not told.overlap_known
    assert any("nobody can tell" in note for note in told.notes)


def test_patients_under_other_names_are_found_by_their_slides(
    tmp_path: Path, predictor: FittedPredictor
) -> None:
    home = open_store(write_external(tmp_path / "A", ["P1", "P2"], make_bags(2)))
    receipts = [home.read_receipt(key) for key in sorted(home.list_keys())]
    hashes = tuple(sorted(hash_slides(SALT, receipts)))
    assert len(hashes) == len(receipts) == 3  # their made-up files are all alike, and tell nothing
    cohort = predictor.card.cohort.model_copy(update={"slide_hashes": hashes})
    card = predictor.card.model_copy(update={"cohort": cohort})
    knowing = FittedPredictor(card, predictor.parts)
    others = make_bags(6, seed=9)
    store = write_external(tmp_path / "B", PEOPLE[:6], [*make_bags(2), *others[2:]])
    record = predict(knowing, store).record
    assert record.renamed == PEOPLE[:2]
    assert (record.patients, record.overlap) == (4, ())
    assert any(
        note.startswith("3 slides have the very vectors")
        and "2 patients left out (B00, B01)" in note
        for note in record.notes
    )
    copied = write_external(tmp_path / "C", PEOPLE[:2], make_bags(2))
    with pytest.raises(ConfigError, match=r"fitted on all 2 patients .*under other names"):
        predict(knowing, copied)
    assert predict(predictor, copied).record.renamed == ()  # a card without hashes of slides


def test_the_encoder_is_known_by_its_weights_not_by_its_name(
    tmp_path: Path, predictor: FittedPredictor
) -> None:
    store = write_external(tmp_path / "B", PEOPLE[:3], make_bags(3), encoder="renamed")
    assert predict(predictor, store).record.encoder == "renamed"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"weights": "99" * 32},
            r"no slides of the weights abababababab of encoder sharp.*sharp \(999999999999\).*copy "
            r"models/sharp.*histo-ray extract --manifest SLIDES.csv --store \S*B --encoder "
            r"'sharp\?name=sharp-ababab' --mpp 0.5 --tile-px 64",
        ),
        (
            {"tiling": "tother000000", "mpp": "1.0"},
            r"sharp are there in tother000000 \(64 px at 1 mpp\), but predictor made was fitted on "
            r"t0123456789ab \(64 px at 0.5 mpp\); copy models/sharp .*: histo-ray extract",
        ),
    ],
)
def test_what_it_was_not_fitted_on_is_refused_with_the_command(
    tmp_path: Path, predictor: FittedPredictor, changes: dict[str, str], message: str
) -> None:
    store = write_external(tmp_path / "B", PEOPLE[:2], make_bags(2), **changes)
    with pytest.raises(StoreError, match=message):
        predict(predictor, store)
    assert not (Path(store) / "predictions").exists()


def test_an_empty_store_and_unknown_settings_are_refused(
    tmp_path: Path, store: str, predictor: FittedPredictor
) -> None:
    open_store(str(tmp_path / "empty"), create=True)
    with pytest.raises(
        StoreError, match=r"it holds no slides; copy models/sharp .*: histo-ray extract"
    ):
        predict(predictor, tmp_path / "empty")
    with pytest.raises(ConfigError, match=r"--threshold best: .* it has youden or sensitivity 0.9"):
        predict(predictor, store, threshold="best")
    with pytest.raises(ConfigError, match="subgroup: only with labels"):
        predict(predictor, store, subgroup=["sex"])
    with pytest.raises(ConfigError, match=r"--target GAMMA: .* does not predict it; .*ALPHA, BETA"):
        predict(predictor, store, tiles=True, target=["GAMMA"])
    with pytest.raises(ConfigError, match="target: only with tiles"):
        predict(predictor, store, target=["ALPHA"])
    with pytest.raises(ConfigError, match="no table tiles"):
        _ = predict(predictor, store).tiles


def test_a_missing_class_head_is_refused_with_what_to_copy(
    tmp_path: Path, predictor: FittedPredictor
) -> None:
    store = write_external(tmp_path / "B", PEOPLE[:2], make_bags(2))
    head = ClassEncoderCard(
        name="ft", tiling="t0123456789ab", weights_sha256="1" * 64, file_sha256="2" * 64
    )
    parts = tuple(p.model_copy(update={"pooling": "class:TUM"}) for p in predictor.card.parts)
    card = predictor.card.model_copy(update={"class_encoder": head, "parts": parts})
    with pytest.raises(
        ConfigError, match=r"class head of encoder ft.*copy models/ft .*--encoder ft"
    ):
        predict(FittedPredictor(card, predictor.parts), store)


def test_slides_of_another_stain_show_in_the_distance(
    tmp_path: Path, predictor: FittedPredictor
) -> None:
    shifted = [(bag + np.float16(4)).astype(np.float16) for bag in make_bags(12, seed=9)]
    plain, strange = (
        predict(predictor, write_external(tmp_path / name, PEOPLE[:12], bags)).record
        for name, bags in (("plain", make_bags(12, seed=9)), ("shifted", shifted))
    )
    assert plain.outside is not None
    assert strange.outside is not None
    assert plain.outside < 0.1
    assert strange.outside > 0.9
    assert any("lie outside what the predictor was fitted on" in n for n in strange.notes)
    for record in (plain, strange):
        assert sum("of the tiles lie outside" in line for line in describe_predictions(record)) == 1


def test_numbers_are_given_in_the_unit_of_the_labels_too(store: str) -> None:
    found = predict(make_numbers(), store)
    row = found.patients.iloc[0]
    assert row.calibrated == pytest.approx(0.9 * row.raw + 0.1)
    assert row.label_value == pytest.approx(np.exp(row.calibrated), rel=0.15)  # between knots
    assert set(found.patients.call) == {""}


def test_attention_heads_see_the_bags(store: str) -> None:
    predictor = make_predictor("attention", mil=True)
    found = predict(predictor, store)
    bags = make_bags(len(PEOPLE), seed=8)
    raw = predictor.predict({"mean": pool_mean(bags)}, bags)
    wide = found.patients.pivot(index="patient_id", columns="target", values="raw")
    np.testing.assert_allclose(wide[["ALPHA", "BETA"]], raw, atol=1e-5)


@pytest.mark.parametrize("mil", [False, True])
def test_what_tiles_add_is_what_their_patient_is_predicted_from(
    tmp_path: Path, predictor: FittedPredictor, mil: bool
) -> None:
    store = write_external(tmp_path / "B", PEOPLE[:6], make_bags(6), encoder="renamed")
    used = make_predictor("attention", mil=True) if mil else predictor
    found = predict(used, store, tiles=True)
    tiles = found.tiles
    assert list(tiles) == column_names("predicted_tiles")
    assert len(tiles) == 2 * sum(map(len, make_bags(6)))
    mean = tiles.groupby(["patient_id", "target"]).contribution.mean()
    raw = found.patients.set_index(["patient_id", "target"]).raw
    if mil:  # an ensemble's mean is taken after the link
        raw, mean = (one.xs("ALPHA", level="target") for one in (raw, mean))
    np.testing.assert_allclose(1 / (1 + np.exp(-mean)), raw.loc[mean.index], atol=1e-5)
    outside = tiles[tiles.target == "ALPHA"].groupby("patient_id").outside.mean()
    shares = found.patients[found.patients.target == "ALPHA"].set_index("patient_id").outside
    np.testing.assert_allclose(outside, shares.loc[outside.index])
    own = tiles[(tiles.patient_id == PEOPLE[0]) & (tiles.target == "BETA")]
    assert own.slide_id.nunique() == 2
    assert (
        own.groupby("slide_id").tile_id.max().tolist()
        == (own.groupby("slide_id").size() - 1).tolist()
    )
    assert "decision value" in found.record.tile_scores
    one = predict(used, store, tiles=True, target="ALPHA")
    assert set(one.tiles.target) == {"ALPHA"}
