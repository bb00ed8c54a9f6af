"""The stage: vectors of slides with receipts, resumed, kept apart by weights, read by all."""

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from histo_ray.cli import main
from histo_ray.errors import ConfigError, StoreError
from histo_ray.pooling.feature_store import FeatureStore, open_store
from histo_ray.pooling.slide_encoders.encode_run import SlideRun, run_encode
from histo_ray.pooling.slide_encoders.fit import fit_slide_encoder
from histo_ray.pooling.slide_encoders.methods.covariance import CovarianceEncoder
from histo_ray.pooling.slide_encoders.resolve import resolve_slide_encoder
from histo_ray.pooling.slide_encoders.slide_settings import (
    EncodeSlidesConfig,
    FitSlideEncoderConfig,
)
from histo_ray.store.slide_cards import SlideEncoderCard
from histo_ray.store.slide_vectors import read_slide_vector
from histo_ray.types.slide_vector_receipt import SlideVectorKey
from tests.pooling.slide_stores import DIM, write_slide, write_slide_store

PLUGIN = '''
import hashlib
import numpy as np
from histo_ray.encoders.slide_protocol import SlideSpec
from histo_ray.errors import SlideError


class Spread:
    """Where the tiles of a slide lie, and how far their vectors reach."""

    ready = False

    def spec(self):
        digest = hashlib.sha256(b"WEIGHTS").hexdigest() if self.ready else None
        return SlideSpec(dim=4, tile_px=TILE_PX, mpp=0.5, licence="mit", method="reach",
                         weights_sha256=digest)

    def load(self, device, threads):
        self.ready = True

    def encode(self, bag):
        assert not bag.vectors.flags.writeable and bag.coords.dtype == np.int32
        if len(bag.vectors) < FEWEST:
            raise SlideError("S2", "too few tiles")
        centre = bag.coords.mean(axis=0) / bag.side
        return np.array([*centre, bag.vectors.min(), bag.vectors.max()])


def make():
    return Spread()
'''


def encode(store: FeatureStore, *names: str, **changes: object) -> SlideRun:
    values = {"store": store.root.path, "encoder": "e", "slide_encoder": names, **changes}
    return run_encode(store.root, EncodeSlidesConfig.model_validate(values))


def fates(run: SlideRun) -> dict[str, str]:
    return {row.slide_id: str(row.outcome) for row in run.rows}


@pytest.fixture
def filled(tmp_path: Path) -> FeatureStore:
    write_slide_store(tmp_path / "store")
    return open_store(str(tmp_path / "store"))


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Folder of a module `reach_plugin`; imports of it are forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*(entry for entry in sys.path if entry), str(tmp_path)])
    yield tmp_path
    sys.modules.pop("reach_plugin", None)


def write_plugin(folder: Path, fewest: int = 0, tile_px: int = 224, weights: str = "w") -> str:
    sys.modules.pop("reach_plugin", None)
    source = PLUGIN.replace("FEWEST", str(fewest)).replace("TILE_PX", str(tile_px))
    (folder / "reach_plugin.py").write_text(source.replace("WEIGHTS", weights))
    return "reach_plugin:make"


def fit(store: FeatureStore, name: str = "v4", **changes: object) -> SlideEncoderCard:
    values = {
        "store": store.root.path, "encoder": "e", "name": name, "method": "vlad",
        "prototypes": 4, "components": 3, **changes,
    }  # fmt: skip
    return fit_slide_encoder(
        store.root, FitSlideEncoderConfig.model_validate(values), lambda text: None
    )


def test_a_vector_carries_the_digests_of_the_tiles_it_was_made_of(filled: FeatureStore) -> None:
    run = encode(filled, "covariance")
    assert fates(run) == {"S1": "done", "S2": "done", "S3": "empty", "S4": "done"}
    found = read_slide_vector(filled.root, SlideVectorKey("covariance", "e", "abc123", "S1"))
    assert found is not None
    bag = filled.bag("S1", "e").embeddings.astype(np.float32)
    np.testing.assert_array_equal(found.vector, CovarianceEncoder().encode(bag))
    receipt, tiles = found.receipt, filled.receipts()
    (key,) = [key for key in tiles if key.slide_id == "S1"]
    assert receipt.input.vectors_sha256 == tiles[key].vectors_sha256
    assert receipt.input.columns_sha256 == tiles[key].columns_sha256
    assert receipt.input.encoder_weights_sha256 == "a" * 64
    assert (receipt.input.path, receipt.input.tile_count) == (
        "embeddings/encoder=e/tiling=abc123/S1", 90,
    )  # fmt: skip
    facts = receipt.slide_encoder
    assert (facts.name, facts.seed, facts.dim) == ("covariance", 0, 21)
    assert "Li et al. 2017" in facts.method
    assert receipt.run_id == run.run_id
    path = Path(filled.root.path) / "slides/encoder=covariance/tiles=e/tiling=abc123/S1.parquet"
    assert pq.read_table(path).num_rows == 1


