"""LazySlide: tissue, tiles, features, and its store as Zarr."""

from collections.abc import Callable
from pathlib import Path

from benchmarks.peers.drive import BATCH, MPP, TILE_PX, Job, build_network, drive


def load(job: Job) -> Callable[[], int]:
    """Its three calls, with a plain callable as the model and its own default transform."""
    import lazyslide as zs
    import torch
    from lazyslide_models.base import get_default_transform
    from wsidata import open_wsi

    network = build_network(job.network)
    transform = get_default_transform((TILE_PX, TILE_PX))

    def encode(tiles: torch.Tensor) -> torch.Tensor:
        vectors: torch.Tensor = network(tiles)
        return vectors

    def run_one(slide: Path) -> int:
        place = str(job.out / f"{slide.stem}.zarr")
        wsi = open_wsi(str(slide), store=place)
        zs.pp.find_tissues(wsi)
        zs.pp.tile_tissues(wsi, TILE_PX, mpp=MPP)
        zs.tl.feature_extraction(
            wsi,
            encode,
            transform=transform,
            device="cpu",
            batch_size=BATCH,
            num_workers=job.workers,
            pbar=False,
            key_added="vectors",
        )
        wsi.write(place)
        return len(wsi.shapes["tiles"])

    def run() -> int:
        return sum(run_one(slide) for slide in job.slides)

    return run


if __name__ == "__main__":
    drive("lazyslide", load)
