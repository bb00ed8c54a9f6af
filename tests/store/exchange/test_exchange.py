"""Exchange formats: the contract of each, and how slides are chosen."""

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from histo_ray.cli.main import main
from histo_ray.errors import ConfigError, StoreError
from histo_ray.store.exchange import registry as formats
from histo_ray.store.exchange.base import ExchangeFormat
from histo_ray.store.exchange.export_slides import export_slides
from histo_ray.store.exchange.geojson import GeoJson
from histo_ray.store.exchange.registry import EXCHANGE_FORMATS, find_exchange_format
from histo_ray.store.location import location_of
from histo_ray.store.store import Store
from histo_ray.tiles.polygons import parse_geojson
from histo_ray.types import Receipt, TileRows
from tests.made_up import facts_of, rows_of
from tests.store.exchange.exchange_contract import ExchangeContract, filled

__all__ = ["filled"]


@pytest.fixture(params=EXCHANGE_FORMATS, ids=lambda one: one.name)
def _member(request: pytest.FixtureRequest) -> ExchangeFormat:
    member: ExchangeFormat = request.param
    return member


class TestEveryFormat(ExchangeContract):
    """Each member of the registry."""

    @pytest.fixture
    def format(self, _member: ExchangeFormat) -> ExchangeFormat:
        return _member


class CoordsText:
    """A format that nobody has: a line of text a tile."""

    name = "coords"
    about = "coordinates as text"

    def relative_path(self, receipt: Receipt) -> str:
        return f"{receipt.encoder.name}/{receipt.slide.slide_id}.txt"

    def export(self, rows: Iterable[TileRows], receipt: Receipt, path: Path) -> None:
        lines = [f"{x} {y}" for block in rows for x, y in block.coords.tolist()]
        path.write_text("\n".join(lines))


class TestAFormatOfItsOwn(ExchangeContract):
    """One class and one line in the registry are enough, from the contract to the command."""

    @pytest.fixture
    def format(self) -> ExchangeFormat:
        return CoordsText()

    def test_the_command_knows_it(
        self, filled: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(formats, "EXCHANGE_FORMATS", [*EXCHANGE_FORMATS, CoordsText()])
        out = str(tmp_path / "out")
        assert main(["store", "export", filled.root.path, "--to", "coords", "--out", out]) == 0
        text = (tmp_path / "out/e/S1.txt").read_text()
        assert len(text.splitlines()) == 90


def test_geojson_holds_each_tile_as_the_square_that_was_read(store: Store, tmp_path: Path) -> None:
    facts = facts_of("S1")
    store.commit(facts.key, facts, rows_of(90))
    export_slides(store.root, GeoJson(), location_of(str(tmp_path)))
    text = (tmp_path / "S1.geojson").read_text()
    features = json.loads(text)["features"]
    coords = store.bag("S1", "e").coords
    assert len(features) == 90
    for at, (feature, (x, y)) in enumerate(zip(features, coords.tolist(), strict=True)):
        assert feature["geometry"]["coordinates"] == [
            [[x, y], [x + 448, y], [x + 448, y + 431], [x, y + 431], [x, y]]
        ]
        about = feature["properties"]
        assert (about["objectType"], about["name"], about["tile_id"]) == ("tile", f"tile {at}", at)
    tissue = store.sql("select tissue from embeddings order by tile_id").df()["tissue"]
    told = [feature["properties"]["tissue"] for feature in features]
    np.testing.assert_allclose(told, tissue, atol=6e-5)
    assert told == [feature["properties"]["measurements"]["tissue"] for feature in features]
    assert len(parse_geojson(text)) == 90  # what reads QuPath's own files reads it


def test_an_empty_slide_is_a_collection_of_nothing(store: Store, tmp_path: Path) -> None:
    facts = facts_of("S3", empty_reason="no tissue")
    store.commit(facts.key, facts, [])
    export_slides(store.root, GeoJson(), location_of(str(tmp_path)))
    assert json.loads((tmp_path / "S3.geojson").read_text()) == {
        "type": "FeatureCollection",
        "features": [],
    }


def test_one_of_several_encoders_and_tilings_must_be_named(store: Store, tmp_path: Path) -> None:
    out = location_of(str(tmp_path / "out"))
    with pytest.raises(StoreError, match="holds no slide yet"):
        export_slides(store.root, GeoJson(), out)
    for encoder, tiling in (("e", "abc123"), ("e", "other"), ("f", "abc123")):
        facts = facts_of("S1", encoder, tiling=tiling)
        store.commit(facts.key, facts, rows_of(3))
    with pytest.raises(ConfigError, match=r"2 encoders \(e, f\); name one with --encoder"):
        export_slides(store.root, GeoJson(), out)
    with pytest.raises(ConfigError, match=r"--encoder g: .* holds no slide of it, only of e, f"):
        export_slides(store.root, GeoJson(), out, "g")
    with pytest.raises(StoreError, match="in several tilings"):
        export_slides(store.root, GeoJson(), out, "e")
    assert export_slides(store.root, GeoJson(), out, "f").written == ["S1.geojson"]
    assert export_slides(store.root, GeoJson(), out, "e", tiling="oth").there == ["S1.geojson"]
    with pytest.raises(StoreError, match="S9"):
        export_slides(store.root, GeoJson(), out, "f", slide_ids=["S9"])


def test_the_command_says_what_it_did_and_what_the_old_spelling_is_now(
    filled: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    uri, out = filled.root.path, str(tmp_path / "out")
    asked = ["store", "export", uri, "--to", "geojson", "--out", out, "--encoder", "e"]
    assert main([*asked, "--slide", "S1"]) == 0
    assert main(asked) == 0
    text = capsys.readouterr().out
    assert f"1 slide written as geojson into {out}" in text
    assert "2 slides written" in text
    assert "1 file there already and left as it is; --overwrite writes it anew" in text
    assert main(["store", "export", uri, "--to", "zarr", "--out", out]) == 2
    assert "run histo-ray store convert --to zarr" in capsys.readouterr().err
    assert main(["store", "export", uri, "--to", "geojson"]) == 2
    assert "give --out" in capsys.readouterr().err


def test_the_old_spelling_of_convert_still_works_and_says_so(
    filled: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {key: filled.bag(key.slide_id, "e").embeddings.tobytes() for key in filled.list_keys()}
    assert main(["store", "export", filled.root.path, "--to", "zarr"]) == 0
    out, err = capsys.readouterr()
    assert "store export --to zarr is store convert --to zarr now" in err
    assert out == "2 partitions are now zarr\n"
    after = {key: filled.bag(key.slide_id, "e").embeddings.tobytes() for key in filled.list_keys()}
    assert after == before


def test_an_export_names_its_folder_once_and_outside_of_the_store(
    filled: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    uri, out = filled.root.path, str(tmp_path / "here")
    assert main(["store", "export", uri, out, "--to", "geojson", "--slide", "S1"]) == 0
    assert (tmp_path / "here/S1.geojson").is_file()
    assert main(["store", "export", uri, out, "--out", "there", "--to", "geojson"]) == 2
    assert "name two folders; give one" in capsys.readouterr().err
    assert main(["store", "export", uri, f"{uri}/embeddings", "--to", "geojson"]) == 2
    assert "is in the store itself; choose a folder outside" in capsys.readouterr().err


def test_an_unknown_format_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="--to h5: no such exchange format; choose one of geoj"):
        find_exchange_format("h5")


def test_a_folder_that_cannot_be_written_is_told(filled: Store, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigError, match=r"--out .*file/out: cannot be written"):
        export_slides(filled.root, GeoJson(), location_of(str(tmp_path / "file/out")))
