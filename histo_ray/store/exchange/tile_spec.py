"""Geometry as wsidata keeps it: a tile specification and the slide's properties. Pure.

Source: rendeirolab/wsidata at 3aac963, `wsidata/_model/tile.py: TileSpec` (width, height and stride
at the asked mpp, `base_downsample` to level 0), `wsidata/reader/base.py: SlideProperties`.
"""

from collections.abc import Mapping

from histo_ray.store.exchange.hdf5_file import number
from histo_ray.store.exchange.source import TileGeometry
from histo_ray.types import JsonObject, Receipt

SPEC, PROPERTIES = "tile_spec", "slide_properties"


def read_tile_spec(spec: Mapping[str, object], slide: Mapping[str, object]) -> TileGeometry:
    """Geometry by a tile specification and the properties of its slide."""
    width, height = number(spec, "width"), number(spec, "height")
    factor, shape = number(spec, "base_downsample"), slide.get("shape")
    known = isinstance(shape, list | tuple) and len(shape) == 2
    level = spec.get("ops_level", -1)
    return TileGeometry(
        tile_px=int(width) if width else None,
        side_px=(width * factor, height * factor) if width and height and factor else None,
        tile_mpp=number(spec, "mpp"),
        slide_mpp=number(slide, "mpp"),
        size_px=(int(shape[1]), int(shape[0])) if known else None,  # type: ignore[index]
        stride_px=number(spec, "stride_width"),
        level=int(level) if isinstance(level, int | float) else -1,
    )


def write_tile_spec(receipt: Receipt) -> tuple[JsonObject, JsonObject]:
    """The tile specification and slide properties of a partition; what is unknown is left out."""
    tiling, slide = receipt.tiling, receipt.slide
    size = tiling.settings.get("tile_px") or 0
    step = tiling.settings.get("stride_px") or size
    spec: JsonObject = {"width": size, "height": size, "stride_width": step, "stride_height": step}
    if size:
        spec["base_downsample"] = tiling.side[0] / size
    if mpp := tiling.settings.get("mpp"):
        spec["mpp"] = mpp
    properties: JsonObject = {}
    if slide.size_px[0]:
        properties["shape"] = [slide.size_px[1], slide.size_px[0]]
    if slide.mpp[0]:
        properties["mpp"] = slide.mpp[0]
    return spec, properties
