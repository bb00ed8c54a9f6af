"""slide2vec: its pipeline, from slide to vectors on disk, in one call."""

from collections.abc import Callable
from typing import Any

from benchmarks.peers.drive import BATCH, MPP, TILE_PX, Job, build_network, drive

DIMS = {"free": 192, "resnet18": 512}
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def load(job: Job) -> Callable[[], int]:
    """The network is registered the way that its own encoders are."""
    import slide2vec as s2v
    import torch

    dim = DIMS[job.network]

    @s2v.register_encoder(
        "benchmark",
        encode_dim=dim,
        input_size=TILE_PX,
        supports_variable_input_size=False,
        supported_spacing_um=MPP,
        precision="fp32",
    )
    class Benchmark(s2v.TorchTileEncoder):
        """The benchmark's network."""

        def __init__(self, *, output_variant: str | None = None, **_: Any) -> None:
            super().__init__(
                build_network(job.network),
                encode_dim=dim,
                input_size=TILE_PX,
                mean=MEAN,
                std=STD,
                output_variant=output_variant,
            )

    model = s2v.Model.from_preset("benchmark", device="cpu")
    execution = s2v.ExecutionOptions(
        output_dir=job.out,
        batch_size=BATCH,
        num_gpus=1,
        num_workers_per_gpu=job.workers,
        num_preprocessing_workers=job.threads,
        precision="fp32",
    )
    pipeline = s2v.Pipeline(model, s2v.PreprocessingConfig(), execution=execution)

    def run() -> int:
        pipeline.run(slides=list(job.slides))
        paths = list(job.out.rglob("tile_embeddings/*.pt"))
        return sum(len(_rows(torch.load(path, weights_only=False))) for path in paths)

    return run


def _rows(loaded: Any) -> Any:
    return loaded["features"] if isinstance(loaded, dict) else loaded


if __name__ == "__main__":
    drive("slide2vec", load)
