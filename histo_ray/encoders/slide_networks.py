"""Networks of the slide encoders of others: built, filled with their weights, called.

Gated attention networks are written here, with the names of the published weights. All others run
code of their authors: of the repository, at a commit that the user trusts, or of a package.
"""

import importlib
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from histo_ray.encoder_spec import EncoderSpec
from histo_ray.encoders.attention_networks import ChiefNetwork, FeatherNetwork
from histo_ray.encoders.hub import fetch_file, fetch_weights
from histo_ray.encoders.remote_code import untrusted
from histo_ray.encoders.slide_protocol import TileBag
from histo_ray.encoders.slide_table import Loader, SlideEntry
from histo_ray.encoders.weights import Weights, digest_weights, read_weights
from histo_ray.errors import ConfigError
from histo_ray.settings import parse_settings

Call = Callable[[Any, torch.Tensor, TileBag], torch.Tensor]
"""(network, (1, N, D) vectors on its device, bag) -> vector."""
_SHOWN = 3


class LoadedSlideNetwork:
    """A network with its weights, on a device."""

    precision: Literal["float32", "float16", "bfloat16"]

    def __init__(self, network: nn.Module, call: Call, device: str, half: bool) -> None:
        self._network = network.eval().requires_grad_(False).to(device)
        self._call = call
        self._device = device
        self._half = half and device == "cuda"
        self.precision = "float16" if self._half else "float32"
        self.weights_sha256 = digest_weights(network.state_dict())

    def encode(self, bag: TileBag) -> npt.NDArray[np.floating]:
        """Vector of a slide, (dim,) float32."""
        tiles = torch.from_numpy(np.array(bag.vectors, np.float32))[None].to(self._device)
        with (
            torch.inference_mode(),
            torch.autocast(self._device, torch.float16, enabled=self._half),
        ):
            vector = self._call(self._network, tiles, bag)
        found: npt.NDArray[np.float32] = vector.reshape(-1).float().cpu().numpy()
        return found


def load_slide_network(
    entry: SlideEntry,
    file: str | None,
    revision: str,
    device: Literal["cpu", "cuda"],
    threads: int,
) -> LoadedSlideNetwork:
    """Build the network of an entry and load its weights, all of them or none.

    Args:
        entry: Of the table.
        file: Weights on this machine; None: the hub's.
        revision: Commit of the repository whose code may run; empty: none may.
        device: Where to run.
        threads: Of the CPU.

    Raises:
        ConfigError: A package is not installed, code would run that nobody trusts, no GPU is
            there, or the weights cannot be had or do not fit.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("--device cuda: no GPU is visible; use --device cpu")
    torch.set_num_threads(threads)
    build, call, half = _LOADERS[entry.loader]
    network, kept = build(entry, revision)
    fit_whole(entry.name, network, kept(_read(entry, file, revision)))
    return LoadedSlideNetwork(network, call, device, half)


def fit_whole(name: str, network: nn.Module, weights: Weights) -> None:
    """Load weights, all of a network's or none; those of other parts are left out.

    Raises:
        ConfigError: Some are missing, or of another shape.
    """
    expected: Mapping[str, torch.Tensor] = network.state_dict()
    missing = sorted(expected.keys() - weights.keys())
    wrong = sorted(
        key for key in expected.keys() & weights.keys() if expected[key].shape != weights[key].shape
    )
    problems = [
        f"{len(keys)} {what} ({', '.join(keys[:_SHOWN])})"
        for what, keys in (("missing", missing), ("of another shape", wrong))
        if keys
    ]
    if problems:
        raise ConfigError(
            f"slide encoder {name!r}: the weights are not those of its network: "
            f"{'; '.join(problems)}; name the published file with {name}?file=PATH"
        )
    network.load_state_dict({key: weights[key].float() for key in expected}, strict=True)


def _read(entry: SlideEntry, file: str | None, revision: str) -> Weights:
    if file is not None:
        return read_weights(Path(file).expanduser(), entry.name)
    if entry.hub is None:
        raise ConfigError(
            f"slide encoder {entry.name!r}: its weights are in no repository; download them from "
            f"its authors and ask for {entry.name}?file=PATH (.safetensors, or a pickle of tensors)"
        )
    hub = f"{entry.hub}@{revision}" if revision else entry.hub
    if entry.weights_file is not None:
        return read_weights(fetch_file(hub, entry.weights_file, entry.name), entry.name)
    return read_weights(fetch_weights(hub, entry.name), entry.name)


def _same(weights: Weights) -> Weights:
    return weights


Built = tuple[nn.Module, Callable[[Weights], Weights]]


def _build_feather(entry: SlideEntry, revision: str) -> Built:
    network = FeatherNetwork(entry.tile_dim or 0)
    return network, lambda w: {key.removeprefix("model."): value for key, value in w.items()}


def _build_chief(entry: SlideEntry, revision: str) -> Built:
    return ChiefNetwork(), _same


def _build_of_repository(entry: SlideEntry, revision: str) -> Built:
    """Build what the repository's code describes, at the trusted commit."""
    from histo_ray.encoders import transformers_network as library

    values = {
        "name": entry.name,
        "request": entry.name,
        "source": "hub",
        "architecture": "AutoModel",
        "library": "transformers",
        "hub": entry.hub,
        "remote_code": True,
        "code_revision": revision or None,
    }
    spec = parse_settings(EncoderSpec, values, entry.name)
    if not revision:
        raise ConfigError(untrusted(spec).replace("encoder", "slide encoder", 1))
    hub = f"{entry.hub}@{revision}"
    modules = library.import_library(spec)
    network: nn.Module = library.create_from_config(modules, spec, library.fetch_code(spec, hub))
    return network, _same


