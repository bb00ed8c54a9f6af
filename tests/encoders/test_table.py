"""The built-in encoders against what their authors' code does, entry by entry."""

import pytest

from histo_ray.encoders.registry import list_encoders, resolve

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
OPTIMUS = ((0.707223, 0.578729, 0.703617), (0.211883, 0.230117, 0.177517))
LUNIT = ((0.70322989, 0.53606487, 0.66096631), (0.21716536, 0.26081574, 0.20723464))
FREE, ND = "kaiko-non-commercial", "cc-by-nc-nd-4.0"
FOUR = (0.25, 0.5, 1.0, 2.0)

EXPECTED = {
    # name: normalisation, filter, tile px, mpp, resize_px, pool, dim, licence
    "uni": (IMAGENET, "bilinear", 256, 0.5, None, "timm", 1024, ND),
    "uni2-h": (IMAGENET, "bilinear", 256, 0.5, None, "timm", 1536, ND),
    "virchow": (IMAGENET, "bicubic", 224, 0.5, None, "cls+mean", 2560, "apache-2.0"),
    "virchow2": (IMAGENET, "bicubic", 224, FOUR, None, "cls+mean", 2560, ND),
    "h-optimus-0": (OPTIMUS, "bilinear", 224, 0.5, None, "token", 1536, "apache-2.0"),
    "h-optimus-1": (OPTIMUS, "bilinear", 224, 0.5, None, "token", 1536, ND),
    "h0-mini": (OPTIMUS, "bicubic", 224, 0.5, None, "token", 768, ND),
    "prov-gigapath": (IMAGENET, "bicubic", (224, 256), 0.5, 256, "timm", 1536, "apache-2.0"),
    "mstar": (IMAGENET, "bilinear", 256, 0.5, None, "timm", 1024, ND),
    "phikon": (IMAGENET, "bicubic", 224, 0.5, None, "timm", 768, "owkin-non-commercial"),
    "lunit-vits16": (LUNIT, "bicubic", None, None, None, "timm", 384, "lunit-non-commercial"),
    "lunit-vits8": (LUNIT, "bicubic", None, None, None, "timm", 384, "lunit-non-commercial"),
    "kaiko-vits16": (HALF, "bilinear", None, None, None, "timm", 384, FREE),
    "kaiko-vits8": (HALF, "bilinear", None, None, None, "timm", 384, FREE),
    "kaiko-vitb16": (HALF, "bilinear", None, None, None, "timm", 768, FREE),
    "kaiko-vitb8": (HALF, "bilinear", None, None, None, "timm", 768, FREE),
    "kaiko-vitl14": (HALF, "bilinear", None, None, None, "timm", 1024, FREE),
}
NATURAL = {
    "imgnet2048": (HALF, "bicubic"),
    "resnet50": (IMAGENET, "bilinear"),
    "resnet18": (IMAGENET, "bilinear"),
    "dinov2-small": (IMAGENET, "bicubic"),
    "dinov2-base": (IMAGENET, "bicubic"),
    "dinov2-large": (IMAGENET, "bicubic"),
}


def test_no_entry_is_left_unchecked() -> None:
    assert {spec.name for spec in list_encoders()} == EXPECTED.keys() | NATURAL.keys()


@pytest.mark.parametrize("name", EXPECTED)
def test_histology_encoders_get_tiles_as_their_authors_prepare_them(name: str) -> None:
    spec = resolve(name)
    found = (
        (spec.mean, spec.std), spec.interpolation, spec.tile_px, spec.mpp, spec.resize_px,
        spec.pool, spec.dim, spec.licence,
    )  # fmt: skip
    assert found == EXPECTED[name]
    assert spec.input_px == 224
    assert spec.hub
    assert spec.gated == (name not in {"phikon"} and not name.startswith(("lunit", "kaiko")))


@pytest.mark.parametrize("name", NATURAL)
def test_encoders_of_natural_images_get_what_timm_states(name: str) -> None:
    spec = resolve(name)
    assert ((spec.mean, spec.std), spec.interpolation) == NATURAL[name]
    assert spec.input_px == 224
    assert (spec.tile_px, spec.mpp, spec.resize_px) == (None, None, None)


@pytest.mark.parametrize(
    "name", [name for name in EXPECTED if "phikon" not in name and "lunit" not in name]
)
def test_networks_of_another_default_size_are_built_at_224_px(name: str) -> None:
    spec = resolve(name)
    stock = "14" in spec.architecture and "dinov2" in spec.architecture
    stock = stock or spec.architecture.startswith("hf-hub:")  # only its repository knows
    assert spec.timm_kwargs.get("img_size") == 224 or not stock


@pytest.mark.parametrize("name", ["h-optimus-0", "h-optimus-1"])
def test_h_optimus_is_built_as_its_card_says(name: str) -> None:
    kwargs = {"img_size": 224, "init_values": 1e-5, "dynamic_img_size": False}
    assert resolve(name).timm_kwargs == kwargs


def test_h0_mini_is_pinned_but_for_what_only_its_repository_knows() -> None:
    spec = resolve("hf-hub:bioptimus/H0-mini")
    assert spec.name == "h0-mini"
    assert spec.timm_kwargs == {
        "img_size": 224, "mlp_layer": "SwiGLUPacked", "act_layer": "silu", "dynamic_img_size": True,
    }  # fmt: skip
