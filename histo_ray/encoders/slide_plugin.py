"""Slide encoders of Python plugins: found by name, and held to what they state. No torch."""

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from histo_ray.encoders.slide_protocol import GROUP, SlideEncoderPlugin, SlideSpec, TileBag
from histo_ray.errors import ConfigError
from histo_ray.plugins import Plugin, blame, find_plugin, list_plugins, make_from_plugin
from histo_ray.settings import say_rule
from histo_ray.text import describe_type

_METHODS = ("spec", "load", "encode")


def find_slide_plugin(source: str) -> Plugin | None:
    """Find the plugin that a request names; None if there is none. Imports nothing."""
    return find_plugin(GROUP, source)


def list_slide_plugins() -> list[Plugin]:
    """Slide-encoder plugins of installed packages. Imports none."""
    return list_plugins(GROUP)


class GuardedPlugin:
    """A plugin's slide encoder; what goes wrong in its code is blamed on it by name."""

    def __init__(self, plugin: Plugin) -> None:
        """Keep the plugin; it is imported when it is first asked for something."""
        self._plugin = plugin
        self._made: SlideEncoderPlugin | None = None

    def spec(self) -> SlideSpec:
        """Ask the plugin.

        Raises:
            ConfigError: It cannot be imported, breaks the protocol, or states the impossible.
        """
        encoder = self._make()
        with blame(self._plugin, "spec()"):
            try:
                stated: object = encoder.spec()
            except ValidationError as error:
                rules = "; ".join(
                    f"{'.'.join(map(str, one['loc'])) or 'it'} "
                    f"{'is missing' if one['type'] == 'missing' else say_rule(one)}"
                    for one in error.errors()
                )
                raise ConfigError(f"{self._plugin.describe()}: in its SlideSpec {rules}") from None
        if not isinstance(stated, SlideSpec):
            raise ConfigError(
                f"{self._plugin.describe()}: spec() returns {describe_type(stated)}; return a "
                "histo_ray.encoders.slide_protocol.SlideSpec"
            )
        return stated

    def load(self, device: Literal["cpu", "cuda"], threads: int) -> None:
        """Have the plugin load its weights."""
        encoder = self._make()
        with blame(self._plugin, f"load({device!r})"):
            encoder.load(device, threads)

    def encode(self, bag: TileBag) -> npt.NDArray[np.floating]:
        """Have the plugin encode a slide."""
        encoder = self._make()
        with blame(self._plugin, "encode()"):
            return encoder.encode(bag)

    def _make(self) -> SlideEncoderPlugin:
        if self._made is None:
            made: Any = make_from_plugin(self._plugin)
            lacking = [name for name in _METHODS if not callable(getattr(made, name, None))]
            if lacking:
                raise ConfigError(
                    f"{self._plugin.describe()}: it makes {describe_type(made)} without the method "
                    f"{lacking[0]}(); a slide encoder has spec(), load() and encode() "
                    "(histo_ray.encoders.slide_protocol.SlideEncoderPlugin)"
                )
            self._made = made
        found: SlideEncoderPlugin = self._made
        return found