def _build_gigapath(entry: SlideEntry, revision: str) -> Built:
    import timm

    _import(entry, "gigapath.slide_encoder")  # which registers its networks with timm
    network = timm.create_model(
        "gigapath_slide_enc12l768d",
        pretrained=False,
        in_chans=entry.tile_dim,
        global_pool=True,
    )
    return network, _same


def _build_cobra(entry: SlideEntry, revision: str) -> Built:
    module = _import(entry, "cobra.model.cobra")
    network: nn.Module = module.Cobra(
        embed_dim=768,
        input_dims=[512, 1024, 1280, 1536],
        num_heads=4,
        layers=1,
        dropout=0.2,
        att_dim=256,
        d_state=128,
    )
    mark = "momentum_enc."

    def keep(weights: Weights) -> Weights:
        own = {key.split(mark)[-1]: value for key, value in weights.items() if mark in key}
        return own or weights

    return network, keep


def _import(entry: SlideEntry, module: str) -> Any:
    if find_spec(entry.package) is None:
        raise ConfigError(
            f"slide encoder {entry.name!r}: its network is code of its authors' package "
            f"{entry.package}, which is not installed here; install it as its "
            "README says, on this machine"
        )
    return importlib.import_module(module)


def _call_attention(network: Any, tiles: torch.Tensor, bag: TileBag) -> torch.Tensor:
    found: torch.Tensor = network(tiles[0])
    return found


def _call_titan(network: Any, tiles: torch.Tensor, bag: TileBag) -> torch.Tensor:
    coords = torch.from_numpy(bag.coords.astype(np.int64))[None].to(tiles.device)
    side = round(sum(bag.side) / 2)
    found: torch.Tensor = network.encode_slide_from_patch_features(tiles, coords, side)
    return found


def _call_prism(network: Any, tiles: torch.Tensor, bag: TileBag) -> torch.Tensor:
    found: torch.Tensor = network.slide_representations(tiles)["image_embedding"]
    return found


def _call_gigapath(network: Any, tiles: torch.Tensor, bag: TileBag) -> torch.Tensor:
    """Coords are taken to the tile's own scale, where the network counts in tiles of 256 px."""
    grid = bag.coords / np.array(bag.side) * 256
    coords = torch.from_numpy(grid.astype(np.float32))[None].to(tiles.device)
    found: torch.Tensor = network(tiles, coords)[0]
    return found


def _call_cobra(network: Any, tiles: torch.Tensor, bag: TileBag) -> torch.Tensor:
    found: torch.Tensor = network(tiles)
    return found


_LOADERS: dict[Loader, tuple[Callable[[SlideEntry, str], Built], Call, bool]] = {
    "feather": (_build_feather, _call_attention, False),
    "chief": (_build_chief, _call_attention, False),
    "titan": (_build_of_repository, _call_titan, True),
    "prism": (_build_of_repository, _call_prism, True),
    "gigapath": (_build_gigapath, _call_gigapath, True),
    "cobra": (_build_cobra, _call_cobra, False),
}
"""How a network is built, how it is called, and whether it computes in float16 on a GPU."""


def choose_device() -> Literal["cpu", "cuda"]:
    """Choose the GPU where torch sees one."""
    return "cuda" if torch.cuda.is_available() else "cpu"
