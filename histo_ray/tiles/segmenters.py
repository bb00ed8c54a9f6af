"""Segmenters of Python plugins: found by `--tissue`, held to what they state, loaded once.

A run settles `--tissue NAME` as `NAME#DIGEST` before anything else: the digest is over all that the
segmenter states, so tilings are named by it, and every process is held to it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from histo_ray.config import (
    GIVEN_SLIDE,
    SEGMENTER_MARK,
    ExtractConfig,
    RunSettings,
    digest,
    tissue_kind,
)
from histo_ray.errors import ConfigError, SlideError
from histo_ray.plugin_spec import ask_spec, make_with_methods
from histo_ray.plugins import Plugin, blame, find_plugin, list_plugins, list_shipped
from histo_ray.text import did_you_mean, join_or
from histo_ray.tiles.masks import GEOJSON_SUFFIXES, IMAGE_SUFFIXES
from histo_ray.tiles.segmenter_protocol import GROUP, SegmenterPlugin, SegmenterSpec
from histo_ray.types import SegmenterFacts

Run = TypeVar("Run", bound=RunSettings)
Labels = npt.NDArray[np.uint8]
_METHODS = ("spec", "load", "segment")
_FORMS = {
    "classes": "two names or more, in a tuple",
    "tissue": "names of classes, in a tuple",
    "mpp": "a number above 0",
    "input_px": "a whole number of 8 to 4096, or None",
}
_OF_OTSU = ("mask_mpp", "min_area_um2", "max_hole_um2", "close_um")
_DIGITS = 12
"""Hex digits of a segmenter's digest in `--tissue NAME#DIGEST`."""


@dataclass(frozen=True)
class Segmenter:
    """A loaded segmenter."""

    plugin: Plugin
    spec: SegmenterSpec
    code: SegmenterPlugin

    def segment(self, pixels: npt.NDArray[np.uint8], slide_id: str) -> Labels:
        """Find the class of each pixel.

        Args:
            pixels: (N, height, width, 3) RGB at the mpp that it states.
            slide_id: For messages.

        Returns:
            (N, height, width) places in `spec.classes`.

        Raises:
            SlideError: Its code fails on them, or returns something else than it states.
        """
        seen = pixels.view()
        seen.flags.writeable = False
        try:
            with blame(self.plugin, "segment()"):
                found: object = self.code.segment(seen)
        except ConfigError as error:
            raise SlideError(slide_id, str(error)) from error
        if not isinstance(found, np.ndarray) or found.dtype.kind not in "iu":
            told = found.dtype if isinstance(found, np.ndarray) else type(found).__name__
            raise SlideError(
                slide_id,
                f"{self.plugin.describe()}: segment() returns {told}; return a numpy array of "
                "whole numbers, as of .argmax(axis)",
            )
        if found.shape != pixels.shape[:3]:
            raise SlideError(
                slide_id,
                f"{self.plugin.describe()}: segment() returns the shape {found.shape} for pixels "
                f"of {pixels.shape}; return a class for each pixel, {pixels.shape[:3]}",
            )
        if found.size and not 0 <= int(found.min()) <= int(found.max()) < len(self.spec.classes):
            raise SlideError(
                slide_id,
                f"{self.plugin.describe()}: segment() returns classes {found.min()} to "
                f"{found.max()}, and spec() states {len(self.spec.classes)} "
                f"({', '.join(self.spec.classes)}); return 0 to {len(self.spec.classes) - 1}",
            )
        return found.astype(np.uint8, copy=False)

    def choose_classes(self, asked: Sequence[str]) -> tuple[str, ...]:
        """Classes that count as tissue: those asked for, or those that the segmenter states.

        Raises:
            ConfigError: One that it has not.
        """
        return _choose_classes(self.plugin, self.spec, asked)


def settle_tissue(config: Run) -> Run:
    """Check `--tissue`, and pin a segmenter to what it states now.

    Args:
        config: A run; of labelled tile sets as it is.

    Returns:
        The run, whose `tissue` is `NAME#DIGEST` where it names a segmenter.

    Raises:
        ConfigError: `--tissue` is neither a method nor a pattern of masks nor a segmenter that is
            here and does what it should, or `--mask-classes` does not go with it.
    """
    if not isinstance(config, ExtractConfig):
        return config
    settled = check_tissue(config.tissue, config.mask_classes)
    if tissue_kind(settled) not in ("otsu", "none", "mask"):
        _refuse_settings_of_otsu(config)
    if settled == config.tissue:
        return config
    return config.model_copy(update={"tissue": settled})


def _refuse_settings_of_otsu(config: ExtractConfig) -> None:
    """Refuse what a segmenter would pass over in silence.

    Raises:
        ConfigError: A setting of `otsu` has another value than its default.
    """
    for name in _OF_OTSU:
        value = getattr(config, name)
        if value != ExtractConfig.model_fields[name].default:
            raise ConfigError(
                f"--{name.replace('_', '-')} {value:g} is a setting of --tissue otsu, and a "
                f"segmenter's mask ({config.tissue}) is taken as it is; leave it out"
            )


