"""What stands beside the map of a slide: choices, legend, the tile and its neighbours."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from bokeh.models import CheckboxGroup, Div, LayoutDOM, RangeSlider, Select, Slider

from histo_ray.types import PartitionKey
from histo_ray.view.tile_numbers import TileNumbers

NO_OVERLAY = "none"
NO_CLASS = "all classes"
LAYERS = ["tissue outline", "tile grid"]
_STEPS = 200


@dataclass(frozen=True)
class Controls:
    """The widgets of a slide's page."""

    notice: Div
    partition: Select
    layers: CheckboxGroup
    overlay: Select
    threshold: RangeSlider
    only: Select
    opacity: Slider
    legend: Div
    tile: Div
    neighbours: Div

    def all(self) -> list[LayoutDOM]:
        """All of them, from top to bottom."""
        return [
            self.notice,
            self.partition,
            self.layers,
            self.overlay,
            self.legend,
            self.threshold,
            self.only,
            self.opacity,
            self.tile,
            self.neighbours,
        ]

    def message(self, text: str) -> None:
        """Tell something above all."""
        self.notice.text = escape(text)
        self.notice.visible = True

    def link(self, address: str, name: str) -> None:
        """Offer the way to another page."""
        self.notice.text = f"<a class='go' href='{escape(address)}'>show {escape(name)}</a>"
        self.notice.visible = True

    def set_overlay(
        self, numbers: TileNumbers | None, legend: str, ends: tuple[float, float] = (0.0, 1.0)
    ) -> None:
        """Fit the controls to an overlay; None: there is none."""
        classes = () if numbers is None else numbers.classes
        self.legend.text = legend
        self.threshold.visible = numbers is not None and not classes
        self.only.visible = bool(classes)
        self.opacity.visible = numbers is not None
        if classes:
            self.only.update(options=[NO_CLASS, *classes], value=NO_CLASS)
        elif numbers is not None:
            low, high = ends
            step = (high - low) / _STEPS
            self.threshold.update(start=low, end=high, step=step, value=(low, high))

    def limits(self) -> tuple[float, float]:
        """Lowest and highest number that is shown; without an end where the slider is at its."""
        low, high = self.threshold.value
        step = self.threshold.step
        return (
            float("-inf") if low <= self.threshold.start + step / 2 else low,
            float("inf") if high >= self.threshold.end - step / 2 else high,
        )


def make_controls(
    keys: Sequence[PartitionKey], chosen: PartitionKey, overlays: Sequence[str]
) -> Controls:
    """Make the widgets of a slide.

    Args:
        keys: Partitions of the slide.
        chosen: The one that is shown.
        overlays: What can be laid over it.
    """
    names = [f"{key.encoder} / {key.tiling}" for key in keys]
    wide = "stretch_width"
    return Controls(
        notice=Div(
            visible=False, sizing_mode=wide,
            styles={"background": "#fff3cd", "padding": "6px 8px", "border-radius": "4px"},
        ),
        partition=Select(
            title="encoder / tiling", options=names, sizing_mode=wide, visible=len(names) > 1,
            value=f"{chosen.encoder} / {chosen.tiling}",
        ),
        layers=CheckboxGroup(labels=LAYERS, active=[], inline=True),
        overlay=Select(
            title="overlay", value=NO_OVERLAY, options=[NO_OVERLAY, *overlays], sizing_mode=wide
        ),
        threshold=RangeSlider(
            title="shown from, to", start=0, end=1, step=0.01, value=(0, 1), sizing_mode=wide,
            visible=False, format="0.000",
        ),
        only=Select(
            title="class", value=NO_CLASS, options=[NO_CLASS], visible=False, sizing_mode=wide
        ),
        opacity=Slider(
            title="opacity", start=0, end=1, step=0.05, value=0.6, visible=False, sizing_mode=wide
        ),
        legend=Div(sizing_mode=wide),
        tile=Div(
            text="<span style='color:#5c6773'>Click a tile to see it.</span>", sizing_mode=wide
        ),
        neighbours=Div(sizing_mode=wide),
    )  # fmt: skip
