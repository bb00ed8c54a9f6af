import subprocess
import sys
from pathlib import Path

import pytest

from histo_ray.encoders.registry import list_encoders, resolve
from histo_ray.encoders.request import slugify
from histo_ray.encoders.timm_names import has_timm_name, list_timm_names
from histo_ray.errors import ConfigError

MINE = """
[mine]
architecture = "resnet18"
file = "weights/mine.safetensors"
dim = 512
tile_px = 256
mpp = 1.0
mean = [0.7, 0.6, 0.5]
std = [0.2, 0.3, 0.4]

[my-hub]
hub = "lab/My-Net"
gated = true
"""


def test_resolving_needs_no_torch_and_no_timm() -> None:
    code = (
        "import sys; from histo_ray.encoders.registry import resolve, list_encoders;"
        "resolve('random:resnet18'); resolve('uni'); list_encoders();"
        "print([m for m in ('torch', 'timm', 'ray', 'huggingface_hub') if m in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def test_every_built_in_entry_is_complete_and_goes_by_its_own_slug() -> None:
    known = list_encoders()
    assert len(known) >= 41  # 35 of histology
    for spec in known:
        assert slugify(spec.name) == spec.name
        assert resolve(spec.name) == spec
        assert spec.licence
        assert spec.about
        assert spec.dim
        assert spec.sources
        assert all("https://" in where or "our choice" in where for where in spec.sources.values())
        if not spec.architecture.startswith("hf-hub:"):
            assert spec.library == "transformers" or has_timm_name(spec.architecture)
            assert spec.input_px
            assert spec.mean
            assert spec.std
            assert spec.interpolation


def test_imgnet2048_sees_the_tile_itself() -> None:
    spec = resolve("imgnet2048")
    assert (spec.architecture, spec.dim, spec.input_px) == ("legacy_xception.tf_in1k", 2048, 224)
    assert spec.mean == spec.std == (0.5, 0.5, 0.5)


def test_a_repository_in_the_table_gets_the_tables_contract_in_any_case() -> None:
    spec = resolve("hf-hub:mahmoodlab/uni2-H")
    assert spec.name == "uni2-h"
    assert (spec.tile_px, spec.mpp, spec.dim) == (256, 0.5, 1536)
    assert spec.timm_kwargs["reg_tokens"] == 8
    assert spec.request == "hf-hub:mahmoodlab/uni2-H"


def test_another_repository_is_left_to_its_own_configuration() -> None:
    spec = resolve("hf-hub:lab/Some-Net@v2")
    assert (spec.name, spec.source, spec.hub) == ("some-net-v2", "hub", "lab/Some-Net@v2")
    assert spec.architecture == "hf-hub:lab/Some-Net@v2"
    assert spec.input_px is None


def test_keys_change_the_spec_and_its_name() -> None:
    spec = resolve("random:mobilenetv2_100?seed=3&px=96&pad_type=same&mean=0.5&std=0.1,0.2,0.3")
    assert (spec.source, spec.seed, spec.input_px) == ("random", 3, 96)
    assert spec.mean == (0.5, 0.5, 0.5)
    assert spec.std == (0.1, 0.2, 0.3)
    assert spec.timm_kwargs == {"pad_type": "same"}
    assert resolve("imgnet2048?px=299").name != resolve("imgnet2048").name


def test_a_local_file_takes_the_place_of_the_weights_and_keeps_the_rest() -> None:
    spec = resolve("virchow?file=/weights/virchow.safetensors")
    assert (spec.name, spec.source, spec.file) == (
        "virchow", "file", "/weights/virchow.safetensors",
    )  # fmt: skip
    assert (spec.pool, spec.dim) == ("cls+mean", 2560)


def test_a_tag_is_no_file_and_a_file_is_no_tag() -> None:
    assert resolve("beit3_base_patch16_224.pt").source == "timm"
    assert resolve("resnet18.pt?arch=resnet18").file == "resnet18.pt"
    assert resolve("/w/X.PTH?arch=resnet18").source == "file"


@pytest.mark.parametrize(
    ("request_text", "says"),
    [
        ("imgnet2084", r"did you mean imgnet2048"),
        ("random:resnet188", r"did you mean .*resnet18"),
        ("zzzzzz", r"ours: imgnet2048, .*timm\.list_models"),
        ("w.pth", r"does not say which network.*\?arch="),
        ("w.safetensors", r"does not say which network.*\?arch="),
        ("w.safetensors?arch=resnet188", r"did you mean"),
        ("hf-hub:justaname", r"named ORG/NAME, and 'justaname' is not"),
        ("random:resnet18?file=w.safetensors", r"random: and file= contradict"),
        ("resnet18?arch=resnet50", r"arch= is for files and repositories"),
        ("imgnet2048?file=weights.h5", r"\.safetensors.* not from 'weights\.h5'"),
        ("resnet18?px=3", r"input_px"),
        ("resnet18?px=big", r"input_px"),
        ("resnet18?mean=0.5,0.5", r"mean"),
        ("resnet18?pool=max", r"pool"),
        ("random:resnet18?seed=-1", r"seed"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_line(request_text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        resolve(request_text)
    assert "\n" not in str(caught.value)
    assert request_text in str(caught.value)


def test_a_users_table_adds_encoders_without_code(tmp_path: Path) -> None:
    table = tmp_path / "mine.toml"
    table.write_text(MINE, encoding="utf-8")
    spec = resolve("mine?px=128", [str(table)])
    assert spec.file == str(tmp_path / "weights" / "mine.safetensors")
    assert (spec.source, spec.name, spec.mpp, spec.input_px) == ("file", "mine-px128", 1.0, 128)
    assert resolve("hf-hub:lab/my-net", [str(table)]).name == "my-hub"
    assert [e.name for e in list_encoders([str(table)])][-2:] == ["mine", "my-hub"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[resnet50]\narchitecture = 'resnet50'\n", r"an encoder 'resnet50' already.*rename"),
        ("[a]\narchitecture = 'resnet50'\ncolour = 1\n", r"encoder 'a': colour: unknown key"),
        ("[a]\narchitecture = 'resnet50'\nmean = [0.5, 0.5]\n", r"encoder 'a': mean"),
        ("[a]\ndim = 3\n", r"encoder 'a': architecture is missing; add it"),
        ("[A]\narchitecture = 'resnet50'\n", r"encoder 'A': name"),
        ("[a]\narchitecture = 'resnet50'\nseed = 1\n", r"the key 'seed' has no meaning"),
        (
            "[a]\narchitecture = 'resnet50'\nfile = 'w.pkl'\n",
            r"\.safetensors.* not from 'w\.pkl'",
        ),
        ("a = 1\n", r"encoder 'a' is 1, and each encoder is a section .* \[a\]"),
        ("[a\n", r"the encoder table is no valid TOML"),
    ],
)
def test_a_bad_table_is_refused_by_file_and_entry(tmp_path: Path, text: str, says: str) -> None:
    table = tmp_path / "bad.toml"
    table.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=says) as caught:
        list_encoders([str(table)])
    assert "\n" not in str(caught.value)


def test_a_missing_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot be read.*--encoder-table"):
        list_encoders([str(tmp_path / "none.toml")])


def test_timm_names_are_read_from_its_files() -> None:
    timm = pytest.importorskip("timm")
    ours = list_timm_names()
    missing = set(timm.list_models()) - ours
    assert not missing
