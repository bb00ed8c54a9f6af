"""The built-in encoders against what their authors' code does, entry by entry."""

import pytest

from histo_ray.encoders.registry import list_encoders, resolve

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
OPTIMUS = ((0.707223, 0.578729, 0.703617), (0.211883, 0.230117, 0.177517))
LUNIT = ((0.70322989, 0.53606487, 0.66096631), (0.21716536, 0.26081574, 0.20723464))
FREE, ND, NC = "kaiko-non-commercial", "cc-by-nc-nd-4.0", "lunit-non-commercial"
CONTESTED = f"mit or {ND}"  # on the hub, and in its repository
FOUR, TWO = (0.25, 0.5, 1.0, 2.0), (0.25, 0.5)
CLIP = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
HIBOU = ((0.7068, 0.5755, 0.722), (0.195, 0.2316, 0.1816))
GENBIO = ((0.697, 0.575, 0.728), (0.188, 0.240, 0.187))

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
    "pathorchestra": (IMAGENET, "bilinear", 224, None, None, "timm", 1024, ND),
    "digepath": (IMAGENET, "bilinear", 224, None, None, "timm", 1024, "see-model-card"),
    "gigapath-flash": (IMAGENET, "bicubic", (224, 256), 0.5, 256, "timm", 384, "apache-2.0"),
    "gpfm": (IMAGENET, "bicubic", 224, 0.5, None, "timm", 1024, CONTESTED),
    "openmidnight": (IMAGENET, "bilinear", 224, None, None, "token", 1536, "apache-2.0"),
    "lunit-resnet50-bt": (LUNIT, "bilinear", None, TWO, None, "timm", 2048, NC),
    "lunit-resnet50-mocov2": (LUNIT, "bilinear", None, TWO, None, "timm", 2048, NC),
    "lunit-resnet50-swav": (LUNIT, "bilinear", None, TWO, None, "timm", 2048, NC),
    "sp22m": (IMAGENET, "bicubic", 224, 0.5, None, "timm", 384, "cc-by-nc-sa-4.0"),
    "retccl": (IMAGENET, "bilinear", 256, 1.0, None, "timm", 2048, "gpl-3.0"),
    "prost40m": ((None, None), None, 224, 0.5, None, "timm", 384, "see-model-card"),
    "phikon-v2": (IMAGENET, "bicubic", 224, 0.5, None, "token", 1024, "owkin-non-commercial"),
    "midnight": (HALF, "bilinear", 224, FOUR, None, "cls+mean", 3072, "mit"),
    "plip": (CLIP, "bicubic", 224, None, None, "timm", 512, "mit"),
    "hibou-b": (HIBOU, "bicubic", 224, 0.5, None, "timm", 768, "apache-2.0"),
    "hibou-l": (HIBOU, "bicubic", 224, 0.5, None, "timm", 1024, "apache-2.0"),
    "genbio-pathfm": (GENBIO, "bicubic", 224, 0.5, None, "timm", 4608, "genbio-ai-community"),
    "phaet": (IMAGENET, "bilinear", 224, 0.5, None, "token", 1024, "waiv-non-commercial"),
    "mascaret": (HALF, "bilinear", 224, 0.5, None, "token", 1536, "waiv-non-commercial"),
}  # fmt: skip
GATED = {
    "uni", "uni2-h", "virchow", "virchow2", "h-optimus-0", "h-optimus-1", "h0-mini",
    "prov-gigapath", "mstar", "pathorchestra", "digepath", "gigapath-flash", "openmidnight",
    "hibou-b", "hibou-l", "phaet", "mascaret",
}  # fmt: skip
CODE_OF_REPOSITORIES = {"hibou-b", "hibou-l", "genbio-pathfm", "phaet", "mascaret"}
NATURAL = {
    "imgnet2048": (HALF, "bicubic"),
    "resnet50": (IMAGENET, "bilinear"),
    "resnet18": (IMAGENET, "bilinear"),
    "dinov2-small": (IMAGENET, "bicubic"),
    "dinov2-base": (IMAGENET, "bicubic"),
    "dinov2-large": (IMAGENET, "bicubic"),
    "dinov3-small": (IMAGENET, "bicubic"),
    "dinov3-base": (IMAGENET, "bicubic"),
    "dinov3-large": (IMAGENET, "bicubic"),
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
    assert spec.input_px == (256 if name == "retccl" else 224)
    assert spec.hub
    assert spec.gated == (name in GATED)
    assert spec.remote_code == (name in CODE_OF_REPOSITORIES)


@pytest.mark.parametrize("name", NATURAL)
def test_encoders_of_natural_images_get_what_timm_states(name: str) -> None:
    spec = resolve(name)
    assert ((spec.mean, spec.std), spec.interpolation) == NATURAL[name]
    assert spec.input_px == (256 if name.startswith("dinov3") else 224)
    assert (spec.tile_px, spec.mpp, spec.resize_px) == (None, None, None)


@pytest.mark.parametrize("name", [name for name in EXPECTED if "phikon" not in name])
def test_networks_of_another_default_size_are_built_at_224_px(name: str) -> None:
    spec = resolve(name)
    stock = "14" in spec.architecture and "dinov2" in spec.architecture
    stock = stock or name == "h0-mini"  # only its repository knows
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
