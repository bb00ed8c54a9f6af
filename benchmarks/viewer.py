"""Time of the viewer's first tile, frames of a pan, and its table, in headless Chromium.

    python -m benchmarks.viewer [--folder DIR]

Writes a SYNTHETIC slide of 100,000 tiles and a store of 10,000 slides into DIR where they are not.
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

import numpy as np

from testing.view_stores import write_large_cohort, write_large_slide
from testing.viewer_browser import first_tile_ms, open_browser, pan_frames_ms, run_viewer


def measure_slide(folder: Path) -> dict[str, float]:
    """First tile and frames of a pan, without and with an overlay of all tiles."""
    found = dict[str, float]()
    with run_viewer(str(folder / "store")) as (address, _), open_browser(address) as page:
        url = f"{address}slide?slide=large"
        found["first tile, server just started, ms"] = first_tile_ms(page, url)
        again = [first_tile_ms(page, url) for _ in range(5)]
        found["first tile, median of 5, ms"] = float(np.median(again))
        page.wait_for_timeout(2000)
        found |= name_frames("pan", pan_frames_ms(page))
        start = time.monotonic()
        choose = page.locator("select").filter(has_text="principal component 1").last
        choose.select_option("principal component 1")
        page.get_by_text("in standard deviations").wait_for(timeout=60_000)
        found["principal component of 100,000 tiles, ms"] = 1000 * (time.monotonic() - start)
        page.wait_for_timeout(1500)
        found |= name_frames("pan with overlay", pan_frames_ms(page))
    return found


def name_frames(name: str, frames: np.ndarray) -> dict[str, float]:
    """Median and 95th percentile of frames."""
    return {
        f"{name}: frame, median, ms": float(np.median(frames)),
        f"{name}: frame, 95 %, ms": float(np.percentile(frames, 95)),
    }


def measure_cohort(folder: Path) -> dict[str, float]:
    """Time until the table of many slides is there, and of a filter and a sort."""
    found = dict[str, float]()
    start = time.monotonic()
    with run_viewer(str(folder / "cohort")) as (address, _):
        found["10,000 slides: address printed, ms"] = 1000 * (time.monotonic() - start)
        for name in ("first", "again"):
            with open_browser("about:blank") as page:
                start = time.monotonic()
                page.goto(address)
                page.get_by_text("S00003", exact=True).wait_for(timeout=120_000)
                found[f"10,000 slides: table, {name}, ms"] = 1000 * (time.monotonic() - start)
                if name == "again":
                    start = time.monotonic()
                    page.get_by_placeholder("filter").fill("S0999")
                    page.get_by_text("10 of 10000 slides").or_(
                        page.get_by_text("10 of 10,000 slides")
                    ).wait_for()
                    found["10,000 slides: filter, ms"] = 1000 * (time.monotonic() - start)
    return found


def main() -> None:
    """Print what was measured as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=None)
    folder = parser.parse_args().folder or Path(tempfile.mkdtemp())
    if not (folder / "store").exists():
        write_large_slide(folder)
    if not (folder / "cohort").exists():
        write_large_cohort(folder)
    found = measure_slide(folder) | measure_cohort(folder)
    shown = {name: round(value, 1) for name, value in found.items()}
    print(json.dumps({"load": os.getloadavg()[0], **shown}, indent=1))


if __name__ == "__main__":
    main()