def test_a_run_makes_what_is_missing_changed_or_damaged_and_nothing_else(
    filled: FeatureStore,
) -> None:
    encode(filled, "mean")
    assert set(fates(encode(filled, "mean")).values()) == {"skipped", "empty"}
    runs = len(list((Path(filled.root.path) / "runs").glob("*.parquet")))
    assert runs == 1  # a run that did nothing leaves no table
    write_slide(filled, "S2", seed=5)
    folder = Path(filled.root.path) / "slides/encoder=mean/tiles=e/tiling=abc123"
    damaged = bytearray((folder / "S4.parquet").read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (folder / "S4.parquet").write_bytes(damaged)
    assert any("S4" in problem for problem in filled.inspect().problems)
    assert fates(encode(filled, "mean")) == {
        "S1": "skipped", "S2": "done", "S3": "empty", "S4": "done",
    }  # fmt: skip
    assert filled.inspect().problems == []
    found = filled.matrix("e", pool="slide:mean")
    pd.testing.assert_frame_equal(found, filled.matrix("e", pool="mean"), check_exact=False)


def test_a_slide_that_cannot_be_encoded_is_an_answer(filled: FeatureStore, plugin: Path) -> None:
    write_slide(filled, "S4", nan=True)
    run = encode(filled, write_plugin(plugin, fewest=10))
    assert fates(run) == {"S1": "done", "S2": "failed", "S3": "empty", "S4": "failed"}
    reasons = {row.slide_id: row.reason for row in run.failed}
    assert reasons["S2"] == "too few tiles"
    assert "not finite" in reasons["S4"]
    with pytest.raises(StoreError, match=r"2 slides of e .*have no vector \(S2, S4\); make them"):
        filled.matrix("e", pool="slide:reach_plugin:make")
    module = plugin / "reach_plugin.py"
    module.write_text(module.read_text().replace("raise SlideError(", "raise ValueError ("))
    sys.modules.pop("reach_plugin")  # its size has changed, so compiled code of it is not taken
    (failed,) = (row for row in encode(filled, "reach_plugin:make").failed if row.slide_id == "S2")
    assert "reach_plugin:make" in failed.reason
    assert "too few tiles" in failed.reason


def test_a_damaged_partition_costs_its_own_slide_alone(filled: FeatureStore) -> None:
    (path,) = Path(filled.root.path).glob("embeddings/*/*/S2.parquet")
    path.write_bytes(path.read_bytes()[:1000])
    run = encode(filled, "mean")
    assert fates(run) == {"S1": "done", "S2": "failed", "S3": "empty", "S4": "done"}
    (failed,) = run.failed
    assert "the same extract command makes it again" in failed.reason


def test_pooling_by_a_slide_encoder_that_nobody_knows_says_which_there_are(
    filled: FeatureStore,
) -> None:
    with pytest.raises(ConfigError, match=r"'quantile': is unknown.*did you mean quantiles"):
        filled.matrix("e", pool="slide:quantile")
    with pytest.raises(ConfigError, match="'vlad': is a method that is fitted first"):
        filled.matrix("e", pool="slide:vlad")


def test_quantiles_are_those_of_the_pooling_and_a_patient_is_the_mean_of_slides(
    filled: FeatureStore,
) -> None:
    by_slide = filled.matrix("e", pool="slide:quantiles")
    pd.testing.assert_frame_equal(by_slide, filled.matrix("e", pool="quantiles"))
    assert list(by_slide.index) == ["S1", "S2", "S4"]
    assert by_slide.attrs["empty_slides"] == ["S3"]
    assert by_slide.attrs["receipt"]["pool"] == "slide:quantiles"
    by_patient = filled.matrix("e", pool="slide:quantiles", by="patient")
    assert list(by_patient.index) == ["PA", "PB"]
    mean = by_slide.loc[["S1", "S4"]].mean()
    np.testing.assert_allclose(by_patient.loc["PA"], mean, rtol=1e-5)
    np.testing.assert_array_equal(by_patient.loc["PB"], by_slide.loc["S2"])


def test_a_plugin_sees_places_and_is_recorded(filled: FeatureStore, plugin: Path) -> None:
    encode(filled, f"{write_plugin(plugin)}?name=reach")
    key = SlideVectorKey("reach", "e", "abc123", "S2")
    found = read_slide_vector(filled.root, key)
    assert found is not None
    bag = filled.bag("S2", "e")
    np.testing.assert_allclose(found.vector[:2], bag.coords.mean(axis=0) / [448, 431], rtol=1e-6)
    assert found.vector[3] == bag.embeddings.max()
    facts = found.receipt.slide_encoder
    assert (facts.plugin, facts.request) == ("reach_plugin:make", "reach_plugin:make?name=reach")
    assert (facts.licence, facts.method) == ("mit", "reach")
    (plugin / "reach_plugin.py").unlink()  # what is stored needs no plugin
    assert filled.matrix("e", pool="slide:reach").shape == (3, 4)


def test_one_name_is_bound_to_one_set_of_weights(filled: FeatureStore, plugin: Path) -> None:
    encode(filled, write_plugin(plugin), slide=("S1",))
    with pytest.raises(StoreError, match=r"one name is bound to one set of weights.*\?name=NAME"):
        encode(filled, write_plugin(plugin, weights="others"))
    with pytest.raises(StoreError, match="one name is bound"):  # with nothing left to encode
        encode(filled, write_plugin(plugin, weights="others"), slide=("S1",))
    assert fates(encode(filled, f"{write_plugin(plugin, weights='others')}?name=other"))["S1"] == (
        "done"
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tile_px": 256}, r"was made for tile_px 256, not for tile_px 224 .*--allow-contract"),
        ({}, r"no array|returns"),
    ],
)
def test_a_contract_is_held_against_the_receipts(
    filled: FeatureStore, plugin: Path, changes: dict[str, int], message: str
) -> None:
    request = write_plugin(plugin, **changes)  # type: ignore[arg-type]
    if changes:
        with pytest.raises(ConfigError, match=message):
            encode(filled, request)
        run = encode(filled, request, allow_contract_break=True)
        assert fates(run)["S1"] == "done"
        found = read_slide_vector(
            filled.root, SlideVectorKey("reach_plugin-make", "e", "abc123", "S1")
        )
        assert found is not None
        broken = found.receipt.slide_encoder.contract_broken
        assert broken == "tile_px 224 instead of 256"
        return
    source = (plugin / "reach_plugin.py").read_text()
    (plugin / "reach_plugin.py").write_text(source.replace("return np.array([", "return ([1, "))
    with pytest.raises(ConfigError, match=r"encode\(\) returns .*list.*return a numpy array"):
        encode(filled, request)


