"""The page of a slide: its map, overlays, and the tile that was clicked."""

from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from bokeh.document import Document
from bokeh.events import Tap
from bokeh.layouts import column

from histo_ray.errors import ConfigError, HistoRayError, SlideError
from histo_ray.types import PartitionKey
from histo_ray.view.map_tiles import MapPyramid
from histo_ray.view.neighbours import Neighbours, find_neighbours
from histo_ray.view.outline import Outline, outline_slide, outline_tiles
from histo_ray.view.page_frame import fill_page
from histo_ray.view.slide_controls import NO_CLASS, NO_OVERLAY, Controls, make_controls
from histo_ray.view.slide_map import (
    choose_colours,
    fit_range,
    hide_numbers,
    make_map,
    mark_tile,
    show_numbers,
    show_outline,
)
from histo_ray.view.slide_texts import describe_slide, write_legend, write_neighbours, write_tile
from histo_ray.view.tile_numbers import TileNumbers
from histo_ray.view.tile_raster import find_tile, lay_raster
from histo_ray.view.viewed_store import ViewedSlide
from histo_ray.view.viewer import Viewer

T = TypeVar("T")
TILES_SHOWN = 8
"""Edge of the window around a tile that a link goes to, in tiles."""


@dataclass(frozen=True)
class Asked:
    """What the address of a page asks for; empty or None: nothing."""

    slide_id: str = ""
    encoder: str = ""
    tiling: str = ""
    tile_id: int | None = None
    overlay: str = ""
    from_slide: str = ""
    from_tile: int | None = None


