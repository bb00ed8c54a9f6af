"""The tiles most like a tile or vector: exactly, and by an index where faiss is installed."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import histo_ray as hr
from histo_ray.api.feature_store import FeatureStore
from histo_ray.cli.main import main
from histo_ray.errors import ConfigError, StoreError
from histo_ray.store.neighbours import ann_index, index_files
from histo_ray.store.neighbours.ann_index import has_faiss
from histo_ray.store.neighbours.nearest import find_nearest, to_units
from histo_ray.types import TileRows
from tests.made_up import facts_of

SLIDES, TILES, DIM = 6, 200, 16
NEEDS_FAISS = pytest.mark.skipif(not has_faiss(), reason="needs the package faiss-cpu")


def rows_near(seed: int, count: int = TILES, dim: int = DIM) -> TileRows:
    """Tiles around eight centres that all slides share."""
    centres = np.random.default_rng(0).standard_normal((8, dim))
    random = np.random.default_rng(seed)
    vectors = centres[random.integers(0, 8, count)] + 0.3 * random.standard_normal((count, dim))
    coords = random.integers(0, 9000, (count, 2)).astype(np.int32)
    tissue = random.random(count).astype(np.float32)
    return TileRows(coords, tissue, tissue, vectors.astype(np.float16))


def put(store: FeatureStore, slide_id: str, rows: TileRows, **settings: Any) -> None:
    facts = facts_of(slide_id, dim=rows.embeddings.shape[1], **settings)
    form: Any = "zarr" if slide_id == "S1" else "parquet"
    store.commit(facts.key, facts, [rows] if len(rows) else [], format=form, replace=True)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    store = hr.open_store(str(tmp_path_factory.mktemp("similar") / "store"), create=True)
    for number in range(SLIDES):
        put(store, f"S{number}", rows_near(number))
    facts = facts_of("empty", dim=DIM, empty_reason="no tissue")
    store.commit(facts.key, facts, [])
    return Path(store.root.path)


@pytest.fixture
def store(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FeatureStore:
    monkeypatch.setattr(index_files, "SETTLED_NS", 0)
    shutil.copytree(made, tmp_path / "store")
    return hr.open_store(str(tmp_path / "store"))


def truth(
    store: FeatureStore, vector: Any, k: int, names: list[str], least_tissue: float = 0.0
) -> list[tuple[str, int]]:
    """The nearest by plain NumPy, in double precision."""
    rows = []
    for name in names:
        bag = store.bag(name, "e")
        tissue = store.sql(
            f"select tissue from embeddings where slide_id = '{name}' order by tile_id"
        )
        vectors = bag.embeddings.astype(float)
        cosines = vectors @ vector / np.linalg.norm(vectors, axis=1) / np.linalg.norm(vector)
        kept = [t >= least_tissue for (t,) in tissue.fetchall()]
        rows += [
            (-c, name, n) for n, (c, keep) in enumerate(zip(cosines, kept, strict=True)) if keep
        ]
    return [(name, tile) for _, name, tile in sorted(rows)[:k]]


ALL = [f"S{number}" for number in range(SLIDES)]
SEARCHES = [pytest.param(False, id="scan"), pytest.param(True, id="index", marks=NEEDS_FAISS)]


@pytest.mark.parametrize("by_index", SEARCHES)
class TestSimilar:
    """What holds of a search, whatever searches."""

    @pytest.fixture(autouse=True)
    def index(self, store: FeatureStore, by_index: bool) -> None:
        if by_index:
            store.build_index()

    def test_a_tile_finds_the_nearest_others(self, store: FeatureStore, by_index: bool) -> None:
        found = store.similar(("S1", 17), k=10)
        vector = store.bag("S1", "e").embeddings[17].astype(float)
        wanted = [tile for tile in truth(store, vector, 11, ALL) if tile != ("S1", 17)]
        pairs = list(zip(found["slide_id"], found["tile_id"], strict=True))
        assert len(set(pairs) & set(wanted)) >= (9 if by_index else 10)
        assert ("S1", 17) not in pairs
        assert list(found["similarity"]) == sorted(found["similarity"], reverse=True)
        assert found.attrs["searched"] == ("index" if by_index else "exact scan")
        rows: Any = found.itertuples()
        for row in rows:
            bag = store.bag(row.slide_id, "e")
            assert (row.x, row.y) == tuple(bag.coords[row.tile_id])
            own = bag.embeddings[row.tile_id].astype(float)
            cosine = own @ vector / np.linalg.norm(own) / np.linalg.norm(vector)
            assert row.similarity == pytest.approx(cosine, abs=2e-3)

    def test_a_vector_finds_its_own_tile(self, store: FeatureStore, by_index: bool) -> None:
        vector = 7 * store.bag("S4", "e").embeddings[3].astype(np.float32)
        (row,) = store.similar(vector, k=1).itertuples()
        assert (row.slide_id, row.tile_id) == ("S4", 3)
        assert row.similarity == pytest.approx(1, abs=2e-3)

    def test_only_tiles_of_a_condition_are_found(self, store: FeatureStore, by_index: bool) -> None:
        where = "tissue >= 0.9 and slide_id in ('S0', 'S1', 'S5') -- of three"
        found = store.similar(("S2", 0), k=5, where=where)
        vector = store.bag("S2", "e").embeddings[0].astype(float)
        wanted = truth(store, vector, 5, ["S0", "S1", "S5"], 0.9)
        pairs = list(zip(found["slide_id"], found["tile_id"], strict=True))
        assert len(pairs) == 5
        assert len(set(pairs) & set(wanted)) >= (4 if by_index else 5)
        assert store.similar(("S2", 0), where="tissue > 2").empty
        with pytest.raises(ConfigError, match="where='colour > 1' is no condition over tiles"):
            store.similar(("S2", 0), where="colour > 1")

    def test_slides_that_change_are_found_as_they_are(
        self, store: FeatureStore, by_index: bool
    ) -> None:
        own = rows_near(2)
        put(store, "new", TileRows(own.coords, own.tissue, own.focus, own.embeddings))
        put(store, "S2", rows_near(50, 2 * TILES))
        (Path(store.root.path) / "embeddings/encoder=e/tiling=abc123/S3.parquet").unlink()
        for tile in (5, 9, 100):
            vector = own.embeddings[tile].astype(float)
            (row,) = store.similar(vector, k=1).itertuples()
            assert (row.slide_id, row.tile_id) == ("new", tile)
        of_one = store.similar(("new", 5), k=900, where="slide_id = 'S2'")
        assert list(of_one["slide_id"]) == ["S2"] * 2 * TILES
        found = store.similar(("new", 5), k=1100)
        assert set(found["slide_id"]) == {"S0", "S1", "S2", "S4", "S5", "new"}
        if by_index:
            assert found.attrs["searched"] == "index, and a scan of 2 slides that it lacks"
            store.build_index()
            assert store.similar(("new", 5)).attrs["searched"] == "index"


@NEEDS_FAISS
def test_an_index_that_is_damaged_or_gone_changes_no_answer(store: FeatureStore) -> None:
    store.build_index("e")
    before = store.similar(("S1", 17), exact=True)
    assert before.attrs["searched"] == "exact scan"
    (folder,) = Path(store.root.path).glob("cache/neighbours/*/*/*")
    (folder / "0000.faiss").write_bytes(b"cut")
    assert store.similar(("S1", 17)).equals(before)
    assert [path.rpartition("/")[2] for path in store.drop_index()] == [folder.name]
    assert not folder.exists()
    assert store.similar(("S1", 17)).attrs["searched"] == "exact scan"
    assert store.drop_index("e") == []


@NEEDS_FAISS
def test_an_index_is_built_in_shards_and_replaces_older_ones(
    store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = store.build_index()
    monkeypatch.setattr(ann_index, "SHARD_BYTES", 300 * DIM * 2)
    built = store.build_index()
    assert (built.tiles, built.slides) == (whole.tiles, whole.slides) == (SLIDES * TILES, 7)
    assert built.quality.recall >= 0.95
    (folder,) = Path(store.root.path).glob("cache/neighbours/*/*/*")
    shards = [f"{number:04d}.faiss" for number in range(3)]
    assert sorted(path.name for path in folder.iterdir()) == [*shards, "partitions.parquet"]
    found = store.similar(("S5", 3), k=5)
    assert found.attrs["searched"] == "index"
    assert list(found["similarity"]) == pytest.approx(
        list(store.similar(("S5", 3), k=5, exact=True)["similarity"]), abs=2e-3
    )


@NEEDS_FAISS
def test_the_program_builds_and_drops_an_index(
    store: FeatureStore, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["store", "index", "build", store.root.path]) == 0
    assert "e, abc123: 1,200 tiles of 7 slides" in capsys.readouterr().out
    assert main(["store", "index", "drop", store.root.path]) == 0
    assert "1 index dropped" in capsys.readouterr().out


def test_without_faiss_an_index_is_refused_and_a_search_scans(
    store: FeatureStore, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def absent() -> Any:
        raise ImportError("faiss")

    monkeypatch.setattr(ann_index, "_faiss", absent)
    assert main(["store", "index", "build", store.root.path]) == 2
    assert "pip install 'histo-ray[neighbours]'" in capsys.readouterr().err
    assert len(store.similar(("S1", 17), k=3)) == 3


def test_wrong_queries_are_refused_in_one_sentence(store: FeatureStore) -> None:
    queries: list[tuple[Any, str]] = [
        (("S9", 1), "slide 'S9' is not in the store, which holds S0"),
        (("S1", 200), "slide 'S1' has no tile 200; its tiles are 0 to 199"),
        (("S1", -1), "slide 'S1' has no tile -1"),
        (("empty", 0), "slide 'empty' has no tiles"),
        (np.ones(3), r"shape \(3,\); give a tile .* 16 numbers"),
        (np.ones((2, DIM)), r"shape \(2, 16\)"),
        (np.zeros(DIM), "the query is zero"),
        (np.full(DIM, np.nan), "not finite"),
    ]
    for query, words in queries:
        with pytest.raises(ConfigError, match=words):
            store.similar(query)
    with pytest.raises(ConfigError, match="k=0 must be 1 or more"):
        store.similar(("S1", 1), k=0)
    put(store, "S0", rows_near(1, dim=5), encoder="f")
    with pytest.raises(StoreError, match=r"slides of 2 encoders \(e, f\); name one"):
        store.similar(("S0", 1))
    assert len(store.similar(("S0", 1), encoder="f", k=4)) == 4


def test_vectors_without_a_direction_are_like_none() -> None:
    vectors = np.array([[0, 0], [np.inf, 1], [np.nan, 1], [3, 4], [-3, -4]], np.float16)
    assert to_units(vectors).tolist() == pytest.approx(
        np.array([[0, 0], [0, 0], [0, 0], [0.6, 0.8], [-0.6, -0.8]]), abs=1e-6
    )
    found = find_nearest(np.array([0.6, 0.8], np.float32), vectors, 9, first=100)
    assert found.rows.tolist() == [103, 100, 101, 102, 104]
    assert found.similarity.tolist() == pytest.approx([1, 0, 0, 0, -1], abs=1e-6)
    assert vectors.astype(np.float32).tolist()[3] == [3, 4]
