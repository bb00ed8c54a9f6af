"""Make the picture of docs/view.md: the viewer over SYNTHETIC slides, in headless Chromium.

    python -m infra.site.viewer_picture docs/pictures/view.png

Draws three slides, extracts their tiles with a random encoder, and looks at one of them.
"""

import io
import sys
import tempfile
from pathlib import Path

from PIL import Image

from histo_ray.api.extract import extract
from histo_ray.synth.scene import SlideDesign
from histo_ray.synth.slide_writer import write_slide
from histo_ray.synth.tissue_looks import GLANDULAR, INFLAMED, SOLID
from testing.viewer_browser import open_browser, run_viewer

COLOURS = 160
"""Of the picture's palette, so that it stays small."""


def write_store(folder: Path) -> Path:
    """Write three synthetic slides and a store of their tiles."""
    rows = ["slide_id,path,patient_id,synthetic"]
    for seed, look in enumerate((GLANDULAR, SOLID, INFLAMED), 1):
        name = f"SYN-{seed:04d}"
        write_slide(folder / f"{name}.svs", SlideDesign((2900, 2100), 0.5, look, seed))
        rows.append(f"{name},{name}.svs,{name},true")
    manifest = folder / "slides.csv"
    manifest.write_text("\n".join(rows) + "\n", encoding="utf-8")
    store = folder / "store"
    extract(manifest, store, encoder="random:resnet10t?seed=0&px=64", mpp=0.5, tile_px=128)
    return store


def take_picture(store: Path) -> bytes:
    """Look at a slide with an overlay and a tile that was clicked; a PNG."""
    with run_viewer(str(store)) as (address, _), open_browser(address, 1280, 860) as page:
        page.goto(f"{address}slide?slide=SYN-0001")
        page.locator("select:visible").last.select_option("principal component 1")
        page.get_by_text("in standard deviations").wait_for()
        box = page.locator("section.map").bounding_box()
        if box is None:
            raise RuntimeError("the page has no map")
        page.mouse.click(box["x"] + 0.5 * box["width"], box["y"] + 0.5 * box["height"])
        page.locator("a.neighbour img").last.wait_for()
        page.wait_for_timeout(2500)
        return bytes(page.screenshot())


def main() -> None:
    """Write the picture to the path that is given."""
    target = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        taken = take_picture(write_store(Path(folder)))
    picture = Image.open(io.BytesIO(taken)).convert("RGB")
    picture.quantize(COLOURS).save(target, optimize=True)


if __name__ == "__main__":
    main()
