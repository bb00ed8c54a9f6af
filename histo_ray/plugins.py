"""Python plugins: found by name, imported, and blamed by name for what goes wrong in them.

A plugin is named as `module:object`, or by the name that an installed package gave it in an
entry-point group (`histo_ray.encoders`, `histo_ray.slide_encoders`, ...). Finding one imports
nothing.
"""

import importlib
import importlib.util
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from histo_ray.errors import ConfigError, HistoRayError

_NAMED = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_INSTALLED = ("site-packages", "dist-packages")
"""Folders whose packages were installed, and must be so on every node."""


@dataclass(frozen=True)
class Plugin:
    """One plugin, not imported yet."""

    group: str
    """Entry-point group: what kind of plugin it is."""
    name: str
    """Name of its entry point; `module:object` where the user named the object."""
    target: str
    """`module:object`."""
    package: str = ""
    """Name and version of the package that brings the entry point; empty without one."""

    @property
    def module(self) -> str:
        """Module that is imported."""
        return self.target.partition(":")[0]

    def describe(self) -> str:
        """The plugin in words for messages."""
        kind = self.group.partition(".")[2].replace("_", " ").removesuffix("s")
        of = f"{self.target} of {self.package}" if self.package else self.target
        return f"{kind} plugin {self.name!r} ({of})" if self.package else f"{kind} plugin {of!r}"


def is_target(text: str) -> bool:
    """Whether `text` has the form `module:object` of a plugin."""
    return _NAMED.fullmatch(text) is not None


def list_plugins(group: str) -> list[Plugin]:
    """Plugins that installed packages offer in a group, by name. Imports none.

    Raises:
        ConfigError: Two packages offer different plugins under one name.
    """
    found: dict[str, Plugin] = {}
    for point in _entry_points(group, tuple(sys.path)):
        package = f"{point.dist.name} {point.dist.version}" if point.dist else ""
        plugin = Plugin(group, point.name, point.value.partition(" ")[0], package)
        other = found.setdefault(point.name, plugin)
        if other.target != plugin.target:
            raise ConfigError(
                f"{group}: the packages {other.package} and {package} both bring a plugin "
                f"{point.name!r}; uninstall one of them, or ask for {plugin.target}"
            )
    return [found[name] for name in sorted(found)]


def find_plugin(group: str, text: str) -> Plugin | None:
    """Find what `text` names: an entry point of the group, or `module:object`. Imports nothing.

    Args:
        group: As `histo_ray.encoders`.
        text: A name, or `module:object`.

    Returns:
        The plugin; None for a name that no installed package offers.
    """
    if is_target(text):
        return Plugin(group, text, text)
    return next((plugin for plugin in list_plugins(group) if plugin.name == text), None)


def load_plugin(plugin: Plugin) -> object:
    """Import a plugin's module and take the object out of it; the working folder is tried last.

    Raises:
        ConfigError: No such module or object here, or its import fails; or its import fails.
    """
    _look_here()
    module = plugin.module
    with blame(plugin, "importing it"):
        found: object = importlib.import_module(module)
    for part in plugin.target.partition(":")[2].split("."):
        if not hasattr(found, part):
            raise ConfigError(
                f"{plugin.describe()}: the module {module} has no {part!r}; write MODULE:OBJECT, "
                "with a function or class that the module defines"
            )
        found = getattr(found, part)
    return found


def make_from_plugin(plugin: Plugin) -> object:
    """Call a plugin's factory (a function or class without arguments), and return what it makes.

    Raises:
        ConfigError: As `load_plugin`; it cannot be called, or the call fails.
    """
    factory = load_plugin(plugin)
    if not callable(factory):
        raise ConfigError(
            f"{plugin.describe()}: {plugin.target} is no function or class; name one that takes no "
            "argument and returns the plugin"
        )
    with blame(plugin, "calling it"):
        made: object = factory()
    return made


@contextmanager
def blame(plugin: Plugin, doing: str) -> Iterator[None]:
    """Name the plugin in the error of whatever its code raises.

    Errors of histo_ray and of memory, a GPU's too, pass as they are.

    Args:
        plugin: Whose code runs within.
        doing: What, as `importing it` or `encode()`.

    Raises:
        ConfigError: It failed, or needs a module that is not here; the cause is kept.
    """
    try:
        yield
    except (HistoRayError, MemoryError):
        raise
    except ModuleNotFoundError as error:  # on import or, if it imports late, in any method
        raise ConfigError(_missing(plugin, error.name or plugin.module)) from error
    except (Exception, SystemExit) as error:  # code of others may raise whatever it likes
        if type(error).__name__ == "OutOfMemoryError":
            raise
        what = " ".join(str(error).split())[:300]
        raise ConfigError(
            f"{plugin.describe()}: {doing} failed with {type(error).__name__}"
            f"{f' ({what})' if what else ''}; this is code of the plugin: correct it there, or "
            "tell its authors"
        ) from error


def list_shipped(plugins: Sequence[Plugin]) -> list[str]:
    """Files and folders of plugins' modules that other nodes must be given.

    Args:
        plugins: Those of a run.

    Returns:
        For each top-level module that was not installed its file or package folder, for
        `py_modules` of Ray's runtime environment; installed ones must be so on every node.
    """
    _look_here()
    found: dict[str, str] = {}
    for plugin in plugins:
        top = plugin.module.partition(".")[0]
        if top == __name__.partition(".")[0]:  # of ours, which every node has
            continue
        spec = importlib.util.find_spec(top)
        if spec is None or spec.origin is None or top in sys.stdlib_module_names:
            continue
        file = Path(spec.origin).absolute()
        if not any(part in _INSTALLED for part in file.parts):
            found[top] = str(file.parent if spec.submodule_search_locations else file)
    return list(found.values())


def _look_here() -> None:
    """Let modules of the working folder be found, after all that is installed."""
    here = str(Path.cwd())
    if here not in sys.path and "" not in sys.path:
        sys.path.append(here)
        importlib.invalidate_caches()


def _missing(plugin: Plugin, name: str) -> str:
    asked = plugin.module
    if name == asked or asked.startswith(f"{name}."):
        what = f"there is no module {name!r} here"
    else:
        what = f"its code needs the module {name!r}, which is not installed here"
    return (
        f"{plugin.describe()}: {what}; install it in the environment of this machine (and of every "
        "node of a cluster), or start in the folder that holds it"
    )


@cache
def _entry_points(group: str, path: tuple[str, ...]) -> tuple[EntryPoint, ...]:
    """Entry points of a group in what `path`, that of Python now, holds."""
    return tuple(entry_points(group=group))
