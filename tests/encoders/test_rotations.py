"""Vectors that are means over the orientations of a tile: an option of a request."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from histo_ray.config import digest
from histo_ray.encoders.network_ends import average_orientations, turn_tiles
from histo_ray.encoders.registry import resolve
from histo_ray.encoders.request import slugify
from histo_ray.encoders.torch_encoder import TorchEncoder
from histo_ray.errors import ConfigError
from histo_ray.predict.card import EncoderCard
from histo_ray.predict.target_slides import _take_own
from histo_ray.store.verify import describe_weights

Load = Callable[[str], TorchEncoder]
MakeTiles = Callable[..., npt.NDArray[np.uint8]]
CONV = "random:resnet10t?px=64"
DIGEST_OF_0_4_0 = "23126d29cd6b10a0e11c5e058f6c65d88cb477df89008dcdbd9dc6623d081b16"


@pytest.mark.parametrize("rotations", [4, 8])
def test_a_vector_is_the_mean_over_the_orientations_of_its_tile(
    load: Load, tiles: MakeTiles, rotations: int
) -> None:
    pixels = tiles(3, 64)
    plain, averaged = load(CONV), load(f"{CONV}&rotations={rotations}")
    turned = [np.rot90(pixels, turn, (1, 2)) for turn in range(4)]
    if rotations == 8:
        turned += [tile[:, :, ::-1] for tile in turned]
    wanted = np.mean([plain.encode(np.ascontiguousarray(tile)) for tile in turned], axis=0)
    np.testing.assert_allclose(averaged.encode(pixels), wanted, atol=1e-4, rtol=1e-3)
    again = averaged.encode(np.ascontiguousarray(np.rot90(pixels, 3, (1, 2))))
    np.testing.assert_allclose(again, wanted, atol=1e-4, rtol=1e-3)
    assert np.abs(plain.encode(pixels) - wanted).max() > 1e-3


def test_eight_orientations_are_all_there_are_and_none_twice() -> None:
    tile = torch.arange(12.0).reshape(1, 1, 3, 4)
    seen = {tuple(turned.flatten().tolist()) for turned in turn_tiles(tile, 8)}
    assert len(seen) == 8
    assert len(list(turn_tiles(tile, 4))) == 4
    alone = list(turn_tiles(tile, None))
    assert len(alone) == 1
    assert alone[0] is tile


def test_the_mean_is_taken_in_float32() -> None:
    tile = torch.rand(2, 3, 5, 5)
    found = average_orientations(lambda t: t.mean((2, 3)).half(), tile, 4)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, tile.mean((2, 3)), atol=1e-3, rtol=0)


def test_the_option_is_part_of_the_name_and_of_the_identity_and_only_where_it_is_set() -> None:
    assert slugify(f"{CONV}&rotations=4") == "random-resnet10t-px64-rotations4-seed0"
    plain, averaged = resolve("imgnet2048"), resolve("imgnet2048?rotations=8")
    assert averaged.name == "imgnet2048-rotations8"
    assert averaged.rotations == 8
    assert "rotations" not in plain.model_dump()
    assert plain.model_dump(exclude={"name", "request"}) != averaged.model_dump(
        exclude={"name", "request"}
    )
    assert digest(plain.model_dump()) == DIGEST_OF_0_4_0


def test_a_receipt_says_it_and_one_name_is_not_shared_with_plain_vectors(
    make_facts: Callable[..., Any],
) -> None:
    plain = make_facts().encoder
    averaged = plain.model_copy(update={"rotations": 4})
    assert "rotations" not in plain.model_dump()
    assert averaged.model_dump()["rotations"] == 4
    assert describe_weights(plain)["rotations"] != describe_weights(averaged)["rotations"]


@pytest.mark.parametrize("value", ["2", "0", "yes"])
def test_other_numbers_of_orientations_are_refused(value: str) -> None:
    with pytest.raises(ConfigError, match="rotations"):
        resolve(f"{CONV}&rotations={value}")


def test_a_predictor_takes_only_vectors_of_as_many_orientations(
    make_facts: Callable[..., Any],
) -> None:
    plain = make_facts().encoder
    averaged = plain.model_copy(update={"rotations": 4})
    slides: dict[Any, Any] = {
        "plain": SimpleNamespace(encoder=plain),
        "averaged": SimpleNamespace(encoder=averaged),
    }
    for facts, name in ((plain, "plain"), (averaged, "averaged")):
        asked = EncoderCard(
            name=facts.name, request=facts.request, weights_sha256=facts.weights_sha256,
            dim=facts.dim, rotations=facts.rotations,
        )  # fmt: skip
        card: Any = SimpleNamespace(encoder=asked)
        assert [str(key) for key in _take_own(card, slides)] == [name]
