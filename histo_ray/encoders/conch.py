"""CONCH and CONCH v1.5, whose tokens a trained query pools: encoder plugins of ours. No torch.

timm builds the trunk and knows no such pooling, so they are no rows of the table. The network is
ours, after the authors' description of it; weights are fetched from their repositories, and fit
whole or not at all.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from histo_ray.deferred import deferred
from histo_ray.encoder_spec import Rgb
from histo_ray.encoders.plugin_protocol import PluginSpec

_load_tower = deferred("histo_ray.encoders.conch_network:load_tower")  # torch takes seconds
_AUTHORS = "https://github.com/mahmoodlab/CONCH/tree/e9c9e5b/conch/open_clip_custom"
_TRIDENT = "https://github.com/mahmoodlab/TRIDENT/blob/0120b8b/README.md"


@dataclass(frozen=True)
class Tower:
    """A vision tower: a timm trunk, and a query that pools its tokens."""

    name: str
    hub: str
    """Repository of the weights."""
    file: str
    """Name of the weights in it."""
    prefix: str
    """First letters of the names of the tower's weights; all others are left out."""
    trunk: str
    """timm name."""
    init_values: float | None
    """Of the trunk's layer scale; None: it has none."""
    dim: int
    """Width of the query, and length of a vector."""
    pooler: Literal["attention", "linear"]
    """`attention`: torch's, with biases; `linear`: three layers without."""
    mean: Rgb
    std: Rgb
    interpolation: Literal["bilinear", "bicubic"]
    about: str
    sources: dict[str, str]
    input_px: int = 448


CONCH = Tower(
    name="conch",
    hub="MahmoodLab/conch",
    file="pytorch_model.bin",
    prefix="visual.",
    trunk="vit_base_patch16_224",
    init_values=None,
    dim=512,
    pooler="attention",
    mean=(0.48145466, 0.4578275, 0.40821073),
    std=(0.26862954, 0.26130258, 0.27577711),
    interpolation="bicubic",
    about="CONCH, ViT-B/16 trained with captions; the vector before the projection to text",
    sources={
        "network, dim, pool": f"{_AUTHORS}/vision_tower.py and coca_model.py",
        "normalisation, filter, resize": f"{_AUTHORS}/factory.py and transform.py",
        "tile px, mpp, licence, gate": _TRIDENT,
        "tile px (448)": "https://github.com/clemsgrs/slide2vec (encoders/models/conch.py)",
    },
)
CONCH_V15 = Tower(
    name="conch-v1.5",
    hub="MahmoodLab/conchv1_5",
    file="pytorch_model_vision.bin",
    prefix="",
    trunk="vit_large_patch16_224",
    init_values=1e-6,
    dim=768,
    pooler="linear",
    mean=(0.485, 0.456, 0.406),
    std=(0.229, 0.224, 0.225),
    interpolation="bilinear",
    about="CONCH v1.5, ViT-L/16, the tile encoder of TITAN",
    sources={
        "network, dim, pool": "https://github.com/lingxitong/MIL_BASELINE "
        "(feature_extractor/clam_base_utils/utils/build_conch_v1_5.py, a copy of TITAN's)",
        "normalisation": "https://github.com/clemsgrs/slide2vec (encoders/models/conch.py)",
        "filter, resize": "others' copies of TITAN's conch_v1_5.py; its own was not seen",
        "tile px, mpp, licence, gate": _TRIDENT,
        "tile px (448)": "https://github.com/clemsgrs/slide2vec (encoders/models/conch.py)",
    },
)


class ConchEncoder:
    """One of both towers."""

    def __init__(self, tower: Tower) -> None:
        self._tower = tower
        self._encode: Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float32]] | None = None
        self._digest: str | None = None

    def spec(self) -> PluginSpec:
        """State what the encoder is."""
        tower = self._tower
        return PluginSpec(
            dim=tower.dim,
            input_px=tower.input_px,
            tile_px=(tower.input_px, 512),
            mpp=0.5,
            mean=tower.mean,
            std=tower.std,
            preprocessing=(
                f"resized whole to {tower.input_px} px ({tower.interpolation}); nothing is cropped"
            ),
            licence="cc-by-nc-nd-4.0",
            gated=True,
            weights_sha256=self._digest,
            about=tower.about,
            sources=tower.sources,
        )

    def load(self, device: Literal["cpu", "cuda"], threads: int) -> None:
        """Fetch the weights, and build the tower around them.

        Raises:
            ConfigError: They cannot be had, or do not fit.
        """
        loaded: Any = _load_tower(self._tower, device, threads)
        self._digest, self._encode = loaded.digest, loaded.encode

    def encode(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Encode (N, height, width, 3) into (N, dim)."""
        if self._encode is None:
            raise RuntimeError(f"{self._tower.name} is not loaded")
        return self._encode(pixels)


make_conch = partial(ConchEncoder, CONCH)
make_conch_v15 = partial(ConchEncoder, CONCH_V15)
