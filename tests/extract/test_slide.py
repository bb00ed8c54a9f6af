"""One slide from file to partition, without Ray."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from histo_ray.config import ExtractConfig, TilingConfig
from histo_ray.encoders.registry import resolve
from histo_ray.encoders.torch_encoder import TorchEncoder, load_encoder
from histo_ray.errors import SlideError
from histo_ray.extract.loading import encoder_facts
from histo_ray.extract.slide import (
    extract_slide,
    ink_remark,
    nonfinite_problem,
    open_manifest_slide,
    plan_slide,
)
from histo_ray.slides.manifest import read_manifest
from histo_ray.store.store import open_store
from histo_ray.synth.scene import SlideDesign
from histo_ray.synth.slide_writer import write_slide
from histo_ray.synth.tissue_looks import GLANDULAR
from histo_ray.types import Receipt, Slide, SlideFacts

MakeConfig = Callable[..., ExtractConfig]
REQUEST = "random:resnet10t?seed=0&px=64"


@pytest.fixture(scope="module")
def encoder() -> TorchEncoder:
    return load_encoder(resolve(REQUEST), device="cpu", threads=1)


@pytest.fixture
def slides(cohort: Any) -> dict[str, Slide]:
    return {slide.slide_id: slide for slide in read_manifest(str(cohort.manifest))}


def extract(slide: Slide, config: ExtractConfig, encoder: Any) -> Receipt:
    (receipt,) = extract_slide(slide, config, [encoder], open_store(config.store, create=True))
    return receipt


def test_a_receipt_tells_everything_that_the_vectors_depend_on(
    slides: dict[str, Slide], make_config: MakeConfig, encoder: TorchEncoder, tmp_path: Path
) -> None:
    config = make_config(tmp_path / "store")
    receipt = extract(slides["good-b"], config, encoder)
    assert (receipt.slide.size_px, receipt.slide.mpp) == ((1300, 980), (0.25, 0.25))
    assert receipt.slide.mpp_source == "file"
    assert receipt.tiling.realised_mpp == pytest.approx((0.5, 0.5))
    assert receipt.tiling.side == pytest.approx((128, 128))
    assert receipt.encoder.weights_sha256 == encoder.weights_sha256
    assert (receipt.encoder.request, receipt.encoder.dim) == (REQUEST, 512)
    row = open_store(config.store).slides().iloc[0]
    assert (row["tile_px"], row["tile_mpp"], row["n_tiles"]) == (64, 0.5, receipt.tile_count)


def test_shares_of_tissue_and_ink_stand_in_receipts_where_they_are_known(
    slides: dict[str, Slide], make_config: MakeConfig
) -> None:
    config = make_config("unused")
    with open_manifest_slide(slides["good-b"], None) as opened:
        facts = plan_slide(opened, slides["good-b"], config.tiling).slide
        every = config.model_copy(update={"tissue": "none"}).tiling
        bare = plan_slide(opened, slides["good-b"], every).slide
    assert facts.tissue_share is not None
    assert 0 < facts.tissue_share < 1
    assert facts.ink_share == 0
    said = bare.model_dump()
    assert not {"tissue_share", "ink_share"} & said.keys()  # so that 0.1.0 reads it
    assert SlideFacts.model_validate(said) == bare
    assert SlideFacts.model_validate_json(facts.model_dump_json()) == facts
    assert ink_remark(facts) == ink_remark(bare) == ""
    inked = facts.model_copy(update={"tissue_share": 0.4, "ink_share": 0.05})
    assert "pen ink covers 5.0% of the slide and tissue 40.0%" in ink_remark(inked)


def test_vectors_do_not_depend_on_the_reader(
    slides: dict[str, Slide], make_config: MakeConfig, encoder: TorchEncoder, tmp_path: Path
) -> None:
    found = []
    for reader in ("direct", "openslide", "auto"):
        config = make_config(tmp_path / reader, slide_reader=reader, dtype="float32")
        receipt = extract(slides["good-b"], config, encoder)
        bag = open_store(config.store).bag("good-b", receipt.encoder.name)
        found.append((bag.embeddings.tobytes(), bag.coords.tobytes(), receipt))
    assert [receipt.slide.reader for _, _, receipt in found] == ["direct", "openslide", "direct"]
    assert found[0][0] == found[1][0] == found[2][0]
    assert found[0][1] == found[1][1]
    ours, theirs = found[0][2], found[1][2]
    assert ours.vectors_sha256 == theirs.vectors_sha256
    assert ours.slide == theirs.slide.model_copy(update={"reader": "direct"})
    assert ours.tiling == theirs.tiling


def test_a_slide_without_tissue_is_a_partition_with_the_reason(
    slides: dict[str, Slide], make_config: MakeConfig, encoder: TorchEncoder, tmp_path: Path
) -> None:
    config = make_config(tmp_path / "store")
    receipt = extract(slides["empty"], config, encoder)
    assert receipt.tile_count == 0
    assert "tissue" in receipt.empty_reason
    bag = open_store(config.store).bag("empty", receipt.encoder.name)
    assert (bag.coords.shape, bag.embeddings.shape) == ((0, 2), (0, 512))


def test_float32_vectors_have_a_name_of_their_own(
    slides: dict[str, Slide], make_config: MakeConfig, encoder: TorchEncoder, tmp_path: Path
) -> None:
    half = extract(slides["good-a"], make_config(tmp_path / "store"), encoder)
    config = make_config(tmp_path / "store", dtype="float32")
    full = extract(slides["good-a"], config, encoder)
    assert full.encoder.name == f"{half.encoder.name}-f32"
    store = open_store(config.store)
    exact = store.bag("good-a", full.encoder.name).embeddings
    coarse = store.bag("good-a", half.encoder.name).embeddings
    assert (exact.dtype.name, coarse.dtype.name) == ("float32", "float16")
    assert np.array_equal(exact.astype(np.float16), coarse)


class Overflowing:
    """A real encoder whose vector of the brightest tile leaves float16."""

    fixed_tiles = None

    def __init__(self, encoder: TorchEncoder) -> None:
        self._encoder = encoder

    def __getattr__(self, name: str) -> Any:
        return getattr(self._encoder, name)

    def encode(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        vectors = self._encoder.encode(pixels)
        vectors[pixels.mean((1, 2, 3)).argmax(), 3] = 70_000.0
        return vectors


def test_a_vector_that_is_not_finite_fails_the_slide_and_leaves_nothing(
    slides: dict[str, Slide], make_config: MakeConfig, encoder: TorchEncoder, tmp_path: Path
) -> None:
    config = make_config(tmp_path / "store")
    with pytest.raises(SlideError, match=r"good-a.*not a finite float16 vector for tile \d+"):
        extract(slides["good-a"], config, Overflowing(encoder))
    store = open_store(config.store)
    assert not store.list_keys()
    assert not list(tmp_path.glob("store/.staging/*/*"))
    full = config.model_copy(update={"dtype": "float32"})
    assert extract(slides["good-a"], full, Overflowing(encoder)).tile_count > 0


@pytest.mark.parametrize(
    ("facts", "said", "unsaid"),
    [
        ({"precision": "float16"}, "try --precision float32 or --dtype float32", "weights"),
        ({"precision": "float32"}, "try --dtype float32", "--precision"),
        ({"precision": "float32", "dtype": "float32"}, "check its weights, mean and std", "try"),
        ({"plugin": "m:o"}, r"m:o must return finite .* 65,504 is stored with --dtype", "try"),
        ({"plugin": "m:o", "dtype": "float32"}, "m:o must return finite", "--dtype"),
    ],
)
def test_the_remedy_for_a_vector_that_is_not_finite_is_one(
    encoder: TorchEncoder, facts: dict[str, str], said: str, unsaid: str
) -> None:
    own = encoder_facts(encoder, TilingConfig(), "float16", allow_contract_break=True)
    told = nonfinite_problem(own.model_copy(update=facts), 7)
    assert re.search(rf"vector for tile 7; .*{said}", told)
    assert unsaid not in told


def test_the_same_tissue_at_two_resolutions_gives_the_same_tiles_and_like_vectors(
    make_config: MakeConfig, encoder: TorchEncoder, tmp_path: Path
) -> None:
    bags = []
    for name, size, mpp in (("fine", (1400, 1000), 0.25), ("coarse", (700, 500), 0.5)):
        path = tmp_path / f"{name}.svs"
        write_slide(path, SlideDesign(size, mpp, GLANDULAR, seed=5, tissue_share=0.6))
        config = make_config(tmp_path / "store")
        receipt = extract(Slide(name, str(path), name), config, encoder)
        bag = open_store(config.store).bag(name, receipt.encoder.name)
        places = [tuple(place) for place in (bag.coords * mpp).tolist()]
        bags.append(dict(zip(places, bag.embeddings.astype(np.float64), strict=True)))
    fine, coarse = bags
    both = fine.keys() & coarse.keys()
    assert len(both) >= 20
    assert len(fine.keys() ^ coarse.keys()) <= 0.1 * len(both)  # tiles that are just tissue enough
    for place in both:
        a, b = fine[place], coarse[place]
        assert a @ b / np.linalg.norm(a) / np.linalg.norm(b) > 0.99
