"""Round trips: a tool's files into a store and out again, and what the tool's own code reads.

The readers below are the few lines that the tools themselves read with; their files are named.
"""

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pytest
import torch

from histo_ray.api.import_features import import_features
from histo_ray.cli.main import main
from histo_ray.pooling.feature_store import FeatureStore, open_store
from histo_ray.types import UNKNOWN_WEIGHTS
from testing.foreign_files import MPP, SIDE, TILE_PX, WRITERS, Foreign, draw_slide
from tests.made_up import facts_of, rows_of

Read = tuple[npt.NDArray[Any], npt.NDArray[Any]]
NAMES = {"TCGA-05-4244-01Z-00-DX1.9c b": 90, "S2": 1}


def read_trident(folder: Path, slide_id: str) -> Read:
    """`H5Dataset.__getitem__` of TRIDENT's tutorial 3, and `extract_slide_features` (WSI.py)."""
    (path,) = folder.rglob(f"{slide_id}.h5")
    with h5py.File(path, "r") as file:
        coords, features = file["coords"][:], file["features"][:]
        attributes = dict(file["coords"].attrs)
    assert int(attributes["patch_size_level0"]) == SIDE
    return features, coords


def read_clam(folder: Path, slide_id: str) -> Read:
    """`Generic_MIL_Dataset.__getitem__` of CLAM (dataset_generic.py), both of its ways."""
    features = torch.load(folder / "pt_files" / f"{slide_id}.pt")
    with h5py.File(folder / "h5_files" / f"{slide_id}.h5", "r") as file:
        same, coords = file["features"][:], file["coords"][:]
    assert features.dtype == torch.float32
    np.testing.assert_array_equal(features.numpy(), same)
    return same, coords


def read_stamp(folder: Path, slide_id: str) -> Read:
    """`BagDataset.__getitem__`, `get_coords` and `detect_feature_type` of STAMP (data.py)."""
    (path,) = folder.rglob(f"{slide_id}.h5")
    with h5py.File(path, "r", swmr=True, libver="latest") as file:
        assert file.attrs["feat_type"] == "tile"
        assert file.attrs["unit"] == "um"
        um, px = float(file.attrs["tile_size_um"]), int(file.attrs["tile_size_px"])
        assert (um, px) == (SIDE * MPP, TILE_PX)
        return torch.from_numpy(file["feats"][()]).numpy(), file["coords"][:]


def read_anndata(folder: Path, slide_id: str) -> Read:
    """What `anndata.read_h5ad` reads: nodes by their `encoding-type`; see `read_elem` there."""
    (path,) = folder.rglob(f"{slide_id}.h5ad")
    with h5py.File(path, "r") as file:
        assert file.attrs["encoding-type"] == "anndata"
        for name in ("obs", "var"):
            assert file[name].attrs["encoding-type"] == "dataframe"
            assert file[name].attrs["_index"] in file[name]
        assert list(file["obs"].attrs["column-order"]) == ["tile_id", "tissue", "focus"]
        kinds: set[str] = set()
        file.visititems(lambda _, node: kinds.add(node.attrs["encoding-type"]))
        assert kinds <= {"array", "dataframe", "dict", "string-array", "string", "numeric-scalar"}
        assert [x.decode() for x in file["obs/_index"][:2]] == ["0", "1"][: len(file["X"])]
        assert json.loads(file["uns/histo_ray"][()])["slide"]["slide_id"] == slide_id
        return file["X"][:], file["obsm/spatial"][:]


READERS = {
    "trident": read_trident,
    "clam": read_clam,
    "stamp": read_stamp,
    "anndata": read_anndata,
}


