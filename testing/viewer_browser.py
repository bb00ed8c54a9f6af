"""A viewer's process, and headless Chromium before it."""

import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from playwright.sync_api import Page

CHROMIUM = Path("/usr/bin/chromium")
NO_BROWSER = f"{CHROMIUM} is not there, which looks at the viewer's pages; install Chromium"
_FRAMES = """() => new Promise(done => {
  const times = []; const end = performance.now() + %d; let last = null;
  const range = Bokeh.documents[0].roots().find(root => root.x_range).x_range;
  const tick = now => {
    if (range.start !== last) { times.push(now); last = range.start }
    now < end ? requestAnimationFrame(tick) : done(times)
  };
  requestAnimationFrame(tick);
})"""


@contextmanager
def run_viewer(*arguments: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A `histo-ray view` process: its address, and the process; ended by Ctrl-C."""
    command = [sys.executable, "-m", "histo_ray", "view", *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as process:
        stdout, stderr = process.stdout, process.stderr
        if stdout is None or stderr is None:
            raise RuntimeError("the viewer has no pipes")
        address = stdout.readline().strip()
        drained = threading.Thread(target=stderr.read, daemon=True)
        if not address:
            raise RuntimeError(f"the viewer did not start: {stderr.read()}")
        drained.start()
        try:
            yield address, process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                process.wait(30)


@contextmanager
def open_browser(address: str, width: int = 1280, height: int = 800) -> "Iterator[Page]":
    """A page of headless Chromium at an address."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"]
        )
        try:
            page = browser.new_page(viewport={"width": width, "height": height})
            page.goto(address)
            yield page
        finally:
            browser.close()


def first_tile_ms(page: "Page", url: str) -> float:
    """Go to a slide's page; milliseconds from the start of it until its first map tile is there."""
    page.goto(url)
    page.wait_for_function(
        "performance.getEntriesByType('resource').some(e => e.name.includes('/map/'))",
        timeout=30_000,
    )
    ends = page.evaluate(
        "performance.getEntriesByType('resource').filter(e => e.name.includes('/map/'))"
        ".map(e => e.responseEnd)"
    )
    return float(min(ends))


def pan_frames_ms(page: "Page", seconds: float = 2.0) -> np.ndarray:
    """Drag the map to and fro; milliseconds between frames in which it moved."""
    box = page.locator("section.map").bounding_box()
    if box is None:
        raise RuntimeError("the page has no map")
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.evaluate(f"window.frames_seen = ({_FRAMES % int(1000 * seconds)})(); undefined")
    page.mouse.move(x, y)
    page.mouse.down()
    end, step = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        step += 1
        page.mouse.move(x + 120 * np.sin(step / 10), y + 80 * np.sin(step / 17))
    page.mouse.up()
    times = page.evaluate("window.frames_seen")
    return np.diff(np.array(times, float))


def find_requests(page: "Page", pattern: str) -> list[str]:
    """Addresses that a page has loaded, and that match a pattern."""
    names = page.evaluate("performance.getEntriesByType('resource').map(e => e.name)")
    return [str(name) for name in names if re.search(pattern, str(name))]
