import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from histo_ray.encoders.base import NAME_PATTERN
from histo_ray.encoders.request import parse_request, parse_value, slugify
from histo_ray.errors import ConfigError


@pytest.mark.parametrize(
    ("request_text", "slug"),
    [
        ("imgnet2048", "imgnet2048"),
        ("imgnet2048?px=299", "imgnet2048-px299"),
        ("imgnet2048?file=/weights/xception.safetensors", "imgnet2048"),
        ("resnet50.a1_in1k", "resnet50.a1_in1k"),
        ("random:resnet10t", "random-resnet10t-seed0"),
        ("random:resnet10t?seed=0", "random-resnet10t-seed0"),
        ("random:resnet10t?seed=7&px=96", "random-resnet10t-px96-seed7"),
        ("random:resnet10t?px=96&seed=7", "random-resnet10t-px96-seed7"),
        ("hf-hub:MahmoodLab/UNI2-h", "uni2-h"),
        ("hf_hub:org/Net@v1.0", "net-v1.0"),
        ("/a/b/My Net.safetensors?arch=resnet18", "my-net"),
        ("w.safetensors?arch=resnet18&mean=0.5,0.6,0.7", "w-mean0.5-0.6-0.7"),
        ("w.safetensors?arch=resnet18&name=FTX2048", "ftx2048"),
        ("/a/b/My Net.pth?arch=resnet18", "my-net"),
        ("resnet18.pt?arch=resnet18", "resnet18"),
        ("C:\\w\\pytorch_model.bin?arch=resnet18", "pytorch_model"),
        ("imgnet2048?file=/weights/xception.pth", "imgnet2048"),
        ("beit3_base_patch16_224.pt", "beit3_base_patch16_224.pt"),
        ("virchow?pool=cls+mean", "virchow-poolcls-mean"),
    ],
)
def test_names_are_slugs_that_hold_what_changes_vectors(request_text: str, slug: str) -> None:
    assert slugify(request_text) == slug


@given(st.text(st.characters(exclude_characters="?&="), min_size=1))
def test_any_source_gives_a_safe_name(source: str) -> None:
    try:
        slug = slugify(source)
    except ConfigError:
        return
    assert re.match(NAME_PATTERN, slug)


@pytest.mark.parametrize(
    ("request_text", "says"),
    [
        ("random:resnet18?sede=1", r"key 'sede'.*did you mean seed"),
        ("resnet18?px", r"'px' is no key=value"),
        ("resnet18?px=1&px=2", r"key 'px' is given twice"),
        ("resnet18?seed=1", r"ask for random:resnet18"),
        ("hf-hub:?px=1", r"names no encoder"),
        (
            "/w/model.ckpt?arch=resnet18",
            r"\.bin, not from '/w/model\.ckpt'",
        ),
        (
            "imgnet2048?file=/w/model.pth.tar",
            r"\.pth.* not from .*; convert it once",
        ),
    ],
)
def test_a_bad_request_is_refused_in_one_line(request_text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        parse_request(request_text)
    assert "\n" not in str(caught.value)
    assert request_text in str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("False", False),
        ("none", None),
        ("12", 12),
        ("1e-5", 1e-5),
        ("same", "same"),
    ],
)
def test_values_are_read_by_their_look(text: str, value: object) -> None:
    assert parse_value(text) == value
    assert type(parse_value(text)) is type(value)
