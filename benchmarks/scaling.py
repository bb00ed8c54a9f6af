"""The table of `docs/scaling.md`: `python -m benchmarks.scaling` prints it.

Arithmetic, not a measurement: rates below are measured, with their source, or marked as assumed.
"""

from typing import NamedTuple

TILES, DIM = 10_000, 2_048
"""Assumed: tiles a slide, length of a vector (float16)."""
READ_CORE = 440.0
"""Tiles/s a core, measured: direct reader, 0.25 mpp, RGB JPEG (docs/benchmarks.md, Reading)."""
OPENSLIDE_CORE = 130.0
"""The same slide through OpenSlide, measured."""
ENCODE_CPU_CORE = 13.8 / 2
"""Tiles/s a core, measured: whole run, Xception (docs/benchmarks.md, Extraction)."""
ENCODE_GPU = 1_000.0
"""ASSUMED tiles/s of one GPU: no GPU was measured."""
SLIDE_MB = 0.112 * TILES
"""MB read of a slide: 4.0 tiles of the file of 28 kB each for a tile (docs/benchmarks.md)."""
ROW_BYTES = 2 * DIM + 24
BLOCK_MB = 1.05
"""Fetched by one request of the remote reader."""
LIST_PAGE = 1_000
"""Names that an object store lists in one response."""
COUNTS = (1_000, 10_000, 1_000_000)
GPUS = {1_000: 1, 10_000: 8, 1_000_000: 64}


class Cost(NamedTuple):
    """Cost of extracting some slides with one encoder."""

    slides: int

    @property
    def rows(self) -> dict[str, float]:
        """What it takes."""
        tiles, gpus = self.slides * TILES, GPUS[self.slides]
        read_h = tiles / READ_CORE / 3600
        gpu_h = tiles / ENCODE_GPU / 3600
        stored = tiles * ROW_BYTES
        return {
            "tiles": tiles,
            "core hours of reading, direct": read_h,
            "core hours of reading, OpenSlide": tiles / OPENSLIDE_CORE / 3600,
            "GPU hours (assumed rate)": gpu_h,
            "GPUs": gpus,
            "reader cores that keep them busy": gpus * ENCODE_GPU / READ_CORE,
            "hours": gpu_h / gpus,
            "core hours without a GPU, Xception": tiles / ENCODE_CPU_CORE / 3600,
            "TB read from slides": self.slides * SLIDE_MB / 1e6,
            "TB stored": stored / 1e12,
            "GET requests, slides in an object store": self.slides * SLIDE_MB / BLOCK_MB,
            "requests of one listing": -(-self.slides // LIST_PAGE),
        }


def main() -> None:
    """Print the table as Markdown."""
    costs = [Cost(count) for count in COUNTS]
    print("| slides |", " | ".join(f"{cost.slides:,}" for cost in costs), "|")
    print("|---" * (len(costs) + 1) + "|")
    for name in costs[0].rows:
        print(f"| {name} |", " | ".join(_write(cost.rows[name]) for cost in costs), "|")


def _write(value: float) -> str:
    """Three digits; whole where it is large."""
    if value >= 1e9:
        return f"{value:.2g}".replace("e+", " x 10^").replace("^0", "^")
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


if __name__ == "__main__":
    main()
