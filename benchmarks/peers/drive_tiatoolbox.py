"""TIAToolbox: `DeepFeatureExtractor` with its own tissue mask, vectors as Zarr."""

from collections.abc import Callable
from typing import Any

from benchmarks.peers.drive import BATCH, MPP, TILE_PX, Job, build_network, drive


def load(job: Job) -> Callable[[], int]:
    """The engine with the network inside its own wrapper of a backbone."""
    import zarr
    from tiatoolbox.models.architecture.vanilla import CNNBackbone
    from tiatoolbox.models.engine.deep_feature_extractor import DeepFeatureExtractor

    class Backbone(CNNBackbone):
        """Theirs, with our network in place of its own."""

        def __init__(self) -> None:
            super().__init__("alexnet")
            self.feat_extract = build_network(job.network)

        def forward(self, imgs: Any) -> Any:
            return self.feat_extract(imgs)

        @staticmethod
        def preproc(image: Any) -> Any:
            """To 0..1, which the backbone expects of whoever feeds it."""
            return image / 255.0

    engine = DeepFeatureExtractor(
        model=Backbone(), batch_size=BATCH, num_workers=job.workers, device="cpu", verbose=False
    )

    def run() -> int:
        where = engine.run(
            images=list(job.slides),
            patch_mode=False,
            input_resolutions=[{"units": "mpp", "resolution": MPP}],
            patch_input_shape=(TILE_PX, TILE_PX),
            stride_shape=(TILE_PX, TILE_PX),
            save_dir=job.out / "vectors",
            output_type="zarr",
            auto_get_mask=True,
        )
        groups = [zarr.open(str(path), mode="r") for path in where.values()]
        return sum(int(group["coordinates"].shape[0]) for group in groups)

    return run


if __name__ == "__main__":
    drive("tiatoolbox", load)
