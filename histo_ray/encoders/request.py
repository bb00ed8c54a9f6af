"""Reads a request for an encoder: `<source>?key=value&key=value`. Pure.

A source is a name of the table, of an installed plugin or of timm, `hf-hub:org/name`,
`random:<timm name>`, a Python plugin as `module:object`, or the path of a weights file:
.safetensors, or a torch pickle that holds tensors only.
"""

import difflib
import re
from collections.abc import Iterable
from typing import Any, Literal, NamedTuple

from histo_ray.encoders.timm_names import has_timm_name
from histo_ray.errors import ConfigError
from histo_ray.plugins import is_target

OWN_KEYS = frozenset(
    {
        "seed", "px", "arch", "file", "name", "mean", "std", "pool", "interpolation", "rotations",
    }
)  # fmt: skip
"""Keys that histo_ray interprets itself."""
TIMM_KEYS = frozenset(
    {
        "act_layer", "class_token", "depth", "dynamic_img_pad", "dynamic_img_size", "embed_dim",
        "img_size", "init_values", "mlp_layer", "mlp_ratio", "no_embed_class", "norm_layer",
        "num_heads", "output_stride", "pad_type", "patch_size", "pos_embed", "qkv_bias",
        "reg_tokens", "window_size",
    }
)  # fmt: skip
"""Keys handed to timm as construction arguments."""
UNNAMED_KEYS = frozenset({"file", "arch", "name"})
"""Keys that say where weights are, not what vectors they give: no part of a name."""
WEIGHTS_SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")
"""Endings of the files that weights are read from."""
_OTHER_SUFFIXES = (".ckpt", ".pkl", ".tar", ".npz", ".h5")
"""Endings of other files that may hold weights; a source that ends so is a path, not a name."""

Kind = Literal["named", "hub", "random", "file", "plugin"]


class EncoderRequest(NamedTuple):
    """A request, taken apart."""

    text: str
    kind: Kind
    source: str
    """Without its prefix."""
    keys: dict[str, str]


def parse_request(text: str) -> EncoderRequest:
    """Take a request apart.

    Raises:
        ConfigError: Unknown or repeated key, key without value, a file we cannot read, no source.
    """
    source, _, query = text.strip().partition("?")
    keys: dict[str, str] = {}
    for part in query.split("&") if query else []:
        key, equals, value = part.partition("=")
        if not equals or not value:
            raise ConfigError(
                f"encoder {text!r}: {part!r} is no key=value; after the ? stand key=value pairs, "
                "joined by &"
            )
        if key not in OWN_KEYS | TIMM_KEYS:
            near = suggest(key, OWN_KEYS | TIMM_KEYS)
            raise ConfigError(f"encoder {text!r}: there is no key {key!r}; {near}")
        if key in keys:
            raise ConfigError(f"encoder {text!r}: the key {key!r} is given twice; leave one out")
        keys[key] = value
    if source.startswith("timm:"):
        plain = text.strip().removeprefix("timm:")
        raise ConfigError(
            f"encoder {text!r}: timm's networks go by their own names, without timm: before them; "
            f"ask for {plain or 'one of them'}"
        )
    kind, name = _split_kind(source, "arch" in keys)
    if not name:
        raise ConfigError(
            f"encoder {text!r}: the request names no encoder; `histo-ray encoders` lists what it "
            "may begin with"
        )
    if kind == "named" and source.lower().endswith(_OTHER_SUFFIXES):
        check_suffix(text, source)
    if "file" in keys:
        check_suffix(text, keys["file"])
    if "seed" in keys and kind != "random":
        raise ConfigError(
            f"encoder {text!r}: a seed is for random weights, and these are real ones; "
            f"leave it out, or ask for random:{name}"
        )
    return EncoderRequest(text.strip(), kind, name, keys)


def check_suffix(text: str, path: str) -> None:
    """Raise ConfigError unless `path` names a file we read weights from."""
    if not path.lower().endswith(WEIGHTS_SUFFIXES):
        raise ConfigError(
            f"encoder {text!r}: weights are read from {', '.join(WEIGHTS_SUFFIXES)}, not from "
            f"{path!r}; convert it once, with safetensors.torch.save_file(state_dict, "
            "'w.safetensors')"
        )


def slugify(request: str) -> str:
    """The name under which an encoder is stored: `random:resnet10t` -> `random-resnet10t-seed0`.

    Every key that changes vectors is part of it, in alphabetical order. A name may come from
    several requests (two repositories, say): the store tells them apart by their weights.

    Args:
        request: A request in full.

    Returns:
        Letters a-z, digits, `.`, `_` and `-`.
    """
    parsed = parse_request(request)
    if "name" in parsed.keys:
        return _clean(parsed.keys["name"])
    stem = parsed.source
    if parsed.kind in ("hub", "file"):
        stem = re.split(r"[/\\]", stem)[-1]
    if parsed.kind == "file":
        stem = stem.rpartition(".")[0]
    keys = dict(parsed.keys)
    if parsed.kind == "random":
        stem = f"random-{stem}"
        keys.setdefault("seed", "0")
    named = [f"{key}{keys[key]}" for key in sorted(keys) if key not in UNNAMED_KEYS]
    return _clean("-".join([stem, *named]))


def parse_value(value: str) -> Any:
    """A key's value: true, false, none, a whole number, a number, or text."""
    words = {"true": True, "false": False, "none": None}
    if value.lower() in words:
        return words[value.lower()]
    for number in (int, float):
        try:
            return number(value)
        except ValueError:
            continue
    return value


def suggest(found: str, known: Iterable[str]) -> str:
    """Suggest what `found` may have meant, else list what is known; half a sentence."""
    near = difflib.get_close_matches(found, sorted(known), n=3, cutoff=0.6)
    return f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(sorted(known))}"


def _split_kind(source: str, has_arch: bool) -> tuple[Kind, str]:
    for prefix in ("hf-hub:", "hf_hub:"):
        if source.startswith(prefix):
            return "hub", source.removeprefix(prefix).strip("/")
    if source.startswith("random:"):
        return "random", source.removeprefix("random:")
    if source.lower().endswith(WEIGHTS_SUFFIXES) and (has_arch or not has_timm_name(source)):
        return "file", source  # timm has a tag `pt`; only a file comes with an arch
    if is_target(source):
        return "plugin", source
    return "named", source


def _clean(text: str) -> str:
    slug = re.sub(r"[^a-z0-9._-]+", "-", text.lower()).strip("-._")
    return slug or "encoder"