def test_a_fitted_one_is_published_once_and_names_whom_it_saw(filled: FeatureStore) -> None:
    card = fit(filled)
    assert fit(filled) == card  # found, not fitted again
    assert (card.fitted_on.patients, card.fitted_on.slides) == (2, 3)
    assert card.fitted_on.find_patients(["PA", "PX", "PB"]) == ["PA", "PB"]
    assert "PA" not in card.model_dump_json()
    with pytest.raises(ConfigError, match=r"--name v4: is in use .*vlad on e.*choose another"):
        fit(filled, seed=7)
    other = fit(filled, "v4b", seed=7)
    assert other.weights_sha256 != card.weights_sha256
    with pytest.raises(ConfigError, match=r"--name mean: is the name of a slide encoder already"):
        fit(filled, "mean")
    assert filled.matrix("e", pool="slide:v4").shape == (3, 4 * 3)
    assert filled.inspect().problems == []


def test_vectors_of_one_whose_card_is_gone_are_not_used(filled: FeatureStore) -> None:
    fit(filled)
    filled.matrix("e", pool="slide:v4")
    shutil.rmtree(Path(filled.root.path) / "slide_encoders/v4")
    with pytest.raises(StoreError, match=r"card slide_encoders/v4 is gone, so nobody can tell"):
        filled.matrix("e", pool="slide:v4")
    encode(filled, "mean?name=plain")  # has none to lose
    assert filled.matrix("e", pool="slide:plain").shape == (3, DIM)