class SlidePage:
    """One session's page of a slide."""

    def __init__(self, doc: Document, viewer: Viewer, asked: Asked) -> None:
        """Fill a document.

        Raises:
            ConfigError: The slide has no such tiles.
            StoreError: They cannot be read.
        """
        self._doc, self._viewer = doc, viewer
        key = viewer.store.choose_key(asked.slide_id, asked.encoder, asked.tiling)
        self._slide = viewer.store.load(key)
        self._raster = lay_raster(self._slide.coords, self._slide.side)
        self._seen: dict[str, TileNumbers] = {}
        self._tile: int | None = None
        self._problem = ""
        pyramid, places = MapPyramid(self._slide.size), viewer.addresses
        self._map = make_map(
            pyramid,
            places.map_tiles(key.slide_id),
            places.grid_tiles(key),
            _choose_window(self._slide, asked.tile_id),
        )
        names = viewer.overlays.names(self._slide)
        self._controls = make_controls(viewer.store.list_keys(key.slide_id), key, names)
        self._connect()
        self._fill(asked)
        self._later(self._look_for_slide, self._tell_problem)
        if asked.overlay in names:
            self._controls.overlay.value = asked.overlay
        if asked.tile_id is not None and 0 <= asked.tile_id < len(self._slide.rows):
            self._show_tile(asked.tile_id)

    def _fill(self, asked: Asked) -> None:
        key, viewer = self._slide.key, self._viewer
        back, back_text = "", ""
        if asked.from_slide and asked.from_tile is not None:
            origin = PartitionKey(key.encoder, key.tiling, asked.from_slide)
            more: dict[str, str | int] = {"tile": asked.from_tile, "overlay": asked.overlay}
            back = viewer.addresses.page(origin, more)
            back_text = f"back to tile {asked.from_tile} of {asked.from_slide}"
        side = column(*self._controls.all(), sizing_mode="stretch_width", spacing=6)
        fill_page(
            self._doc,
            "slide",
            key.slide_id,
            {"map": self._map.figure, "side": side},
            about=describe_slide(self._slide),
            cohort=viewer.addresses.cohort,
            back=back,
            back_text=back_text,
            synthetic=key.slide_id in viewer.synthetic,
        )

    def _connect(self) -> None:
        controls, drawn = self._controls, self._map
        drawn.figure.on_event(Tap, lambda event: self._click(float(event.x), float(event.y)))
        controls.overlay.on_change("value", lambda _a, _o, name: self._choose_overlay(name))
        controls.threshold.on_change("value_throttled", lambda _a, _o, _n: self._draw_overlay())
        controls.only.on_change("value", lambda _a, _o, _n: self._draw_overlay())
        controls.opacity.js_link("value", drawn.overlay.glyph, "global_alpha")
        controls.layers.on_change("active", lambda _a, _o, _n: self._choose_layers())
        controls.partition.on_change("value", lambda _a, _o, name: self._go_to(name))

    def _later(
        self,
        work: Callable[[], T],
        show: Callable[[T], None],
        fail: Callable[[], None] = lambda: None,
    ) -> None:
        """Do work in a thread, and show its result in this session; errors are told."""

        def finish(future: Future[T]) -> None:
            def tell() -> None:
                try:
                    show(future.result())
                except HistoRayError as error:
                    self._controls.message(str(error))
                    fail()

            with suppress(RuntimeError):  # the session has ended meanwhile
                self._doc.add_next_tick_callback(tell)

        self._viewer.workers.submit(work).add_done_callback(finish)

    def _look_for_slide(self) -> str:
        """Why the slide cannot be read; empty if it can."""
        try:
            with self._viewer.pool.borrow(self._slide.slide_id):
                return ""
        except SlideError as error:
            return error.problem

    def _tell_problem(self, problem: str) -> None:
        self._problem = problem
        if problem:
            self._controls.message(f"The slide is not shown: {problem}. Tiles and numbers are.")
            self._map.slide.visible = False
            if self._controls.overlay.value == NO_OVERLAY:
                self._controls.overlay.value = self._controls.overlay.options[1]
            if self._tile is not None:
                self._describe_tile()

    def _go_to(self, name: str) -> None:
        """Point to the page of the same slide by another encoder or tiling."""
        for key in self._viewer.store.list_keys(self._slide.slide_id):
            if f"{key.encoder} / {key.tiling}" == name and key != self._slide.key:
                self._controls.link(self._viewer.addresses.page(key, {}), name)

    def _choose_layers(self) -> None:
        outline, grid = (at in self._controls.layers.active for at in (0, 1))
        self._map.grid.visible = grid
        self._map.outline_lines.visible = outline
        if outline and not self._map.outline.data["xs"]:
            self._later(self._find_outline, lambda found: show_outline(self._map, found))

    def _find_outline(self) -> Outline:
        try:
            with self._viewer.pool.borrow(self._slide.slide_id) as slide:
                return outline_slide(self._slide, slide.opened)
        except SlideError:
            return outline_tiles(self._slide)

    def _choose_overlay(self, name: str) -> None:
        if name == NO_OVERLAY:
            hide_numbers(self._map)
            self._controls.set_overlay(None, "")
            return
        if not self._problem:
            self._controls.notice.visible = False
        self._controls.legend.text = "computing ..."
        self._later(
            lambda: self._viewer.overlays.read(self._slide, name),
            lambda numbers: self._start_overlay(name, numbers),
            lambda: self._drop_overlay(name),
        )

    def _drop_overlay(self, name: str) -> None:
        """Show none where one could not be had."""
        if self._controls.overlay.value == name:
            self._controls.overlay.value = NO_OVERLAY

    def _start_overlay(self, name: str, numbers: TileNumbers) -> None:
        self._seen[name] = numbers
        if self._controls.overlay.value != name:  # another was chosen meanwhile
            return
        legend = write_legend(numbers, choose_colours(numbers))
        self._controls.set_overlay(numbers, legend, fit_range(numbers))
        self._draw_overlay()
        if self._tile is not None:
            self._describe_tile()

    def _draw_overlay(self) -> None:
        name = self._controls.overlay.value
        numbers = self._seen.get(name)
        if numbers is None:
            return
        if numbers.classes:
            only = self._controls.only.value
            shown = np.ones(len(numbers.values), bool)
            if only != NO_CLASS and only in numbers.classes:
                shown = numbers.values == numbers.classes.index(only)
        else:
            low, high = self._controls.limits()
            shown = (numbers.values >= low) & (numbers.values <= high)
        show_numbers(self._map, self._raster, numbers, name, shown)

    def _click(self, x: float, y: float) -> None:
        tile = find_tile(self._slide.coords, self._slide.side, (x, -y))
        if tile is not None:
            self._show_tile(tile)

    def _show_tile(self, tile: int) -> None:
        self._tile = tile
        x, y = self._slide.coords[tile].tolist()
        mark_tile(self._map, (x, y), self._slide.side)
        self._describe_tile()
        self._controls.neighbours.text = "looking for similar tiles ..."
        self._later(
            lambda: (tile, find_neighbours(self._viewer.store, self._slide, tile)),
            self._show_neighbours,
        )

    def _describe_tile(self) -> None:
        if self._tile is not None:
            self._controls.tile.text = write_tile(
                self._slide, self._tile, self._seen, self._viewer.addresses, self._problem
            )

    def _show_neighbours(self, found: tuple[int, Neighbours]) -> None:
        tile, neighbours = found
        if tile == self._tile:
            overlay = self._controls.overlay.value
            self._controls.neighbours.text = write_neighbours(
                self._slide, tile, neighbours, overlay, self._viewer.addresses
            )


def make_slide_page(doc: Document, viewer: Viewer, asked: Asked) -> Controls | None:
    """Fill a document with the page of a slide, or with why there is none."""
    try:
        page = SlidePage(doc, viewer, asked)
    except HistoRayError as error:
        text = str(error) if asked.slide_id else ConfigError("no slide is named in the address")
        fill_page(
            doc, "slide", asked.slide_id or "No slide", {}, about=str(text),
            cohort=viewer.addresses.cohort,
        )  # fmt: skip
        return None
    return page._controls


def _choose_window(slide: ViewedSlide, tile_id: int | None) -> tuple[float, float, float, float]:
    """What is shown first: the surroundings of a tile, or the whole slide."""
    width, height = slide.size
    if tile_id is None or not 0 <= tile_id < len(slide.rows):
        return 0.0, 0.0, float(width), float(height)
    x, y = (slide.coords[tile_id] + np.asarray(slide.side) / 2).tolist()
    reach = max(slide.side) * TILES_SHOWN / 2
    return x - reach, y - reach, x + reach, y + reach
