"""The viewer's server: who gets in, which pictures it serves, and what it says."""

import io
import json
import re
import signal
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
from PIL import Image
from tornado.ioloop import IOLoop

from histo_ray.api.feature_store import open_store
from histo_ray.api.view import view
from histo_ray.cli.main import main
from histo_ray.errors import ConfigError, StoreError
from histo_ray.slides.reader import open_slide
from histo_ray.types import PartitionKey
from histo_ray.view.cohort_sources import read_cohort, read_labels
from histo_ray.view.map_tiles import MAP_PX, MapPyramid
from histo_ray.view.neighbours import find_neighbours
from histo_ray.view.server import ViewServer
from histo_ray.view.slide_texts import write_neighbours
from histo_ray.view.view_settings import ViewConfig
from histo_ray.view.viewed_store import ViewedStore
from histo_ray.view.viewer import Viewer
from tests.conftest import Cohort

FAR = "far & 'b'"


def ask(
    server: ViewServer, path: str, method: str = "GET", **headers: str
) -> tuple[int, bytes, str]:
    """Status, body and content type of a request for a path as it is."""
    connection = HTTPConnection("127.0.0.1", server.port, timeout=20)
    connection.request(method, path, headers=headers)
    reply = connection.getresponse()
    answer = reply.status, reply.read(), reply.getheader("Content-Type", "")
    connection.close()
    return answer


def own(server: ViewServer, path: str) -> str:
    return f"{server.viewer.addresses.prefix}{path}"


def picture(body: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(body)))


def test_without_the_token_everything_is_refused(served: ViewServer) -> None:
    scripts = "/static/js/bokeh.min.js"
    for path in ("/", "/cohort", "/slide?slide=good-a", "/favicon.ico", scripts, "/x/cohort/ws"):
        assert ask(served, path)[0] == 403, path
    almost = served.viewer.addresses.prefix[:-1]
    assert ask(served, f"{almost}/cohort")[0] == 403
    assert len(served.viewer.addresses.prefix) > 30
    assert ask(served, own(served, scripts))[0] == 200