def test_patients_that_are_named_are_fitted_on_alone(filled: FeatureStore, tmp_path: Path) -> None:
    (tmp_path / "some.txt").write_text("PA\n")
    card = fit(filled, patients=str(tmp_path / "some.txt"))
    assert card.fitted_on.find_patients(["PA", "PB"]) == ["PA"]
    assert card.fitted_on.tiles == 90 + 41
    (tmp_path / "some.txt").write_text("PA\nPX\n")
    with pytest.raises(ConfigError, match=r"1 patient of it without a slide .*\(PX\)"):
        fit(filled, "v5", patients=str(tmp_path / "some.txt"))


def test_a_fitted_one_reads_no_other_tile_encoder(filled: FeatureStore, tmp_path: Path) -> None:
    fit(filled)
    write_slide_store(tmp_path / "store", encoder="f", weights="b" * 64)
    encoder = {"encoder": "f"}
    with pytest.raises(ConfigError, match=r"v4: was made for weights aaaaaaaaaaaa, not for"):
        encode(filled, "v4", **encoder)


def test_what_is_not_there_is_told(filled: FeatureStore) -> None:
    with pytest.raises(ConfigError, match=r"'covarience': is unknown.*did you mean .*covariance"):
        encode(filled, "covarience")
    with pytest.raises(ConfigError, match=r"'fisher': is a method that is fitted first.*fit-slide"):
        encode(filled, "fisher")
    with pytest.raises(ConfigError, match=r"color=red is no setting of it"):
        resolve_slide_encoder(filled.root, "mean?color=red")
    with pytest.raises(ConfigError, match=r"'nosuch': is unknown; there are mean"):
        filled.matrix("e", pool="slide:nosuch")
    (Path(filled.root.path) / "slides/encoder=nosuch").mkdir(parents=True)  # of other tiles
    with pytest.raises(StoreError, match=r"pooling slide:nosuch: 3 slides of e .*encode-slides"):
        filled.matrix("e", pool="slide:nosuch")


def test_sql_ls_verify_and_runs_know_them(
    filled: FeatureStore, capsys: pytest.CaptureFixture[str]
) -> None:
    path = filled.root.path
    columns = "slide_encoder, encoder, tiling, slide_id, patient_id, n_tiles, len(embedding) d"
    query = f"select {columns} from slide_vectors order by all"
    assert len(filled.sql(query).df()) == 0
    encode(filled, "mean", "covariance")
    rows = filled.sql(query).df()
    assert rows.iloc[0].tolist() == ["covariance", "e", "abc123", "S1", "PA", 90, 21]
    assert len(rows) == 6
    assert set(rows["d"]) == {21, DIM}
    assert "slide_vectors" in filled.view_script()
    assert main(["store", "ls", path]) == 0
    assert "slide vectors: mean of e, tiling abc123: 3 slides" in capsys.readouterr().out
    assert main(["runs", path]) == 0
    assert "slide:covariance" in capsys.readouterr().out
    assert filled.inspect().problems == []
    assert filled.gc(older_than_s=0) == []
    assert filled.slides()["patient_id"].tolist() == ["PA", "PB", "PC", "PA"]


def test_the_command_line_encodes_lists_and_fits(
    filled: FeatureStore, capsys: pytest.CaptureFixture[str]
) -> None:
    path = filled.root.path
    common = ["--store", path, "--encoder", "e"]
    fitted = ["--method", "mixture", "--name", "mix", "--prototypes", "3", "--components", "2"]
    assert main(["fit-slide-encoder", *common, *fitted]) == 0
    assert "PANTHER" in capsys.readouterr().out
    assert main(["encode-slides", *common, "--slide-encoder", "mix", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [row["outcome"] for row in told["slides"]] == ["empty", "done", "done", "done"]
    assert main(["encode-slides", "--list", "--store", path]) == 0
    listed = capsys.readouterr().out
    assert "mix " in listed
    assert "titan" in listed
    assert main(["encode-slides", *common, "--slide-encoder", "mixx"]) == 2
    assert "did you mean" in capsys.readouterr().err
