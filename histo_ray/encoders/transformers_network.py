"""Networks of the library transformers (extra `hf`), for encoders that timm cannot build.

The library builds the network from its configuration; weights are read and fitted by us, all of
them or none: the library itself would leave what is missing at random.
"""

import importlib
from contextlib import AbstractContextManager, nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import huggingface_hub
import torch
from torch import nn

from histo_ray.encoders.base import EncoderSpec
from histo_ray.encoders.complete import complete_spec
from histo_ray.encoders.hub import fetch_file, fetch_weights
from histo_ray.encoders.hub_config import CONFIG_FILE
from histo_ray.encoders.remote_code import untrusted
from histo_ray.encoders.weights import Weights, digest_weights, read_weights, select_weights
from histo_ray.errors import ConfigError

_SHOWN = 3
_NO_USE = ("pooler.", "mask_token")
"""Parts of the names of weights that no pooling of ours but the network's own reads."""
_REFUSALS = (
    AssertionError, AttributeError, ImportError, KeyError, OSError, RuntimeError, TypeError,
    ValueError,
)  # fmt: skip
"""What transformers raises for a configuration, or for code, that it cannot use."""


class TransformersNetwork(nn.Module):
    """A vision network of transformers with the methods that ours have of timm's."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network
        config = getattr(network, "config", None)
        self.num_prefix_tokens = 1 + int(getattr(config, "num_register_tokens", 0) or 0)

    def forward_features(self, values: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) normalised pixels to (B, tokens, dim): class token, registers, patches."""
        found = self.network(values)
        tokens: torch.Tensor = getattr(found, "last_hidden_state", found)
        return tokens

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) normalised pixels to the network's own vectors, (B, dim)."""
        found = self.network(values)
        for name in ("image_embeds", "pooler_output"):
            vectors = getattr(found, name, None)
            if isinstance(vectors, torch.Tensor):
                return vectors
        if isinstance(found, torch.Tensor):
            return found
        raise RuntimeError(f"{type(self.network).__name__} returns no vector of its own")


def build_transformers(spec: EncoderSpec) -> tuple[nn.Module, EncoderSpec]:
    """Build the network of `spec` as its repository's configuration says, and load its weights.

    Args:
        spec: With `library` transformers; `architecture` is a class of it.

    Returns:
        The network in eval mode on CPU, and the spec with nothing left open.

    Raises:
        ConfigError: The library is not installed, code would run that nobody trusts, or the
            configuration or the weights cannot be had or do not fit.
    """
    if spec.remote_code and spec.code_revision is None:
        raise ConfigError(untrusted(spec))
    library = import_library(spec)
    hub = spec.hub or ""
    if spec.remote_code:
        hub = f"{hub.partition('@')[0]}@{spec.code_revision}"
        folder = fetch_code(spec, hub)
    else:
        folder = fetch_file(hub, CONFIG_FILE, spec.name).parent
    network = create_from_config(library, spec, folder)
    _fit(spec, network, _read_weights(spec, hub))
    wrapped = TransformersNetwork(network).eval().requires_grad_(False)
    found = digest_weights(wrapped.state_dict())
    if spec.weights_sha256 not in (None, found):
        raise ConfigError(
            f"encoder {spec.name!r}: its weights have the SHA-256 {found[:12]}..., not "
            f"{str(spec.weights_sha256)[:12]}... as stated where they are named; restore the file"
        )
    named = spec.model_copy(update={"architecture": f"transformers.{type(network).__name__}"})
    size = getattr(getattr(network, "config", None), "image_size", None) or 224
    facts = {"input_size": (3, size, size)} if isinstance(size, int) else {}
    return wrapped, complete_spec(named, facts, {}, from_hub=False)