def in_px(name: str, coords: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.rint(coords / MPP) if name == "stamp" else coords


@pytest.fixture
def slides(name: str) -> dict[str, Foreign]:
    dtype = "float16" if name == "stamp" else "float32"
    return {one: draw_slide(one, count, dtype=dtype) for one, count in NAMES.items()}


@pytest.fixture
def store(name: str, slides: dict[str, Foreign], tmp_path: Path) -> FeatureStore:
    for slide in slides.values():
        WRITERS[name](tmp_path / "source", slide)
    store = open_store(str(tmp_path / "store"), create=True)
    import_features(tmp_path / "source", store.root.path, encoder="uni_v1", slide_mpp=MPP)
    return store


@pytest.mark.parametrize("name", READERS)
def test_what_was_imported_is_exported_bit_for_bit(
    name: str, store: FeatureStore, slides: dict[str, Foreign], tmp_path: Path
) -> None:
    before = {path: path.read_bytes() for path in Path(store.root.path).rglob("*.parquet")}
    done = store.export(name, tmp_path / "out")
    assert done.problems == []
    for slide_id, slide in slides.items():
        features, coords = READERS[name](tmp_path / "out", slide_id)
        assert features.dtype == slide.vectors.dtype
        assert features.tobytes() == slide.vectors.tobytes()
        np.testing.assert_array_equal(in_px(name, coords), slide.coords)
    now = {path: path.read_bytes() for path in Path(store.root.path).rglob("*.parquet")}
    assert now == before


@pytest.mark.parametrize("name", READERS)
def test_an_export_is_imported_again_bit_for_bit(
    name: str, store: FeatureStore, slides: dict[str, Foreign], tmp_path: Path
) -> None:
    store.export(name, tmp_path / "out")
    side = SIDE if name == "clam" else None  # its files say nothing of the size of a tile
    again = import_features(tmp_path / "out", store.root.path, encoder="again", side_px=side)
    assert {row.outcome.value for row in again.summary.rows} == {"done"}
    for slide_id in slides:
        one, two = store.bag(slide_id, "uni_v1"), store.bag(slide_id, "again")
        assert one.embeddings.tobytes() == two.embeddings.tobytes()
        np.testing.assert_array_equal(one.coords, two.coords)


@pytest.mark.parametrize("name", ["trident"])
def test_attributes_of_trident_survive(name: str, store: FeatureStore, tmp_path: Path) -> None:
    store.export(name, tmp_path / "out", slide_ids=["S2"])
    (first,) = (tmp_path / "source").rglob("S2.h5")
    (second,) = (tmp_path / "out").rglob("S2.h5")
    assert second.parent.name == first.parent.name == "features_uni_v1"
    with h5py.File(first) as one, h5py.File(second) as two:
        was, now = dict(one["coords"].attrs), dict(two["coords"].attrs)
        assert now == was | {"level0_mpp": MPP}
        assert one["coords"].dtype == two["coords"].dtype


@pytest.mark.parametrize("to", [*READERS, "csv"])
def test_own_features_reach_each_tool(to: str, tmp_path: Path) -> None:
    """float16 vectors of two encoders; slides in Zarr, and one without tiles."""
    store = open_store(str(tmp_path / "store"), create=True)
    for slide_id, count in {"S1": 90, "S3": 0}.items():
        for encoder in ("a", "b"):
            facts = facts_of(slide_id, encoder, empty_reason="" if count else "no tissue")
            store.commit(facts.key, facts, rows_of(count), format="zarr")
    done = store.export(to, tmp_path / "out", encoder="b")
    assert (len(done.written), done.problems) == (4 if to == "clam" else 2, [])
    bag = store.bag("S1", "b")
    if to == "csv":
        table = np.genfromtxt(tmp_path / "out/b/S1.csv", delimiter=",", names=True)
        assert table.dtype.names == (
            *("tile_id", "x", "y", "tissue", "focus"),
            *(f"e{at}" for at in range(5)),
        )
        vectors = np.stack([table[f"e{at}"] for at in range(5)], axis=1)
        assert vectors.astype(np.float16).tobytes() == bag.embeddings.tobytes()
        return
    suffix = {"clam": "pt", "anndata": "h5ad"}.get(to, "h5")
    (path,) = (tmp_path / "out").rglob(f"S1.{suffix}")
    (empty,) = (tmp_path / "out").rglob(f"S3.{suffix}")
    if suffix == "pt":
        features, none = torch.load(path).numpy(), torch.load(empty).numpy()
    else:
        key = {"stamp": "feats", "anndata": "X"}.get(to, "features")
        with h5py.File(path) as file, h5py.File(empty) as other:
            features, none = file[key][:], other[key][:]
            if to == "stamp":  # the slide's px are oblong: 0.25 by 0.26 mpp
                np.testing.assert_allclose(file["coords"][:], bag.coords * (0.25, 0.26), rtol=1e-6)
    np.testing.assert_array_equal(features, bag.embeddings)
    assert none.shape == (0, 5)


@pytest.mark.parametrize("name", ["trident"])
def test_stamp_needs_mpp_and_says_so(name: str, store: FeatureStore, tmp_path: Path) -> None:
    import_features(tmp_path / "source", store.root.path, encoder="unscaled")
    done = store.export("stamp", tmp_path / "out", encoder="unscaled")
    assert (done.written, len(done.problems)) == ([], 2)
    assert "its mpp is unknown, and STAMP's coords are in microns" in done.problems[0]
    done = store.export("geojson", tmp_path / "out", encoder="unscaled")
    features = json.loads((tmp_path / "out/S2.geojson").read_text())["features"]
    assert "tissue" not in features[0]["properties"]  # not measured, and NaN is no JSON


@pytest.mark.parametrize("name", ["trident"])
def test_imported_slides_are_used_as_own_ones(
    name: str, store: FeatureStore, slides: dict[str, Foreign], capsys: pytest.CaptureFixture[str]
) -> None:
    (patient,) = [p for p in store.matrix("uni_v1", by="patient").index if p.startswith("TCGA")]
    assert patient == "TCGA-05-4244"
    means = store.matrix("uni_v1")
    for slide_id, slide in slides.items():
        np.testing.assert_allclose(means.loc[slide_id], slide.vectors.mean(0), rtol=2e-3, atol=1e-5)
    query = "select slide_id, count(*) as n, max(x) as x from embeddings group by 1 order by 1"
    rows = store.sql(query).df()
    assert rows.values.tolist() == [["S2", 1, 1199], ["TCGA-05-4244-01Z-00-DX1.9c b", 90, 1199]]
    (weights,) = {receipt.encoder.weights_sha256 for receipt in store.receipts().values()}
    assert weights == UNKNOWN_WEIGHTS
    assert main(["store", "ls", store.root.path]) == 0
    assert main(["runs", store.root.path]) == 0
    assert main(["store", "convert", store.root.path, "--to", "zarr"]) == 0
    assert main(["store", "verify", store.root.path]) == 0
    assert "2 partitions checked, 0 problems" in capsys.readouterr().out
