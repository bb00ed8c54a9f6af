"""Reads the tiles that a request asks for: `<request>@px=256,mpp=0.5`. Pure."""

import re
from dataclasses import dataclass
from typing import Any

from pydantic import create_model

from histo_ray.config import TilingConfig
from histo_ray.encoders.request import WEIGHTS_SUFFIXES, suggest
from histo_ray.errors import ConfigError
from histo_ray.settings import Settings, parse_settings

KEYS = {"px": "tile_px", "mpp": "mpp", "stride": "stride_px"}
"""Keys after the @, and the settings that they stand for."""
_FIELDS: dict[str, Any] = {
    key: (TilingConfig.model_fields[name].annotation, TilingConfig.model_fields[name])
    for key, name in KEYS.items()
}
_AskedTiles = create_model("_AskedTiles", __base__=Settings, **_FIELDS)
"""The settings by their keys, so that messages name what the user wrote."""
_TILES = re.compile(r"@([A-Za-z_]+=[^@?/\\]*)(?=\?|$)")
_RULE = "after the @ stand px=, mpp= and stride=, joined by commas, as in @px=256,mpp=0.5"


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
        ConfigError: An unknown or repeated key, a value that no tiling has, a second @, or one
            that nothing follows.
    """
    found = _TILES.search(text)
    if text.lower().endswith(WEIGHTS_SUFFIXES):
        return TileRequest(text)
    rest = text if found is None else text[: found.start()] + text[found.end() :]
    _check_rest(text, rest, has_tiles=found is not None)
    if found is None:
        return TileRequest(text)
    stated: dict[str, str] = {}
    for part in found[1].split(","):
        key, equals, value = (word.strip() for word in part.partition("="))
        if key not in KEYS or not equals or not value:
            near = suggest(key, KEYS) if key not in KEYS else f"give {key} a number"
            raise ConfigError(f"encoder {text!r}: {part!r} names no tiles; {_RULE}; {near}")
        if key in stated:
            raise ConfigError(f"encoder {text!r}: {key} is given twice after the @; leave one out")
        if "=" in value:
            raise ConfigError(f"encoder {text!r}: {part!r} holds two settings of tiles; {_RULE}")
        stated[key] = value
    asked = parse_settings(_AskedTiles, stated, f"encoder {text!r}")
    return TileRequest(rest, **{KEYS[key]: getattr(asked, key) for key in stated})


def _check_rest(text: str, rest: str, *, has_tiles: bool) -> None:
    """Refuse an @ that is neither before tiles nor part of a repository's or a file's name."""
    source, _, query = rest.partition("?")
    if has_tiles and not source.strip():
        raise ConfigError(f"encoder {text!r}: no encoder is named before the @; name one there")
    is_hub = source.startswith(("hf-hub:", "hf_hub:"))
    if is_hub:  # ORG/NAME@REVISION
        source = source.replace("@", "", 1) if not source.endswith("@") else source
    elif "/" in source or "\\" in source or source.lower().endswith(WEIGHTS_SUFFIXES):
        source = ""  # a folder may be called so
    keys = "&".join(part for part in query.split("&") if not part.startswith("file="))
    for stray in (source, keys):
        if "@" not in stray:
            continue
        after = stray.partition("@")[2]
        if has_tiles:
            raise ConfigError(f"encoder {text!r}: it has more than one @; {_RULE}")
        if not after:
            raise ConfigError(
                f"encoder {text!r}: nothing follows the @; {_RULE}, or leave the @ out"
            )
        raise ConfigError(f"encoder {text!r}: {after!r} names no tiles; {_RULE}")
