from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from histo_ray.encoders.base import EncoderSpec, check_contract, encode_fixed, find_nonfinite
from histo_ray.errors import ConfigError


def spec(**values: Any) -> EncoderSpec:
    facts = {"name": "toy", "request": "toy", "source": "timm", "architecture": "toy"}
    return EncoderSpec.model_validate(facts | values)


class PositionEncoder:
    """Its vectors hold each tile's mean, its place in the batch and the batch's size."""

    spec = spec()
    dim = 3
    weights_sha256 = precision = device = ""
    batch_norm_folded = False
    fixed_tiles = None

    def encode(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        place = np.arange(len(pixels))
        size = np.full(len(pixels), len(pixels))
        return np.stack([pixels.mean((1, 2, 3)), place, size], 1).astype(np.float32)


@given(count=st.integers(0, 23), batch_size=st.integers(1, 9))
def test_every_batch_has_the_same_shape_and_no_padding_comes_out(
    count: int, batch_size: int
) -> None:
    pixels = np.repeat(np.arange(1, count + 1, dtype=np.uint8), 5 * 4 * 3).reshape(-1, 5, 4, 3)
    vectors = encode_fixed(PositionEncoder(), pixels, batch_size)
    assert vectors.shape == (count, 3)
    assert vectors.dtype == np.float32
    assert vectors[:, 0].tolist() == list(range(1, count + 1))
    assert vectors[:, 1].tolist() == [i % batch_size for i in range(count)]
    assert (vectors[:, 2] == batch_size).all()


def test_a_contract_kept_is_nothing_to_record() -> None:
    made_for = spec(mpp=0.5, tile_px=224)
    assert check_contract(made_for, 0.5, 224, allow=False) == ""
    assert check_contract(made_for, 0.502, 224, allow=False) == ""
    assert check_contract(spec(), 3.0, 17, allow=False) == ""


@pytest.mark.parametrize(
    ("mpp", "tile_px", "broken"),
    [
        (1.0, 224, "mpp 1 instead of 0.5"),
        (0.49, 224, "mpp 0.49 instead of 0.5"),
        (0.5, 256, "tile_px 256 instead of 224"),
        (0.25, 448, "mpp 0.25 instead of 0.5; tile_px 448 instead of 224"),
    ],
)
def test_a_broken_contract_is_refused_unless_allowed_and_then_recorded(
    mpp: float, tile_px: int, broken: str
) -> None:
    made_for = spec(mpp=0.5, tile_px=224)
    with pytest.raises(ConfigError, match=r"encoder 'toy'.*--allow-contract-break") as caught:
        check_contract(made_for, mpp, tile_px, allow=False)
    assert "\n" not in str(caught.value)
    assert check_contract(made_for, mpp, tile_px, allow=True) == broken


@pytest.mark.parametrize(("mpp", "fits"), [(0.25, True), (2.01, True), (0.3, False), (4, False)])
def test_a_contract_of_several_resolutions_is_kept_by_each(mpp: float, fits: bool) -> None:
    made_for = spec(mpp=(0.25, 0.5, 1, 2), tile_px=(224, 256))
    assert (check_contract(made_for, mpp, 256, allow=True) == "") == fits
    if not fits:
        nearest = {0.3: "0.25", 4: "2"}[mpp]
        says = rf"for tiles of mpp 0\.25, 0\.5, 1 or 2, not of mpp {mpp}; ask for --mpp {nearest},"
        with pytest.raises(ConfigError, match=says):
            check_contract(made_for, mpp, 224, allow=False)


def test_a_contract_of_several_sizes_names_the_nearest() -> None:
    made_for = spec(tile_px=(224, 256))
    with pytest.raises(ConfigError, match=r"tile_px 224 or 256, not .* 512; ask for --tile-px 256"):
        check_contract(made_for, None, 512, allow=False)


def test_tiles_are_not_resized_to_less_than_the_network_sees() -> None:
    with pytest.raises(ValidationError, match="resize_px 200 is smaller than input_px 224"):
        spec(input_px=224, resize_px=200)


def test_fields_that_0_1_0_does_not_know_are_written_only_where_they_say_something() -> None:
    assert "resize_px" not in spec().model_dump()
    assert "pos_embed_resampled" not in spec(pos_embed_resampled="4x4 to 8x8").model_dump()
    kept = EncoderSpec.model_validate_json(spec(input_px=224, resize_px=256).model_dump_json())
    assert kept.resize_px == 256


def test_the_refusal_says_which_flags_would_do() -> None:
    with pytest.raises(ConfigError, match=r"ask for --mpp 0\.5 --tile-px 256"):
        check_contract(spec(mpp=0.5, tile_px=256), 1.0, 224, allow=False)


def test_nonfinite_vectors_are_counted_as_they_would_be_stored() -> None:
    vectors = np.array(
        [[0, 1], [np.nan, 1], [1, np.inf], [-np.inf, np.nan], [1e6, 0], [65504, -65504]],
        np.float32,
    )
    assert find_nonfinite(vectors, "float32") == 3
    assert find_nonfinite(vectors, "float16") == 4
    assert find_nonfinite(np.empty((0, 4), np.float16), "float16") == 0


@pytest.mark.parametrize("name", ["UNI", "a b", "a/b", "", "-a", ".hidden"])
def test_a_name_that_is_no_slug_is_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        spec(name=name)


def test_tiles_of_another_stain_are_refused_where_the_encoder_learned_from_normalised_ones() -> (
    None
):
    made_for = spec(stain="macenko")
    assert check_contract(made_for, 0.5, 224, allow=False, stain="macenko") == ""
    with pytest.raises(
        ConfigError, match=r"for tiles of stain macenko, not of stain none; ask for --stain m"
    ):
        check_contract(made_for, 0.5, 224, allow=False)
    broken = check_contract(made_for, 0.5, 224, allow=True)
    assert broken == "stain none instead of macenko"
