"""`hr.view`: the slide viewer over a store, in the browser."""

import importlib.util
import webbrowser
from collections.abc import Callable
from pathlib import Path

from histo_ray.api.keywords import make_settings
from histo_ray.deferred import deferred
from histo_ray.errors import ConfigError
from histo_ray.view.view_settings import ViewConfig

_serve = deferred("histo_ray.view.server:serve_viewer")


def view(
    store: str | Path | ViewConfig,
    *,
    started: Callable[[str], None] | None = None,
    **settings: object,
) -> None:
    """Show a store in the browser until Ctrl-C; nothing of it is changed.

    Args:
        store: Folder or URI of the store; or a config object that holds all settings.
        started: Called with the address, which has a random token in it, as soon as it answers;
            None: it is printed.
        **settings: As the flags of `histo-ray view`, with underscores: `labels`, `scores`, `port`,
            ...

    Raises:
        ConfigError: Settings cannot be used, the port is taken, or bokeh is not installed.
        StoreError: There is no store.
    """
    if isinstance(store, ViewConfig):
        if settings:
            raise ConfigError(
                f"view: {', '.join(sorted(settings))} beside a config object; put all settings "
                "into one of them"
            )
        config = store
    else:
        config = make_settings(ViewConfig, {"store": str(store), **settings}, "view")
    if importlib.util.find_spec("bokeh") is None:
        raise ConfigError(
            "view: the package bokeh is not installed, which draws the viewer; "
            "pip install 'histo-ray[view]'"
        )

    def tell(address: str) -> None:
        (started or _print)(address)
        if config.browser:
            webbrowser.open(address)

    _serve(config, tell)


def _print(address: str) -> None:
    print(f"view: {address}", flush=True)  # noqa: T201 - a notebook's user needs the address
