"""Reads the tiles that a request asks for: `<request>@px=256,mpp=0.5`. Pure."""

import re
from dataclasses import dataclass

from histo_ray.config import TilingConfig
from histo_ray.encoders.request import WEIGHTS_SUFFIXES, suggest
from histo_ray.errors import ConfigError
from histo_ray.settings import parse_settings

KEYS = {"px": "tile_px", "mpp": "mpp", "stride": "stride_px"}
"""Keys after the @, and the settings that they stand for."""
_TILES = re.compile(r"@([A-Za-z_]+=[^@?/\\]*)(?=\?|$)")


@dataclass(frozen=True)
class TileRequest:
    """An encoder, and the tiles that it shall have where these are not the run's."""

    encoder: str
    """The request without its tiles: what a run of its own would be given."""
    tile_px: int | None = None
    """Edge of a tile, in px at `mpp`."""
    mpp: float | None = None
    """Microns per px."""
    stride_px: int | None = None
    """Step between tiles, in px at `mpp`."""

    @property
    def settings(self) -> dict[str, int | float]:
        """Settings of a tiling that it states."""
        named = {"tile_px": self.tile_px, "mpp": self.mpp, "stride_px": self.stride_px}
        return {name: value for name, value in named.items() if value is not None}


def split_tiles(text: str) -> TileRequest:
    """Take the tiles off a request.

    Args:
        text: As in `uni2-h@px=256,mpp=0.5` or `random:resnet18?seed=0@px=96`.

    Raises:
        ConfigError: An unknown or repeated key, or a value that no tiling has.
    """
    found = _TILES.search(text)
    if found is None or text.lower().endswith(WEIGHTS_SUFFIXES):
        return TileRequest(text)
    stated: dict[str, str] = {}
    for part in found[1].split(","):
        key, equals, value = (word.strip() for word in part.partition("="))
        if key not in KEYS or not equals or not value:
            near = suggest(key, KEYS) if key not in KEYS else "give it a number"
            raise ConfigError(
                f"encoder {text!r}: {part!r} names no tiles; after the @ stand px=, mpp= and "
                f"stride=, joined by commas, as in @px=256,mpp=0.5; {near}"
            )
        if KEYS[key] in stated:
            raise ConfigError(f"encoder {text!r}: {key} is given twice after the @; leave one out")
        stated[KEYS[key]] = value
    tiling = parse_settings(TilingConfig, stated, f"encoder {text!r}")
    values = {name: getattr(tiling, name) for name in stated}
    return TileRequest(text[: found.start()] + text[found.end() :], **values)
