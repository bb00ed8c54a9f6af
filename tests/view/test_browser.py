"""The viewer in headless Chromium: open, zoom, pan, overlay, click, neighbour, back; Ctrl-C."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from histo_ray.types import PartitionKey
from testing.view_stores import write_large_slide
from testing.viewer_browser import (
    CHROMIUM,
    NO_BROWSER,
    find_requests,
    first_tile_ms,
    open_browser,
    pan_frames_ms,
    run_viewer,
)

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not CHROMIUM.is_file(), reason=NO_BROWSER)]
_RANGE = (
    "(() => { const p = Bokeh.documents[0].roots().find(r => r.x_range);"
    " return [p.x_range.start, p.x_range.end] })()"
)


def shown(page: "Page") -> list[float]:
    """Left and right of what the map shows, level-0 px."""
    return [float(end) for end in page.evaluate(_RANGE)]


def map_place(page: "Page", x: float, y: float) -> tuple[float, float]:
    """A place on the map's frame, as shares of its width and height."""
    box = page.locator("section.map").bounding_box()
    assert box is not None
    return box["x"] + x * box["width"], box["y"] + y * box["height"]


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844)])
def test_a_pathologist_looks_at_a_cohort(
    viewed: Path, scores: Path, key: PartitionKey, width: int, height: int
) -> None:
    problems = list[str]()
    with run_viewer(str(viewed), "--scores", str(scores)) as (address, process):
        with open_browser(address, width, height) as page:
            page.on(
                "console",
                lambda message: (
                    problems.append(message.text)
                    if message.type in ("error", "warning") and "404" not in message.text
                    else None
                ),
            )
            page.on("pageerror", lambda error: problems.append(str(error)))
            _look(page, width)
            elsewhere = [url for url in find_requests(page, "^http") if not url.startswith(address)]
            assert not elsewhere
        process.send_signal(2)
        assert process.wait(30) == 130
    assert not problems  # but pictures of neighbours on slides that are gone


def _look(page: "Page", width: int) -> None:
    page.get_by_text("good-a", exact=True).wait_for()
    page.get_by_placeholder("filter").fill("slide_id:good-a")
    page.get_by_text("1 of 5 slides").or_(page.get_by_text("1 of 6 slides")).wait_for()
    page.get_by_role("link", name="good-a").click()
    page.wait_for_function(
        "performance.getEntriesByType('resource').some(e => e.name.includes('/map/good-a/'))"
    )
    page.wait_for_timeout(500)
    left, right = shown(page)
    page.mouse.move(*map_place(page, 0.5, 0.5))
    page.mouse.wheel(0, -400)
    page.wait_for_function(f"{_RANGE}[1] - {_RANGE}[0] < {0.9 * (right - left)}")
    before = shown(page)
    page.mouse.down()
    page.mouse.move(*map_place(page, 0.7, 0.5), steps=5)
    page.mouse.up()
    page.wait_for_function(f"Math.abs({_RANGE}[0] - {before[0]}) > 10")
    page.locator("select:visible").last.select_option("KRAS: contribution (run-1, e)")
    page.get_by_text("out-of-fold heads of run-1").wait_for()
    page.get_by_text("tile grid").click()
    page.get_by_text("tissue outline").click()
    page.wait_for_function(
        "Bokeh.documents[0].roots().find(r => r.x_range).renderers"
        ".some(r => r.data_source && (r.data_source.data['xs'] || []).length > 0)"
    )
    for share in (0.35, 0.5, 0.65):  # until a tile is hit
        page.mouse.click(*map_place(page, share, 0.45))
        page.wait_for_timeout(300)
    tile = page.locator("img.tile")
    tile.wait_for()
    assert tile.evaluate("image => image.naturalWidth") == 64
    neighbours = page.locator("a.neighbour")
    neighbours.first.wait_for()
    assert neighbours.count() == 8
    overflow = page.evaluate("document.documentElement.scrollWidth")
    assert overflow <= width
    neighbours.first.click()
    page.locator("a.origin").wait_for()
    page.get_by_text("Most similar tiles").wait_for()
    page.locator("a.origin").click()
    page.wait_for_url("**tile=*")
    page.get_by_text("KRAS: contribution (run-1, e)").last.wait_for()
    page.go_back()
    page.locator("a.origin").wait_for()
    page.locator("a.back").click()
    page.get_by_text("good-b", exact=True).wait_for()


def test_a_slide_of_100_000_tiles_is_smooth(tmp_path: Path) -> None:
    """Bounds are those of two quiet cores; what is measured is in docs/benchmarks.md."""
    write_large_slide(tmp_path)
    with run_viewer(str(tmp_path / "store")) as (address, _), open_browser(address) as page:
        url = f"{address}slide?slide=large"
        first = min(first_tile_ms(page, url) for _ in range(4))
        page.locator("select:visible").last.select_option("focus")
        page.get_by_text("variance of the Laplacian").wait_for()
        page.wait_for_timeout(1500)
        frames = pan_frames_ms(page)
    assert first < 1000
    assert np.median(frames) < 100


def test_a_slide_that_is_gone_is_told_and_its_tiles_are_shown(viewed: Path) -> None:
    with run_viewer(str(viewed)) as (address, _), open_browser(address) as page:
        page.goto(f"{address}slide?slide=gone")
        page.get_by_text("The slide is not shown").wait_for()
        page.get_by_text("variance of the Laplacian").wait_for()
        page.mouse.click(*map_place(page, 0.5, 0.45))
        page.get_by_text("No picture").wait_for()
