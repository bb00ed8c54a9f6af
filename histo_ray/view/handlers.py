"""Tornado handlers: pictures, which reader threads make, and refusal of all without the token."""

import base64
import hmac
from asyncio import get_running_loop, wrap_future
from collections.abc import Callable
from concurrent.futures import Executor

from tornado.httputil import HTTPServerRequest
from tornado.routing import Matcher
from tornado.web import RequestHandler

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
    """Matches requests whose path does not begin with the token, or that come for another host."""

    def __init__(self, token: str, hosts: frozenset[str]) -> None:
        self._token, self._hosts = token.encode(), hosts

    def match(self, request: HTTPServerRequest) -> dict[str, object] | None:
        """An empty match for an outsider; None for who knows the token."""
        given = (request.path or "").lstrip("/").partition("/")[0].encode()
        knows = hmac.compare_digest(given, self._token)
        return None if knows and request.host in self._hosts else {}


class Refusal(RequestHandler):
    """Says 403 to everything."""

    def prepare(self) -> None:
        """Refuse the request, whatever its method."""
        self.set_status(403)
        self.finish("403: this viewer is opened by the whole address that it printed\n")


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


class GridHandler(_PictureHandler):
    """Outlines of tiles."""

    content_type = "image/png"

    async def get(
        self, encoder: str, tiling: str, slide_id: str, zoom: str, column: str, row: str
    ) -> None:
        """Send one."""
        key = PartitionKey(encoder, tiling, slide_id)
        await self.serve(self.pictures.draw_grid_tile, key, int(zoom), int(column), int(row))


class TileHandler(_PictureHandler):
    """Single tiles."""

    async def get(
        self, encoder: str, tiling: str, slide_id: str, tile_id: str, longest_px: str
    ) -> None:
        """Send one."""
        key = PartitionKey(encoder, tiling, slide_id)
        await self.serve(self.pictures.draw_tile, key, int(tile_id), int(longest_px))


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