def test_another_host_or_origin_is_refused(served: ViewServer) -> None:
    """Refuse a page elsewhere that has its own name point to 127.0.0.1, or that knows the token."""
    status, body, _ = ask(served, own(served, "/cohort"), Host=f"evil.example:{served.port}")
    assert (status, b"forward the same number" in body) == (403, True)
    socket = {
        "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }  # fmt: skip
    path = own(served, "/cohort/ws")
    for origin in ("http://evil.example", "null", f"https://127.0.0.1:{served.port}"):
        status, body, _ = ask(served, path, Origin=origin, **socket)
        assert (status, body) == (403, b"403: pages from elsewhere may not look into this viewer\n")
    assert ask(served, path, Origin=f"http://127.0.0.1:{served.port + 1}", **socket)[0] == 403
    assert ask(served, "/cohort/ws", Origin=f"http://127.0.0.1:{served.port}", **socket)[0] == 403


def test_head_says_what_get_would_without_a_body(served: ViewServer) -> None:
    sessions = served._server.get_sessions("/cohort")
    for path in ("/cohort", "/slide?slide=good-a", "/map/good-a/0/0/0.jpg", "/static/js/bokeh.js"):
        status, body, kind = ask(served, own(served, path), "HEAD")
        assert (status, body) == (200, b""), path
        assert kind.split(";")[0] in ("text/html", "image/jpeg", "text/javascript")
    assert served._server.get_sessions("/cohort") == sessions
    assert ask(served, own(served, "/"), "HEAD")[0] == ask(served, own(served, "/"))[0] == 301
    assert ask(served, own(served, "/map/gone/0/0/0.jpg"), "HEAD")[0] == 404
    assert ask(served, "/cohort", "HEAD")[0] == 403


def test_pages_load_nothing_from_elsewhere(served: ViewServer) -> None:
    for path in ("/cohort", "/slide?slide=good-a", "/slide?slide=no%3Cb%3E", "/slide"):
        status, body, _ = ask(served, own(served, path))
        text = body.decode()
        assert status == 200, path
        loaded = re.findall(r"""(?:src|href)=["']([^"']+)""", text)
        assert all(
            url.startswith((f"http://127.0.0.1:{served.port}/", "/", "data:")) for url in loaded
            if "<%" not in url and not url.startswith(("static/", "slide?", "../"))
        ), loaded  # fmt: skip
        assert "cdn" not in text.lower()
        assert "no<b>" not in text
        assert "default-src &#39;self&#39;" in text or "default-src 'self'" in text
    assert b"SYNTHETIC" in ask(served, own(served, "/cohort"))[1]


def test_map_tiles_are_the_readers_pixels(served: ViewServer, cohort: Cohort) -> None:
    with open_slide(str(cohort.folder / "good-b.svs")) as slide:
        zoom = MapPyramid(slide.size).native_zoom
        truth = slide.read((MAP_PX, 0), 0, (MAP_PX, MAP_PX)).astype(float)
    status, body, kind = ask(served, own(served, f"/map/good-b/{zoom}/1/0.jpg"))
    assert (status, kind) == (200, "image/jpeg")
    assert np.abs(picture(body) - truth).mean() < 3  # JPEG
    assert np.abs(picture(body) - truth.transpose(1, 0, 2)).mean() > 20
    status, body, kind = ask(served, own(served, f"/map/good-b/{zoom}/9/9.jpg"))
    assert (status, kind, len(picture(body))) == (200, "image/png", 1)  # beyond the slide
    assert (
        ask(served, own(served, f"/map/good-b/{zoom}/0/0.jpg"))[1]
        == (ask(served, own(served, f"/map/good-b/{zoom}/0/0.jpg"))[1])
    )


def test_a_tile_is_shown_at_full_resolution_and_the_grid_around_it(
    served: ViewServer, cohort: Cohort, key: PartitionKey
) -> None:
    slide = served.viewer.store.load(key)
    last = len(slide.rows) - 1
    address = served.viewer.addresses
    with open_slide(str(cohort.folder / "good-a.svs")) as opened:
        x, y = slide.coords[last].tolist()
        truth = opened.read((x, y), 0, (64, 64)).astype(float)
        pyramid = MapPyramid(opened.size)
    body = ask(served, address.tile(key, last, 1024))[1]
    assert picture(body).shape == (64, 64, 3)
    assert np.abs(picture(body) - truth).mean() < 3
    assert picture(ask(served, address.tile(key, last, 32))[1]).shape == (32, 32, 3)
    template = address.grid_tiles(key)
    place = {"{Z}": str(pyramid.native_zoom), "{X}": str(x // MAP_PX), "{Y}": str(y // MAP_PX)}
    for name, value in place.items():
        template = template.replace(name, value)
    grid = picture(ask(served, template)[1])
    assert grid[y % MAP_PX, x % MAP_PX, 3] > 0


def test_slides_that_are_gone_or_far_away_are_told(served: ViewServer) -> None:
    status, body, _ = ask(served, own(served, "/map/gone/0/0/0.jpg"))
    assert status == 404
    assert "gone.svs" in body.decode()
    status, body, _ = ask(served, own(served, f"/map/{quote(FAR)}/0/0/0.jpg"))
    assert status == 404
    assert "--remote-slides" in body.decode()
    assert ask(served, own(served, "/map/..%2F..%2Fetc/0/0/0.jpg"))[0] == 404
    assert ask(served, own(served, "/tile/..%2F/x/y/0/64.jpg"))[0] == 404


def test_the_most_similar_tiles_are_links(served: ViewServer, key: PartitionKey) -> None:
    viewer = served.viewer
    slide = viewer.store.load(key)
    found = find_neighbours(viewer.store, slide, 3)
    truth = open_store(str(viewer.store.root.path)).similar(("good-a", 3), k=8, encoder="e")
    assert [tile.tile_id for tile in found.tiles] == truth["tile_id"].tolist()
    html = write_neighbours(slide, 3, found, "focus", viewer.addresses)
    assert html.count("class='neighbour'") == 8
    assert "from_slide=good-a&amp;from_tile=3" in html
    first = re.findall(r"href='([^']+)'", html)[0].replace("&amp;", "&")
    assert ask(served, first)[0] == 200


def test_the_store_is_only_read(viewed: Path, served: ViewServer, key: PartitionKey) -> None:
    """Look at everything once, and find each file as it was."""

    def looks() -> dict[str, tuple[int, int]]:
        files = (path for path in viewed.rglob("*") if path.is_file())
        return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in files}

    before = looks()
    viewer = served.viewer
    slide = viewer.store.load(key)
    for name in viewer.overlays.names(slide):
        viewer.overlays.read(slide, name)
    find_neighbours(viewer.store, slide, 0)
    for path in ("/cohort", "/slide?slide=good-a"):
        ask(served, own(served, path))
    assert looks() == before


def test_what_cannot_be_shown_is_said_in_a_sentence(
    served: ViewServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(StoreError, match="there is no feature store"):
        view(tmp_path / "none")
    with pytest.raises(ConfigError, match=rf"--port {served.port}: cannot listen"):
        view(served.viewer.store.config.store, port=served.port)
    store = served.viewer.store.config.store
    with pytest.raises(ConfigError, match="--encoder nope: no slide of the store has it; there"):
        view(store, encoder="nope")
    with pytest.raises(ConfigError, match="--tiling nope: no slide of the store has it; there"):
        view(store, tiling="nope")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"bokeh is not installed.*histo-ray\[view\]"):
        view(served.viewer.store.config.store)


def test_the_program_prints_where_it_is_as_json_and_ends_like_every_verb(
    viewed: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    said = list[str]()

    def end(verb: str, text: str) -> None:
        said.append(text)
        if len(said) == 2:  # the address was printed
            IOLoop.current().call_later(0.01, signal.raise_signal, signal.SIGINT)

    monkeypatch.setattr("histo_ray.cli.view_work.say", end)
    assert main(["view", str(viewed), "--json", "--quiet"]) == 130
    out, err = capfd.readouterr()
    told = json.loads(out)
    assert told["address"] == f"http://127.0.0.1:{told['port']}/{told['token']}/"
    assert (told["host"], len(told["token"]) > 30, err) == ("127.0.0.1", True, "")


def test_labels_must_say_whose_they_are(
    make_config: Callable[..., ViewConfig], tmp_path: Path
) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text("patient_id,arm\nP-good-a,treated\n")
    table = read_cohort(ViewedStore(make_config()), read_labels(str(labels))).set_index("slide_id")
    assert table.loc["good-a", "arm"] == "treated"
    assert table.loc["bad", "reason"] == "no <pyramid>"
    labels.write_text("who,arm\nP-good-a,treated\n")
    with pytest.raises(ConfigError, match="one must be slide_id or patient_id"):
        Viewer(make_config(labels=str(labels)), "token")


def test_too_many_tiles_are_not_searched_without_an_index(
    served: ViewServer, key: PartitionKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("histo_ray.view.neighbours.MOST_SCANNED", 10)
    store = served.viewer.store
    found = find_neighbours(store, store.load(key), 3)
    assert not found.tiles
    assert "store index build" in found.problem
    assert "store index build" in write_neighbours(
        store.load(key), 3, found, "", served.viewer.addresses
    )
