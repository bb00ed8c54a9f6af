"""Addresses of the viewer's pages and pictures, all below its token. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from histo_ray.types import PartitionKey


@dataclass(frozen=True)
class Addresses:
    """Makes addresses that begin with the token."""

    prefix: str
    """`/` and the token."""

    @property
    def cohort(self) -> str:
        """The table of slides."""
        return f"{self.prefix}/cohort"

    def page(self, key: PartitionKey, more: Mapping[str, str | int]) -> str:
        """The page of a slide; `more` are `tile`, `overlay`, ..."""
        own = {"slide": key.slide_id, "encoder": key.encoder, "tiling": key.tiling}
        return f"{self.prefix}/slide?{urlencode({**own, **more})}"

    def map_tiles(self, slide_id: str) -> str:
        """Template of map tiles, as Bokeh fills it in."""
        return f"{self.prefix}/map/{quote(slide_id, safe='')}/{{Z}}/{{X}}/{{Y}}.jpg"

    def grid_tiles(self, key: PartitionKey) -> str:
        """Template of the grid's map tiles."""
        return f"{self.prefix}/grid/{_path(key)}/{{Z}}/{{X}}/{{Y}}.png"

    def tile(self, key: PartitionKey, tile_id: int, longest_px: int) -> str:
        """Picture of one tile."""
        return f"{self.prefix}/tile/{_path(key)}/{tile_id}/{longest_px}.jpg"


def _path(key: PartitionKey) -> str:
    return "/".join(quote(part, safe="") for part in key)
