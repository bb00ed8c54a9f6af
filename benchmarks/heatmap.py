"""`python -m benchmarks.heatmap [TILES]`: seconds from stored tiles to table, pictures, GeoJSON."""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from histo_ray.api.heatmap_files import draw_score_files, write_files
from histo_ray.config import TilingConfig
from histo_ray.learn.fold_data import measure_scale
from histo_ray.learn.heads.linear_fit import LinearFit, Link
from histo_ray.predict.heat.patient_tiles import EncoderSlides
from histo_ray.predict.heat.target_heads import TargetHeads, gather_heads
from histo_ray.predict.heat.tile_scores import ScoredTiles, score_patient
from histo_ray.slides.levels import choose_level
from histo_ray.slides.reader import open_slide
from histo_ray.store.location import Location, location_of
from histo_ray.store.partition import PartitionFacts
from histo_ray.store.store import open_store
from histo_ray.synth.scene import SlideDesign
from histo_ray.synth.slide_writer import write_slide
from histo_ray.synth.tissue_looks import GLANDULAR
from histo_ray.tiles.grid import plan_tiles
from histo_ray.tiles.masks import read_mask
from histo_ray.types import TileGrid, TileRows
from testing.partitions import facts_of

DIM, HEADS, TILE_PX, TOP = 2048, 50, 16, 12
SIZE = (9000, 6200)


class Source:
    """Scores by made-up heads."""

    name = "benchmark"
    notes: tuple[str, ...] = ()

    def __init__(self, root: Location) -> None:
        self.slides = EncoderSlides(root, "e", "t0")
        self._root = root

    def check(self, target: str, patient: str) -> None:
        """Check nothing: all tiles can be scored."""

    def score(self, target: str, patient: str) -> ScoredTiles:
        """Score all tiles."""
        return score_patient(self._root, self.slides.tiles_of(patient), make_heads(target))


def make_heads(target: str) -> TargetHeads:
    """Fifty heads on means."""
    random = np.random.default_rng(1)
    scale = measure_scale(random.normal(size=(100, DIM)))
    nothing = np.zeros(1)
    fits = [
        LinearFit(
            (target,), scale, random.normal(size=(DIM, 1)), nothing, Link.LOGISTIC, nothing, nothing
        )
        for _ in range(HEADS)
    ]
    return gather_heads(target, "benchmark", Link.LOGISTIC, [("mean", fit) for fit in fits])


def fill_store(folder: Path, count: int) -> Location:
    """Draw a slide and store `count` tiles of it with random vectors."""
    path = folder / "S1.svs"
    write_slide(path, SlideDesign(SIZE, 0.5, GLANDULAR, seed=1, tissue_share=0.55))
    tiling = TilingConfig(tile_px=TILE_PX, tissue="none")
    with open_slide(str(path), slide_id="S1") as opened:
        grid: TileGrid = plan_tiles(opened.pyramid, None, tiling)
        level, fingerprint = choose_level(opened.pyramid, 0.5, TILE_PX), opened.fingerprint
    if len(grid) < count:
        raise SystemExit(f"the slide has {len(grid)} tiles, fewer than {count}")
    made = facts_of("S1", "e", "t0", DIM)
    slide = {"path": str(path), "fingerprint": fingerprint, "size_px": SIZE, "mpp": (0.5, 0.5)}
    laid = {
        "side": grid.side, "level": level.level, "settings": tiling.model_dump(mode="json"),
    }  # fmt: skip
    facts = PartitionFacts(
        made.slide.model_copy(update=slide), made.tiling.model_copy(update=laid), made.encoder, "r"
    )
    store = open_store(str(folder / "store"), create=True)
    random = np.random.default_rng(0)

    def rows() -> "list[TileRows]":
        ones = np.ones(count, np.float32)
        vectors = random.standard_normal((count, DIM), np.float32).astype(np.float16)
        return [TileRows(grid.coords[:count], ones, ones, vectors)]

    store.commit(facts.key, facts, rows())
    return store.root


def main() -> None:
    """Print what each step takes."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        root = fill_store(folder, count)
        source = Source(root)
        began = time.perf_counter()
        scored = source.score("EGFR", "P-S1")
        told = {"score": time.perf_counter() - began}
        drawn = draw_score_files(source, scored, "S1", True, TOP, None, draws=True)
        told["draw"] = time.perf_counter() - began - sum(told.values())
        write_files(drawn, location_of(str(folder / "maps")), overwrite=False)
        told["write"] = time.perf_counter() - began - sum(told.values())
        whole = sum(told.values())
        path = folder / "maps/S1.EGFR.geojson"
        began = time.perf_counter()
        mask, _ = read_mask(str(path), SIZE, "S1", ("EGFR high",))
        told["read back as a mask"] = time.perf_counter() - began
        for step, seconds in told.items():
            print(f"{step}: {seconds:.2f} s")
        print(f"{count:,} tiles x {DIM}, {HEADS} heads: {whole:.2f} s to table, pictures, GeoJSON")
        size = path.stat().st_size / 1e6
        print(f"GeoJSON {size:.1f} MB; {mask.tissue_share:.1%} of the slide is of class high")


if __name__ == "__main__":
    main()
