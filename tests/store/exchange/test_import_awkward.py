"""Files as they should not be: each is an outcome with a reason, and costs no other slide."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from histo_ray.api.import_features import ImportResult, import_features
from histo_ray.errors import ConfigError, SlideError
from histo_ray.pooling.feature_store import FeatureStore, open_store
from histo_ray.store.exchange.import_slide import unchanged
from histo_ray.store.exchange.source import SourceSlide
from histo_ray.store.exchange.source_digest import look_at_source
from histo_ray.types import TileRows
from testing.foreign_files import (
    MPP,
    SIDE,
    Foreign,
    draw_slide,
    save_h5,
    write_atlaspatch,
    write_clam,
    write_slide2vec,
    write_stamp,
    write_trident,
)

Change = Callable[[Foreign], Foreign]


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    return open_store(str(tmp_path / "store"), create=True)


def bring(folder: Path, store: FeatureStore, **settings: Any) -> ImportResult:
    chosen: Any = {"encoder": "e", "slide_mpp": MPP} | settings
    return import_features(folder, store.root.path, **chosen)


def told(result: ImportResult, slide_id: str = "A") -> tuple[str, str]:
    """Outcome and reason of one slide."""
    (row,) = (row for row in result.summary.rows if row.slide_id == slide_id)
    return row.outcome.value, row.reason


def with_vectors(values: Any) -> Change:
    return lambda slide: Foreign(slide.name, slide.coords, values(slide.vectors))


def with_coords(values: Any) -> Change:
    return lambda slide: Foreign(slide.name, values(slide.coords), slide.vectors)


def put(value: float, at: tuple[int, int]) -> Callable[[np.ndarray], np.ndarray]:
    def change(array: np.ndarray) -> np.ndarray:
        changed = array.copy()
        changed[at] = value
        return changed

    return change


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (with_vectors(put(np.inf, (5, 3))), "the vector of tile 5 holds inf or nan"),
        (with_vectors(put(np.nan, (59, 15))), "the vector of tile 59 holds inf or nan"),
        (with_vectors(lambda v: v.astype(np.float64)), "vectors are float64, where encoder e has"),
        (with_vectors(lambda v: v.astype(np.float16)), "vectors are float16, where encoder e has"),
        (with_vectors(lambda v: v.astype(np.int32)), "vectors are int32, not floating-point"),
        (with_vectors(lambda v: v[:, :9]), "vectors of 9 numbers, where encoder e has 16"),
        (with_vectors(lambda v: v[:-1]), r"coords have the shape \(60, 2\) beside 59 vectors"),
        (with_vectors(lambda v: v[:, 0]), r"has the shape \(60,\), not \(tiles, numbers\)"),
        (with_coords(lambda c: c[:, :1]), r"coords have the shape \(60, 1\) beside 60 vectors"),
        (with_coords(lambda c: c * 3), "beyond the slide of 1200 x 700 px"),
        (with_coords(lambda c: c - 700), "which no slide has"),
        (with_coords(lambda c: np.where(c == 1199, np.nan, c)), "not all finite numbers"),
    ],
)
def test_content_that_cannot_be_used_is_one_slide_and_its_reason(
    change: Change, reason: str, store: FeatureStore, tmp_path: Path
) -> None:
    write_trident(tmp_path / "job", change(draw_slide("A", 60)))
    write_trident(tmp_path / "job", draw_slide("0-good", 9))
    result = bring(tmp_path / "job", store)
    assert told(result, "0-good")[0] == "done"
    outcome, why = told(result)
    assert outcome == "failed"
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(why)
    assert store.verify() == (1, [])


def test_types_are_converted_only_where_asked(store: FeatureStore, tmp_path: Path) -> None:
    doubles = draw_slide("A", 60, dtype="float64")
    write_trident(tmp_path / "job", doubles)
    outcome, why = told(bring(tmp_path / "job", store))
    assert (outcome, "--dtype float32 rounds them" in why) == ("failed", True)
    assert told(bring(tmp_path / "job", store, dtype="float32"))[0] == "done"
    np.testing.assert_array_equal(
        store.bag("A", "e").embeddings, doubles.vectors.astype(np.float32)
    )
    large = with_vectors(put(7e4, (2, 2)))(draw_slide("B", 9))
    write_trident(tmp_path / "other", large)
    result = bring(tmp_path / "other", store, encoder="half", dtype="float16")
    assert "tile 2 has a number beyond float16; use --dtype float32" in told(result, "B")[1]


def test_empty_slides_take_length_and_type_of_the_others(
    store: FeatureStore, tmp_path: Path
) -> None:
    """TRIDENT writes (0, D) as float32 beside float16, and (0,) where it does not know D."""
    job = tmp_path / "job"
    none = np.zeros((0, 2), np.int64)
    write_trident(job, Foreign("0-known", none, np.zeros((0, 16), np.float32)))
    write_trident(job, Foreign("0-unknown", none, np.zeros(0, np.float32)))
    write_trident(job, draw_slide("S1", 9, dtype="float16"))
    result = bring(job, store)
    for name in ("0-known", "0-unknown"):
        assert told(result, name) == ("empty", f"{name}.h5 holds no tile")
    kinds = {(r.encoder.dim, r.encoder.dtype) for r in store.receipts().values()}
    assert kinds == {(16, "float16")}
    assert store.verify() == (3, [])


def test_missing_attributes_are_told_with_what_gives_them(
    store: FeatureStore, tmp_path: Path
) -> None:
    write_trident(tmp_path / "job", draw_slide("A", 60), patch_size_level0=None)
    outcome, why = told(bring(tmp_path / "job", store))
    assert outcome == "failed"
    assert "does not state how large its tiles are in level-0 px; give --side-px" in why
    assert told(bring(tmp_path / "job", store, side_px=SIDE))[0] == "done"
    (receipt,) = store.receipts().values()
    assert set(receipt.tiling.side) == {SIDE}
    by_scale = bring(tmp_path / "job", store, encoder="f", mpp=0.5)
    assert told(by_scale)[0] == "done"
    bare = tmp_path / "bare"
    slide = draw_slide("B", 9)
    save_h5(bare / "B.h5", {"features": slide.vectors, "coords": slide.coords})
    with pytest.raises(ConfigError, match=r"no features of a known layout .* with --from$"):
        bring(bare, store, encoder="g")
    for layout in ("trident", "clam"):
        result = bring(bare, store, encoder=layout, layout=layout, side_px=SIDE)
        assert told(result, "B")[0] == "done"
        assert store.bag("B", layout).embeddings.tobytes() == slide.vectors.tobytes()


def test_a_magnification_gives_no_mpp(store: FeatureStore, tmp_path: Path) -> None:
    write_trident(tmp_path / "job", draw_slide("A", 60))
    outcome, why = told(bring(tmp_path / "job", store, slide_mpp=None))
    assert outcome == "done"
    assert "mpp is unknown (only a magnification, 20); the manifest" in why
    (receipt,) = store.receipts().values()
    assert (sum(receipt.slide.mpp), receipt.slide.mpp_source) == (0, "unknown")
    assert receipt.tiling.settings["mpp"] == 0
    assert sum(receipt.tiling.realised_mpp) == 0
    again = bring(tmp_path / "job", store, replace_changed=True)  # with --slide-mpp
    assert told(again)[0] == "done"
    (receipt,) = store.receipts().values()
    assert (receipt.slide.mpp, receipt.slide.mpp_source) == ((MPP, MPP), "flag")
    assert receipt.tiling.realised_mpp == (0.5, 0.5)
    assert list(store.slides().loc[0, ["mpp_x", "tile_px", "tile_mpp"]]) == [0.25, 224, 0.5]
    assert told(bring(tmp_path / "job", store, replace_changed=True))[0] == "skipped"


def test_microns_without_mpp_are_refused(store: FeatureStore, tmp_path: Path) -> None:
    write_stamp(tmp_path / "job", draw_slide("A", 60, dtype="float16"))
    outcome, why = told(bring(tmp_path / "job", store, slide_mpp=None))
    assert outcome == "failed"
    assert "are in microns, and level-0 px need the slide's mpp" in why
    manifest = tmp_path / "slides.csv"
    manifest.write_text(f"slide_id,mpp,patient_id\nA,{MPP},P7\nB,{MPP},P8\n")
    result = bring(tmp_path / "job", store, slide_mpp=None, manifest=manifest)
    assert told(result)[0] == "done"
    assert told(result, "B")[0] == "failed"
    assert "its features were not made, or not copied" in told(result, "B")[1]
    (receipt,) = store.receipts().values()
    assert (receipt.slide.patient_id, receipt.slide.mpp_source) == ("P7", "manifest")


def test_coords_that_occur_twice_are_kept_and_told(store: FeatureStore, tmp_path: Path) -> None:
    slide = draw_slide("A", 60)
    coords = np.concatenate([slide.coords, slide.coords[:7]])
    vectors = np.concatenate([slide.vectors, slide.vectors[:7]])
    write_trident(tmp_path / "job", Foreign("A", coords, vectors))
    outcome, why = told(bring(tmp_path / "job", store))
    assert (outcome, why) == ("done", "7 of 67 tiles lie where another one does; all are kept")
    assert len(store.bag("A", "e")) == 67


def test_a_file_of_several_encoders_needs_one_named(store: FeatureStore, tmp_path: Path) -> None:
    slide = draw_slide("A", 60)
    write_atlaspatch(tmp_path / "job", slide, ("resnet50", "uni_v1"))
    write_atlaspatch(tmp_path / "job", draw_slide("B", 9), ("uni_v1",))
    with pytest.raises(ConfigError, match=r"2 encoders or folders \(resnet50, uni_v1\); name one"):
        bring(tmp_path / "job", store)
    with pytest.raises(ConfigError, match=r"--source-encoder uni_v2: .*did you mean uni_v1"):
        bring(tmp_path / "job", store, source_encoder="uni_v2")
    result = bring(tmp_path / "job", store, source_encoder="resnet50")
    assert told(result)[0] == "done"
    outcome, why = told(result, "B")
    assert outcome == "failed"
    assert "B.h5 has no dataset features/resnet50" in why
    bring(tmp_path / "job", store, encoder="f", source_encoder="uni_v1")
    assert store.bag("A", "e").embeddings.tobytes() == slide.vectors.tobytes()
    np.testing.assert_array_equal(store.bag("A", "f").embeddings, slide.vectors[:, 1:])


def test_tensors_of_clam_need_the_folder_of_coordinates(
    store: FeatureStore, tmp_path: Path
) -> None:
    slide = draw_slide("A", 60)
    write_clam(tmp_path / "feats", slide, h5=False)
    (tmp_path / "feats/patches").rename(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match=r"A\.pt holds vectors without coords; .* --coords"):
        bring(tmp_path / "feats", store)
    assert told(bring(tmp_path / "feats", store, coords=tmp_path / "elsewhere"))[0] == "done"
    bag = store.bag("A", "e")
    assert bag.embeddings.tobytes() == slide.vectors.tobytes()
    np.testing.assert_array_equal(bag.coords, slide.coords)


def test_bfloat16_is_held_exactly_and_pickles_are_not_run(
    store: FeatureStore, tmp_path: Path
) -> None:
    for name in ("A", "B"):
        write_clam(tmp_path / "feats", draw_slide(name, 60), h5=False)
    brief = torch.from_numpy(draw_slide("A", 60).vectors).bfloat16()
    torch.save(brief, tmp_path / "feats/pt_files/A.pt")
    ran = tmp_path / "ran"
    torch.save({"x": Path(ran)}, tmp_path / "feats/pt_files/B.pt")
    result = bring(tmp_path / "feats", store)
    assert told(result)[0] == "done"
    np.testing.assert_array_equal(store.bag("A", "e").embeddings, brief.float().numpy())
    outcome, why = told(result, "B")
    assert (outcome, "B.pt cannot be read" in why) == ("failed", True)


def test_slide2vec_reads_npz_without_pickles_and_empty_slides(
    store: FeatureStore, tmp_path: Path
) -> None:
    slide = draw_slide("A", 60)
    write_slide2vec(tmp_path / "out", slide, "npz")
    write_slide2vec(tmp_path / "out", draw_slide("B", 0))
    path = write_slide2vec(tmp_path / "out", draw_slide("C", 9), "npz")
    np.savez(path, features=np.array([{"a": 1}], object))
    result = bring(tmp_path / "out", store, slide_mpp=None)
    assert told(result)[0] == "done"
    assert store.bag("A", "e").embeddings.tobytes() == slide.vectors.tobytes()
    assert told(result, "B")[0] == "empty"
    assert "allow_pickle=False" in told(result, "C")[1]
    tissue = store.sql("select tissue from embeddings order by tile_id").df()["tissue"]
    np.testing.assert_allclose(tissue, np.linspace(0.1, 1, 60), rtol=1e-6)


def test_names_that_no_file_may_have_and_two_files_of_one_slide(
    store: FeatureStore, tmp_path: Path
) -> None:
    write_stamp(tmp_path / "job", draw_slide("what?", 9, dtype="float16"))
    path = write_stamp(tmp_path / "job", draw_slide("A", 9, dtype="float16"))
    below = path.parent / "ward"
    below.mkdir()
    (below / path.name).write_bytes(path.read_bytes())
    result = bring(tmp_path / "job", store)
    assert "not safe as a file name" in told(result, "what?")[1]
    assert "2 files of this name" in told(result)[1]


def test_an_axis_of_one_is_left_out(store: FeatureStore, tmp_path: Path) -> None:
    one, other = draw_slide("A", 60), draw_slide("B", 60)
    write_trident(tmp_path / "job", with_vectors(lambda v: v[:, None])(one))
    write_trident(tmp_path / "job", with_vectors(lambda v: v[None])(other))
    bring(tmp_path / "job", store)
    for slide in (one, other):
        assert store.bag(slide.name, "e").embeddings.tobytes() == slide.vectors.tobytes()


def test_a_manifest_names_slides_by_their_files_and_checks_their_size(
    store: FeatureStore, tmp_path: Path, tiled_tiff: Path
) -> None:
    """The slide is 700 x 420 px at 0.5 by 0.25 mpp."""
    (tmp_path / "my slide.tif").write_bytes(tiled_tiff.read_bytes())
    inside = with_coords(lambda c: c // 3)(draw_slide("my slide", 60))
    write_trident(tmp_path / "job", inside, level0_width=None)
    write_trident(tmp_path / "job", draw_slide("not-in-it", 60))
    manifest = tmp_path / "slides.csv"
    manifest.write_text("slide_id,path\nS1,my slide.tif\n")
    notes: list[str] = []
    result = bring(tmp_path / "job", store, manifest=manifest, slide_mpp=None, notify=notes.append)
    assert told(result, "S1") == ("done", "")
    assert any("1 slide not in the manifest and left out: not-in-it" in note for note in notes)
    (receipt,) = store.receipts().values()
    assert (receipt.slide.mpp, receipt.slide.size_px) == ((0.5, 0.25), (700, 420))
    assert receipt.slide.mpp_source == "tiff-tags"
    write_trident(tmp_path / "job", inside)  # says 1200 x 700
    result = bring(tmp_path / "job", store, manifest=manifest, replace_changed=True)
    assert "the source says that the slide is 1200 x 700 px" in told(result, "S1")[1]


def test_a_stored_partition_that_is_damaged_is_imported_again(
    store: FeatureStore, tmp_path: Path
) -> None:
    slide = draw_slide("A", 60)
    write_trident(tmp_path / "job", slide)
    write_trident(tmp_path / "job", draw_slide("B", 9))
    bring(tmp_path / "job", store)
    (path,) = Path(store.root.path).glob("embeddings/*/*/A.parquet")
    path.write_bytes(path.read_bytes()[:-99])
    result = bring(tmp_path / "job", store)
    assert (told(result)[0], told(result, "B")[0]) == ("done", "skipped")
    assert store.bag("A", "e").embeddings.tobytes() == slide.vectors.tobytes()


def test_a_file_that_changes_while_it_is_read_is_refused(tmp_path: Path) -> None:
    path = write_trident(tmp_path / "job", draw_slide("A", 60))
    source = SourceSlide("A", (path,))

    def rows() -> Iterator[TileRows]:
        yield from ()
        path.write_bytes(path.read_bytes() + b"more")

    with pytest.raises(SlideError, match="changed while they were read; run the command again"):
        list(unchanged(source, look_at_source(source.files), rows()))


def test_an_interrupted_import_keeps_what_is_done_and_goes_on(
    store: FeatureStore, tmp_path: Path
) -> None:
    for at in range(30):
        write_trident(tmp_path / "job", draw_slide(f"S{at}", 9))

    def interrupt(done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    summary = bring(tmp_path / "job", store, report=interrupt).summary
    assert (summary.state.value, len(summary.rows), summary.unfinished) == ("interrupted", 3, 27)
    assert store.sql("select count(*) as n from runs").df()["n"].tolist() == [3]
    again = bring(tmp_path / "job", store).summary
    assert again.outcomes.keys() <= {"done", "skipped"}
    assert again.outcomes["skipped"] >= 3
    assert len(again.rows) == len(store.list_keys()) == 30
    assert store.verify() == (30, [])


def test_partitions_may_be_zarr(store: FeatureStore, tmp_path: Path) -> None:
    slide = draw_slide("A", 60)
    write_trident(tmp_path / "job", slide)
    write_trident(tmp_path / "job", Foreign("B", slide.coords[:0], slide.vectors[:0]))
    result = bring(tmp_path / "job", store, format="zarr")
    assert (told(result)[0], told(result, "B")[0]) == ("done", "empty")
    assert store.bag("A", "e").embeddings.tobytes() == slide.vectors.tobytes()
    assert store.verify() == (2, [])


def test_a_folder_of_nothing_a_file_and_a_uri_are_refused(
    store: FeatureStore, tmp_path: Path
) -> None:
    (tmp_path / "none").mkdir()
    for folder, message in (
        ("none", "no features of a known layout below it"),
        ("not-there", "no such folder"),
    ):
        with pytest.raises(ConfigError, match=message):
            bring(tmp_path / folder, store)
    with pytest.raises(ConfigError, match="read from a local folder"):
        import_features("s3://bucket/job", store.root.path, encoder="e")
    write_trident(tmp_path / "job", draw_slide("A", 9))
    with pytest.raises(ConfigError, match=r"--from tridant: .*did you mean trident"):
        bring(tmp_path / "job", store, layout="tridant")
    path = write_trident(tmp_path / "cut", draw_slide("A", 9))
    path.write_bytes(path.read_bytes()[:999])
    with pytest.raises(ConfigError, match=r"none of the first 1 slides .*cannot be read"):
        bring(tmp_path / "cut", store)
    with h5py.File(tmp_path / "none/x.h5", "w") as file:
        file["other"] = np.zeros(3)
    with pytest.raises(ConfigError, match="no features of a known layout"):
        bring(tmp_path / "none", store)
