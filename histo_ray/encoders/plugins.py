"""Encoders of Python plugins as specs: what they state, bound to where their code is. No torch."""

from collections.abc import Sequence
from typing import Any

from histo_ray._version import __version__
from histo_ray.encoder_spec import EncoderSpec
from histo_ray.encoders.plugin_protocol import GROUP, EncoderPlugin, PluginSpec
from histo_ray.encoders.request import slugify
from histo_ray.errors import ConfigError
from histo_ray.plugin_spec import ask_spec, make_with_methods
from histo_ray.plugins import Plugin, find_plugin, list_plugins, list_shipped
from histo_ray.settings import parse_settings

OURS = {
    "conch": "histo_ray.encoders.conch:make_conch",
    "conch-v1.5": "histo_ray.encoders.conch:make_conch_v15",
    "musk": "histo_ray.encoders.musk:make_musk",
}
"""Plugins of ours, by name: encoders that neither timm nor transformers builds."""
_METHODS = ("spec", "load", "encode")
_FORMS = {
    "tile_px": "a whole number of 8 to 4096, several such in a tuple, or None",
    "mpp": "a number above 0, several such in a tuple, or None",
    "mean": "three numbers, (R, G, B)",
    "std": "three numbers, (R, G, B)",
}
"""What fields take of which a type alone would say too little."""


def find_encoder_plugin(source: str) -> Plugin | None:
    """Find the plugin that an encoder request names; None if there is none. Imports nothing."""
    if source in OURS:
        return Plugin(GROUP, source, OURS[source], f"histo_ray {__version__}")
    return find_plugin(GROUP, source)


def list_encoder_plugins() -> list[Plugin]:
    """Encoder plugins of ours, and of installed packages. Imports none."""
    ours = [
        Plugin(GROUP, name, target, f"histo_ray {__version__}") for name, target in OURS.items()
    ]
    return [*ours, *(plugin for plugin in list_plugins(GROUP) if plugin.name not in OURS)]


def describe_plugin(plugin: Plugin, name: str, request: str) -> EncoderSpec:
    """Import a plugin and make what it states a spec.

    Args:
        plugin: The plugin.
        name: Slug under which its vectors are stored.
        request: What the user asked for, in full.

    Raises:
        ConfigError: It cannot be imported, breaks the protocol, or states something impossible.
    """
    return spec_from(plugin, state(plugin, make_encoder_plugin(plugin)), name, request)


def describe_plugins() -> tuple[list[EncoderSpec], list[str]]:
    """Import all installed encoder plugins: their specs, and what is wrong with the others."""
    specs, problems = [], []
    for plugin in list_encoder_plugins():
        try:
            specs.append(describe_plugin(plugin, slugify(plugin.name), plugin.name))
        except ConfigError as error:
            problems.append(str(error))
    return specs, problems


def spec_from(plugin: Plugin, stated: PluginSpec, name: str, request: str) -> EncoderSpec:
    """The spec of an encoder that a plugin states."""
    values: dict[str, Any] = stated.model_dump(exclude={"precision"})
    values |= {
        "name": name,
        "request": request,
        "source": "plugin",
        "architecture": plugin.target,
        "plugin": plugin.target,
        "plugin_package": plugin.package,
    }
    return parse_settings(EncoderSpec, values, plugin.describe())


def plugin_of(spec: EncoderSpec) -> Plugin:
    """The plugin of a spec; it need not be installed here.

    Raises:
        ValueError: The spec has none.
    """
    if spec.plugin is None:
        raise ValueError(f"encoder {spec.name} is no plugin")
    name = spec.request.partition("?")[0] if spec.plugin_package else spec.plugin
    return Plugin(GROUP, name, spec.plugin, spec.plugin_package)


def list_plugin_modules(specs: Sequence[EncoderSpec]) -> list[str]:
    """Files and package folders of encoders' plugins that other nodes must be given."""
    return list_shipped([plugin_of(spec) for spec in specs if spec.plugin is not None])


def make_encoder_plugin(plugin: Plugin) -> EncoderPlugin:
    """Import a plugin and call its factory.

    Raises:
        ConfigError: It cannot be imported or called, or what it makes lacks a method.
    """
    made: Any = make_with_methods(
        plugin,
        _METHODS,
        "an encoder has spec(), load() and encode() "
        "(histo_ray.encoders.plugin_protocol.EncoderPlugin)",
    )
    found: EncoderPlugin = made
    return found


def state(plugin: Plugin, encoder: EncoderPlugin) -> PluginSpec:
    """Ask a plugin what it states.

    Raises:
        ConfigError: `spec()` fails, or returns something else.
    """
    return ask_spec(plugin, encoder.spec, PluginSpec, _FORMS)
