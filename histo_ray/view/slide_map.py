"""The map of a slide: its pyramid, and pictures of its tiles' numbers laid over it."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from bokeh.models import (
    ColorBar,
    ColumnDataSource,
    GlyphRenderer,
    LinearColorMapper,
    PanTool,
    Range1d,
    ResetTool,
    SaveTool,
    TapTool,
    TileRenderer,
    WheelZoomTool,
    WMTSTileSource,
)
from bokeh.palettes import Muted9, Viridis256, interp_palette
from bokeh.plotting import figure

from histo_ray.view.map_tiles import MAP_PX, MapPyramid
from histo_ray.view.outline import Outline
from histo_ray.view.pictures import GROUND
from histo_ray.view.tile_numbers import TileNumbers
from histo_ray.view.tile_raster import TileRaster

DIVERGING = tuple(interp_palette(("#3b4cc0", "#dddcdc", "#b40426"), 256))
"""Ends and middle of Moreland's map (2009, doi:10.1007/978-3-642-10520-3_9)."""
SPREAD = (2.0, 98.0)
"""Percentiles of the values at the ends of the colours: outliers do not set them."""
CLEAR = "rgba(0, 0, 0, 0)"


@dataclass(frozen=True)
class SlideMap:
    """The figure, and what of it changes."""

    figure: figure
    slide: TileRenderer
    grid: TileRenderer
    numbers: ColumnDataSource
    overlay: GlyphRenderer
    mapper: LinearColorMapper
    bar: ColorBar
    outline: ColumnDataSource
    outline_lines: GlyphRenderer
    mark: ColumnDataSource


def make_map(
    pyramid: MapPyramid, slide_url: str, grid_url: str, window: tuple[float, ...]
) -> SlideMap:
    """Make the map of a slide.

    Args:
        pyramid: Of the slide.
        slide_url: Template of its map tiles.
        grid_url: Template of those of its grid.
        window: (left, top, right, bottom) that is shown first, level-0 px.
    """
    left, top, right, bottom = window
    wheel = WheelZoomTool(zoom_on_axis=False)
    plot = figure(
        x_range=Range1d(left, right),
        y_range=Range1d(-bottom, -top),
        tools=[PanTool(), wheel, TapTool(), ResetTool(), SaveTool()],
        active_scroll=wheel,
        sizing_mode="stretch_both",
        toolbar_location="above",
        min_border=0,
        background_fill_color=GROUND,
        outline_line_color=None,
        lod_threshold=None,
    )
    plot.axis.visible = False
    plot.grid.visible = False
    plot.toolbar.logo = None
    slide = plot.add_tile(_make_source(pyramid, slide_url))
    mapper = LinearColorMapper(palette=Viridis256, low=0, high=1, nan_color=CLEAR)
    numbers = ColumnDataSource({"image": [], "x": [], "y": [], "dw": [], "dh": []})
    overlay = plot.image(
        "image", "x", "y", "dw", "dh", source=numbers, color_mapper=mapper, origin="top_left",
        anchor="top_left", global_alpha=0.6,
    )  # fmt: skip
    grid = plot.add_tile(_make_source(pyramid, grid_url), visible=False)
    outline = ColumnDataSource({"xs": [], "ys": []})
    lines = plot.multi_line("xs", "ys", source=outline, line_color="#0a7d3b", line_width=2)
    mark = ColumnDataSource({"x": [], "y": [], "w": [], "h": []})
    plot.rect("x", "y", "w", "h", source=mark, fill_color=None, line_color="#e02020", line_width=3)
    bar = ColorBar(
        color_mapper=mapper, orientation="horizontal", height=10, padding=6, visible=False,
        title_text_font_size="12px", background_fill_alpha=0.9, label_standoff=4,
    )  # fmt: skip
    plot.add_layout(bar, "below")
    return SlideMap(plot, slide, grid, numbers, overlay, mapper, bar, outline, lines, mark)


def _make_source(pyramid: MapPyramid, url: str) -> WMTSTileSource:
    """A pyramid whose coordinates are level-0 px, y negative downwards."""
    return WMTSTileSource(
        url=url,
        tile_size=MAP_PX,
        min_zoom=0,
        max_zoom=pyramid.most_zoom,
        initial_resolution=2.0**pyramid.native_zoom,
        x_origin_offset=0,
        y_origin_offset=pyramid.extent,
        snap_to_zoom=False,
        wrap_around=False,
    )


def fit_range(numbers: TileNumbers) -> tuple[float, float]:
    """Ends of the colours of some numbers. Pure."""
    if numbers.classes:
        return -0.5, len(numbers.classes) - 0.5
    finite = numbers.values[np.isfinite(numbers.values)]
    if not len(finite):
        return 0.0, 1.0
    if numbers.neutral is not None:
        far = float(np.percentile(np.abs(finite - numbers.neutral), SPREAD[1])) or 1.0
        return numbers.neutral - far, numbers.neutral + far
    low, high = (float(end) for end in np.percentile(finite, SPREAD))
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def choose_colours(numbers: TileNumbers) -> list[str]:
    """Colours from the lowest to the highest number, or of each class. Pure."""
    if numbers.classes:
        return [Muted9[at % len(Muted9)] for at in range(len(numbers.classes))]
    return list(Viridis256 if numbers.neutral is None else DIVERGING)


def show_numbers(
    drawn: SlideMap, raster: TileRaster, numbers: TileNumbers, name: str,
    shown: npt.NDArray[np.bool_],
) -> None:  # fmt: skip
    """Lay numbers over the map, those of the tiles that are to be shown."""
    values = np.where(shown, numbers.values, np.nan)
    low, high = fit_range(numbers)
    drawn.mapper.update(palette=choose_colours(numbers), low=low, high=high)
    width, height = raster.size
    drawn.numbers.data = {
        "image": [raster.fill(values)],
        "x": [raster.corner[0]],
        "y": [-raster.corner[1]],
        "dw": [width],
        "dh": [height],
    }
    drawn.bar.update(title=name, visible=not numbers.classes)
    drawn.overlay.visible = True


def hide_numbers(drawn: SlideMap) -> None:
    """Take the overlay away."""
    drawn.overlay.visible = False
    drawn.bar.visible = False


def show_outline(drawn: SlideMap, outline: Outline) -> None:
    """Draw the outline of tissue."""
    drawn.outline.data = {"xs": outline.xs, "ys": [[-y for y in line] for line in outline.ys]}
    drawn.outline_lines.visible = True


def mark_tile(drawn: SlideMap, corner: tuple[int, int], side: tuple[float, float]) -> None:
    """Draw a box around a tile."""
    drawn.mark.data = {
        "x": [corner[0] + side[0] / 2],
        "y": [-(corner[1] + side[1] / 2)],
        "w": [side[0]],
        "h": [side[1]],
    }
