"""The viewer's server: Bokeh's, on 127.0.0.1, below a token that is drawn at each start."""

import asyncio
import secrets
import socket
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import unquote

from bokeh.application import Application
from bokeh.application.handlers import FunctionHandler
from bokeh.document import Document
from bokeh.resources import Resources
from bokeh.server.server import Server
from bokeh.server.views.static_handler import StaticHandler
from tornado.ioloop import IOLoop
from tornado.routing import Rule

from histo_ray.errors import ConfigError
from histo_ray.view.cohort_page import make_cohort_page
from histo_ray.view.handlers import (
    Outsider,
    PageHead,
    PageHeadHandler,
    Refusal,
    StartHandler,
    route_pictures,
)
from histo_ray.view.slide_page import Asked, make_slide_page
from histo_ray.view.view_settings import ViewConfig
from histo_ray.view.viewer import Viewer

HOST = "127.0.0.1"
TOKEN_BYTES = 24
UNUSED_SESSION_MS = 60_000


class ViewServer:
    """A viewer that is served by the thread that made it."""

    def __init__(self, config: ViewConfig) -> None:
        """Open the store and the port.

        Raises:
            StoreError: There is no store.
            ConfigError: Settings cannot be used, or the port is taken.
        """
        _check_port(config.port)
        self._token = secrets.token_urlsafe(TOKEN_BYTES)
        self.viewer = Viewer(config, self._token)
        self.viewer.store.check_named()
        self._loop = IOLoop.current()
        self._server = Server(
            {
                "/cohort": _application(self._fill_cohort),
                "/slide": _application(self._fill_slide),
            },
            io_loop=self._loop,
            address=HOST,
            port=config.port,
            prefix=self._token,
            extra_patterns=[
                *route_pictures(self.viewer.pictures, self.viewer.readers),
                ("/?", StartHandler, {"url": self.viewer.addresses.cohort}),
            ],
            allow_websocket_origin=_hosts(config.port) or None,
            use_index=False,
            ico_path="none",
            check_unused_sessions_milliseconds=5_000,
            unused_session_lifetime_milliseconds=UNUSED_SESSION_MS,
            log_function=lambda handler: None,
        )
        self.port = int(self._server.port or 0)
        self._restrict()

    def _restrict(self) -> None:
        """Let nobody in without the token, nor for another host's name, nor from another page."""
        hosts = frozenset(_hosts(self.port))
        application = self._server._tornado
        application._websocket_origins = set(hosts)
        application.resources = self._name_scripts
        pages = PageHead(frozenset(f"/{self._token}/{name}" for name in ("cohort", "slide")))
        application.default_router.rules[:0] = [
            Rule(Outsider(self._token, hosts), Refusal),
            Rule(pages, PageHeadHandler),
        ]

    def _name_scripts(self, absolute_url: str | bool | None = None) -> Resources:
        """Scripts that pages load: Bokeh's own, without WebGL and formulas, which none needs."""
        return Resources(
            mode="server",
            root_url=f"/{self._token}/",
            components=["bokeh", "bokeh-widgets", "bokeh-tables"],
            path_versioner=StaticHandler.append_version,
        )

    @property
    def address(self) -> str:
        """Where the viewer is, with its token."""
        return f"http://{HOST}:{self.port}/{self._token}/"

    def run(self) -> None:
        """Serve until `stop`, or Ctrl-C, which is no error."""
        self._server.start()
        try:
            with suppress(KeyboardInterrupt):
                self._loop.start()
        finally:
            self._server.stop()
            self.viewer.close()

    def stop(self) -> None:
        """End `run`; any thread may call it."""
        self._loop.add_callback(self._loop.stop)

    def _fill_cohort(self, doc: Document) -> None:
        viewer = self.viewer
        make_cohort_page(
            doc,
            viewer.cohort,
            viewer.store.config.store,
            viewer.store.problems,
            bool(viewer.synthetic),
        )

    def _fill_slide(self, doc: Document) -> None:
        make_slide_page(doc, self.viewer, _read_asked(doc))


def serve_viewer(config: ViewConfig, started: Callable[[str], None]) -> None:
    """Serve a store until Ctrl-C.

    Args:
        config: What is shown, and where.
        started: Called with the address when the server listens.

    Raises:
        StoreError: There is no store.
        ConfigError: Settings cannot be used, or the port is taken.
    """
    with asyncio.Runner() as runner:
        asyncio.set_event_loop(runner.get_loop())
        server = ViewServer(config)
        started(server.address)
        server.run()


def _check_port(port: int) -> None:
    """See that a port is free, before anything is opened.

    Raises:
        ConfigError: It is taken, or not for this user.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise ConfigError(
                f"--port {port}: cannot listen there ({error.strerror}); choose another, or leave "
                "the flag out for a free one"
            ) from None


def _application(fill: Callable[[Document], None]) -> Application:
    return Application(FunctionHandler(fill))


def _hosts(port: int) -> list[str]:
    return [f"{name}:{port}" for name in (HOST, "localhost")] if port else []


def _read_asked(doc: Document) -> Asked:
    """What the address of a session asks for."""
    context = doc.session_context
    given = {} if context is None or context.request is None else context.request.arguments

    def text(name: str) -> str:
        return unquote(given[name][0].decode(errors="replace")) if name in given else ""

    def number(name: str) -> int | None:
        return int(text(name)) if text(name).isascii() and text(name).isdigit() else None

    return Asked(
        text("slide"),
        text("encoder"),
        text("tiling"),
        number("tile"),
        text("overlay"),
        text("from_slide"),
        number("from_tile"),
    )
