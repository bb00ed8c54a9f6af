"""One way to encode, in a process of its own: `python -m benchmarks.encode_worker WAY REQUEST B`.

Each line on stdin gets one JSON line: seconds and CPU seconds of one pass over B tiles.
"""

import json
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Vectors = npt.NDArray[np.float32]
Encode = Callable[[Pixels], Vectors]


def load_eager(request: str) -> tuple[Encode, int]:
    """As most programs do it: timm's network as it comes.

    Tiles lie plane by plane, as torchvision's ToTensor and a DataLoader lay them; a mere view of
    HWC pixels would make the network channels-last.
    """
    import torch

    from histo_ray.encoders.registry import resolve
    from histo_ray.encoders.timm_network import build_network

    network, spec = build_network(resolve(request))
    network.eval()
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (spec.mean, spec.std))

    def encode(pixels: Pixels) -> Vectors:
        with torch.inference_mode():
            planes = torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous()
            tiles = planes.float().div(255)
            vectors: Vectors = network(tiles.sub(mean).div(std)).numpy()
        return vectors

    return encode, int(spec.input_px or 224)


def load_ours(request: str, **settings: Any) -> tuple[Encode, int]:
    """As this library's encoder processes do it."""
    from histo_ray.encoders.registry import resolve
    from histo_ray.encoders.torch_encoder import load_encoder

    encoder = load_encoder(resolve(request), device="cpu", **settings)
    return encoder.encode, int(encoder.spec.input_px or 224)


WAYS: dict[str, Callable[[str], tuple[Encode, int]]] = {
    "eager": load_eager,
    "torch": load_ours,
    "openvino": partial(load_ours, engine="openvino"),
    "torch bfloat16": partial(load_ours, precision="bfloat16"),
    "openvino bfloat16": partial(load_ours, engine="openvino", precision="bfloat16"),
}


def main() -> None:
    """Answer until stdin ends. The first line holds a few vectors for comparison."""
    way, request, count = sys.argv[1:]
    encode, side = WAYS[way](request)
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (int(count), side // 8 + 1, side // 8 + 1, 3), dtype=np.uint8)
    pixels = np.ascontiguousarray(coarse.repeat(8, 1).repeat(8, 2)[:, :side, :side])
    send({"vectors": encode(pixels)[:4].astype(float).tolist()})
    for _ in sys.stdin:
        began, cpu = time.perf_counter(), time.process_time()
        encode(pixels)
        send({"s": time.perf_counter() - began, "cpu_s": time.process_time() - cpu})


def send(result: dict[str, Any]) -> None:
    """One line on stdout."""
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
