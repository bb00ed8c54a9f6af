"""LazySlide: tissue, tiles, features, and its store as Zarr."""

from collections.abc import Callable

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

    def run() -> int:
        wsi = open_wsi(str(job.slide), store=str(job.out / "A.zarr"))
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
        wsi.write(str(job.out / "A.zarr"))
        return len(wsi.shapes["tiles"])

    return run


if __name__ == "__main__":
    drive("lazyslide", load)
