"""Tornado handlers: pictures, which reader threads make, and refusal of all without the token."""

import base64
import hmac
from asyncio import get_running_loop, wrap_future
from collections.abc import Callable
from concurrent.futures import Executor

from tornado.httputil import HTTPServerRequest
from tornado.routing import Matcher
from tornado.web import RedirectHandler, RequestHandler

from histo_ray.errors import HistoRayError
from histo_ray.types import PartitionKey
from histo_ray.view.pictures import Pictures

CLEAR_PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGNgYGBgAAAABQABpfZFQAAAAABJRU5ErkJg"
    "gg=="
)
"""One px that shows nothing."""
_PART = r"([^/]+)"
_NUMBER = r"(\d{1,9})"


class Outsider(Matcher):
    """Matches requests without the token, for another host, or from a page of another origin."""

    def __init__(self, token: str, hosts: frozenset[str]) -> None:
        self._token, self._hosts = token.encode(), hosts

    def match(self, request: HTTPServerRequest) -> dict[str, dict[str, str]] | None:
        """Why an outsider is refused; None for who knows the token."""
        given = (request.path or "").lstrip("/").partition("/")[0].encode()
        if not hmac.compare_digest(given, self._token):
            return _refuse("this viewer is opened by the whole address that it printed")
        if request.host not in self._hosts:
            names = " and ".join(sorted(self._hosts))
            return _refuse(
                f"this viewer answers at {names} alone; where its port is forwarded, forward the "
                "same number"
            )
        origin = request.headers.get("Origin")
        if origin is not None and origin.lower() not in {f"http://{name}" for name in self._hosts}:
            return _refuse("pages from elsewhere may not look into this viewer")
        return None


def _refuse(reason: str) -> dict[str, dict[str, str]]:
    return {"target_kwargs": {"reason": reason}}


class Refusal(RequestHandler):
    """Says 403 to everything."""

    def initialize(self, reason: str) -> None:
        """Take what the refused is told."""
        self.reason = reason

    def prepare(self) -> None:
        """Refuse the request, whatever its method."""
        self.set_status(403)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(f"403: {self.reason}\n")


class PageHead(Matcher):
    """Matches the method HEAD for some paths: a page is answered without a session being made."""

    def __init__(self, paths: frozenset[str]) -> None:
        self._paths = paths

    def match(self, request: HTTPServerRequest) -> dict[str, object] | None:
        """An empty match for such a request, else None."""
        return {} if request.method == "HEAD" and request.path in self._paths else None


class PageHeadHandler(RequestHandler):
    """Says that a page is there."""

    def head(self) -> None:
        """Answer without a body."""
        self.set_header("Content-Type", "text/html")
        self.finish()


class _PictureHandler(RequestHandler):
    """Serves one kind of pictures."""

    content_type = "image/jpeg"

    def initialize(self, pictures: Pictures, threads: Executor) -> None:
        """Take what makes pictures, and where."""
        self.pictures, self.threads = pictures, threads

    async def serve(self, make: Callable[..., bytes], *arguments: object) -> None:
        """Send a picture that is made by a reader thread; 404 with the reason where it cannot."""
        try:
            future = self.threads.submit(make, *arguments)
            data = await wrap_future(future, loop=get_running_loop())
        except IndexError:  # the map asks for its whole square, also beyond the slide
            data = CLEAR_PNG
        except HistoRayError as error:
            self.set_status(404)
            self.set_header("Content-Type", "text/plain; charset=utf-8")
            self.finish(str(error))
            return
        kind = "image/png" if data is CLEAR_PNG else self.content_type
        self.set_header("Content-Type", kind)
        self.set_header("Cache-Control", "private, max-age=3600")
        self.finish(data)


class MapTileHandler(_PictureHandler):
    """Map tiles of slides."""

    async def get(self, slide_id: str, zoom: str, column: str, row: str) -> None:
        """Send one."""
        await self.serve(self.pictures.draw_map_tile, slide_id, int(zoom), int(column), int(row))

    head = get


class GridHandler(_PictureHandler):
    """Outlines of tiles."""

    content_type = "image/png"

    async def get(
        self, encoder: str, tiling: str, slide_id: str, zoom: str, column: str, row: str
    ) -> None:
        """Send one."""
        key = PartitionKey(encoder, tiling, slide_id)
        await self.serve(self.pictures.draw_grid_tile, key, int(zoom), int(column), int(row))

    head = get


class TileHandler(_PictureHandler):
    """Single tiles."""

    async def get(
        self, encoder: str, tiling: str, slide_id: str, tile_id: str, longest_px: str
    ) -> None:
        """Send one."""
        key = PartitionKey(encoder, tiling, slide_id)
        await self.serve(self.pictures.draw_tile, key, int(tile_id), int(longest_px))

    head = get


class StartHandler(RedirectHandler):
    """Leads from the printed address to the cohort."""

    head = RedirectHandler.get


def route_pictures(
    pictures: Pictures, threads: Executor
) -> list[tuple[str, type, dict[str, object]]]:
    """Routes of all pictures, relative to the token."""
    given = {"pictures": pictures, "threads": threads}
    place = f"{_NUMBER}/{_NUMBER}/{_NUMBER}"
    key = f"{_PART}/{_PART}/{_PART}"
    return [
        (f"/map/{_PART}/{place}\\.jpg", MapTileHandler, given),
        (f"/grid/{key}/{place}\\.png", GridHandler, given),
        (f"/tile/{key}/{_NUMBER}/{_NUMBER}\\.jpg", TileHandler, given),
    ]