def create_from_config(library: Any, spec: EncoderSpec, folder: Path) -> Any:
    """Build a network from the `config.json` in a folder; its weights are not set to anything.

    Args:
        library: The module `transformers`.
        spec: Names the class.
        folder: Holds the configuration, and the code if `remote_code` is set.

    Raises:
        ConfigError: The library has no such class, or refuses the configuration or the code.
    """
    kind = getattr(library, spec.architecture, None)
    if kind is None:
        raise ConfigError(
            f"encoder {spec.name!r}: transformers {library.__version__} has no class "
            f"{spec.architecture!r}; correct architecture in its entry, or install another version"
        )
    configure = getattr(kind, "config_class", None) or library.AutoConfig
    trust = {"trust_remote_code": True} if spec.remote_code else {}
    try:
        with torch.random.fork_rng(devices=[]), _without_drawing():
            torch.default_generator.manual_seed(0)
            config = configure.from_pretrained(str(folder), local_files_only=True, **trust)
            if hasattr(kind, "from_config"):
                return kind.from_config(config, **trust)
            return kind(config)
    except _REFUSALS as error:
        what = " ".join(str(error).split())[:200]
        raise ConfigError(
            f"encoder {spec.name!r}: transformers {library.__version__} cannot build the network "
            f"that the {CONFIG_FILE} of {spec.hub} describes ({type(error).__name__}: {what}); "
            "its model card says which version it needs"
        ) from None


def _without_drawing() -> AbstractContextManager[None]:
    """Leave weights undrawn, which takes seconds a large network; those of a file follow anyway."""
    for place in ("transformers.initialization", "transformers.modeling_utils"):  # 5, 4
        skip = getattr(importlib.import_module(place), "no_init_weights", None)
        if skip is not None:
            found: AbstractContextManager[None] = skip()
            return found
    return nullcontext()


def import_library(spec: EncoderSpec) -> Any:
    """Import transformers; raises ConfigError where it is not installed."""
    if find_spec("transformers") is None:
        raise ConfigError(
            f"encoder {spec.name!r}: its network is one of the library transformers, which is not "
            "installed here; install it on every node: pip install 'histo-ray[hf]'"
        )
    return importlib.import_module("transformers")


def fetch_code(spec: EncoderSpec, hub: str) -> Path:
    """Bring configuration and code of the trusted commit here; the folder of that commit."""
    config = fetch_file(hub, CONFIG_FILE, spec.name)
    repo, _, revision = hub.partition("@")
    try:
        huggingface_hub.snapshot_download(
            repo_id=repo, revision=revision, allow_patterns=["*.json", "*.py"]
        )
    except (OSError, ValueError):  # offline: what is in the cache must do
        if not any(config.parent.glob("*.py")):
            raise ConfigError(
                f"encoder {spec.name!r}: the code of {repo} at {revision} is not in the local "
                "cache, and the hub cannot be reached; connect, or fetch it elsewhere"
            ) from None
    return config.parent


def _read_weights(spec: EncoderSpec, hub: str) -> Weights:
    if spec.file is not None:
        path = Path(spec.file).expanduser()
    elif spec.weights_file is not None:
        path = fetch_file(hub, spec.weights_file, spec.name)
    else:
        path = fetch_weights(hub, spec.name)
    return select_weights(read_weights(path, spec.name), spec)


def _fit(spec: EncoderSpec, network: Any, weights: Weights) -> None:
    """Load the weights, all of them or none; parts that no vector depends on may be missing: 0.

    Those of other towers of the repository's network (text, say) are left out.

    Raises:
        ConfigError: Some are missing or of another shape.
    """
    expected: Weights = network.state_dict()
    base = f"{getattr(network, 'base_model_prefix', '')}."
    if not expected.keys() & weights.keys():
        weights = {key.removeprefix(base): value for key, value in weights.items()}
    missing = {
        key
        for key in expected.keys() - weights.keys()
        if spec.pool == "timm" or not any(part in key for part in _NO_USE)
    }
    wrong = {k for k in expected.keys() & weights.keys() if expected[k].shape != weights[k].shape}
    problems = [
        f"{len(keys)} {what} ({', '.join(sorted(keys)[:_SHOWN])})"
        for what, keys in (("missing", missing), ("of another shape", wrong))
        if keys
    ]
    if problems:
        raise ConfigError(
            f"encoder {spec.name!r}: the weights are not those of {type(network).__name__} as its "
            f"{CONFIG_FILE} describes it: {'; '.join(problems)}; check the repository"
        )
    fitting = {key: value for key, value in weights.items() if key in expected}
    absent = {key: torch.zeros_like(expected[key]) for key in expected.keys() - weights.keys()}
    network.load_state_dict(absent | fitting, strict=True)