def check_tissue(tissue: str, mask_classes: Sequence[str] = ()) -> str:
    """Check a `--tissue` and its `--mask-classes`; of a segmenter the pinned form is returned.

    Raises:
        ConfigError: As `settle_tissue`.
    """
    kind = tissue_kind(tissue)
    if kind in ("otsu", "none"):
        if mask_classes:
            raise ConfigError(
                f"--mask-classes chooses from given masks, and --tissue {tissue} uses none; give "
                f"--tissue a path with {GIVEN_SLIDE} or a segmenter, or leave --mask-classes out"
            )
        return tissue
    if kind == "mask" and tissue.lower().endswith(IMAGE_SUFFIXES + GEOJSON_SUFFIXES):
        return tissue
    name, _, pinned = tissue.partition(SEGMENTER_MARK)
    plugin = None if kind == "mask" else find_plugin(GROUP, name)
    if plugin is None:
        raise ConfigError(_describe_unknown(tissue))
    spec = _ask(plugin, _make(plugin))
    _choose_classes(plugin, spec, mask_classes)
    found = _digest(plugin, spec)
    if pinned and pinned != found:
        raise ConfigError(
            f"--tissue {tissue}: the segmenter here is {name}{SEGMENTER_MARK}{found}, with other "
            "weights, classes or settings; restore the one that was meant, or name it without "
            f"{SEGMENTER_MARK}{pinned}"
        )
    return f"{name}{SEGMENTER_MARK}{found}"


@cache
def load_segmenter(tissue: str) -> Segmenter:
    """Load the segmenter that a `--tissue` names, once in this process.

    Raises:
        ConfigError: It is not here, fails, or is another one than the run was settled with.
    """
    settled = check_tissue(tissue)
    name = settled.partition(SEGMENTER_MARK)[0]
    plugin = find_plugin(GROUP, name)
    if plugin is None:
        raise ConfigError(_describe_unknown(tissue))
    code = _make(plugin)
    spec = _ask(plugin, code)
    with blame(plugin, "load('cpu')"):
        code.load("cpu", max(1, cv2.getNumThreads()))  # as many as this process reads with
    return Segmenter(plugin, spec, code)


def state_segmenter(tissue: str, mask_classes: Sequence[str]) -> SegmenterFacts | None:
    """What receipts say of the segmenter that found a slide's tissue; None without one.

    Raises:
        ConfigError: As `load_segmenter`.
    """
    if tissue_kind(tissue) != "segmenter":
        return None
    segmenter = load_segmenter(tissue)
    spec = segmenter.spec
    return SegmenterFacts(
        plugin=" of ".join(filter(None, (segmenter.plugin.target, segmenter.plugin.package))),
        weights_sha256=spec.weights_sha256,
        licence=spec.licence,
        revision=spec.revision,
        mpp=spec.mpp,
        input_px=spec.input_px,
        classes=spec.classes,
        taken=segmenter.choose_classes(mask_classes),
    )


def list_segmenter_modules(config: RunSettings) -> list[str]:
    """Files and package folders of a run's segmenter that other nodes must be given."""
    if not isinstance(config, ExtractConfig) or tissue_kind(config.tissue) != "segmenter":
        return []
    plugin = find_plugin(GROUP, config.tissue.partition(SEGMENTER_MARK)[0])
    return [] if plugin is None else list_shipped([plugin])


def _make(plugin: Plugin) -> SegmenterPlugin:
    made: Any = make_with_methods(
        plugin,
        _METHODS,
        "a segmenter has spec(), load() and segment() "
        "(histo_ray.tiles.segmenter_protocol.SegmenterPlugin)",
    )
    found: SegmenterPlugin = made
    return found


def _ask(plugin: Plugin, code: SegmenterPlugin) -> SegmenterSpec:
    return ask_spec(plugin, code.spec, SegmenterSpec, _FORMS)


def _digest(plugin: Plugin, spec: SegmenterSpec) -> str:
    """Digest of a segmenter: whatever of it may change a mask, and its licence."""
    stated = spec.model_dump(mode="json", exclude={"about"})
    return digest({"plugin": plugin.target, **stated})[:_DIGITS]


def _choose_classes(plugin: Plugin, spec: SegmenterSpec, asked: Sequence[str]) -> tuple[str, ...]:
    by_name = {name.strip().lower(): name for name in spec.classes}
    for name in asked:
        if name.strip().lower() not in by_name:
            raise ConfigError(
                f"--mask-classes {name}: {plugin.describe()} has the classes "
                f"{join_or(list(spec.classes))}{did_you_mean(name, spec.classes)}"
            )
    wanted = {name.strip().lower() for name in asked or spec.tissue}
    return tuple(name for plain, name in by_name.items() if plain in wanted)


def _describe_unknown(tissue: str) -> str:
    installed = [plugin.name for plugin in list_plugins(GROUP)]
    there = f" ({join_or(installed)})" if installed else " (none is installed here)"
    near = did_you_mean(tissue, ("otsu", "none", *installed))
    return (
        f"--tissue {tissue}: must be otsu, none, a path of mask files with {GIVEN_SLIDE} in it "
        f"that ends in {', '.join(IMAGE_SUFFIXES + GEOJSON_SUFFIXES)}, a segmenter as "
        f"MODULE:OBJECT, or the name of an installed one{there}{near}"
    )
