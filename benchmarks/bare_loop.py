"""A bare loop that only encodes ready batches: the bound that a whole run is held against.

Run as a process of its own, so that its threads and memory are its own:
`python -m benchmarks.bare_loop ENCODER BATCH BATCHES THREADS` prints JSON.
"""

import json
import sys
import time

import numpy as np

from histo_ray.encoders.registry import resolve
from histo_ray.encoders.torch_encoder import load_encoder


def main() -> None:
    """Encode the same batch again and again; print images/s and CPU seconds an image."""
    request, batch, batches, threads = sys.argv[1], *(int(text) for text in sys.argv[2:5])
    encoder = load_encoder(resolve(request), device="cpu", threads=threads)
    pixels = np.random.default_rng(0).integers(0, 256, (batch, 224, 224, 3), np.uint8)
    encoder.encode(pixels)
    began, cpu = time.perf_counter(), time.process_time()
    for _ in range(batches):
        encoder.encode(pixels)
    images = batch * batches
    print(
        json.dumps(
            {
                "images_per_s": images / (time.perf_counter() - began),
                "cpu_s_per_image": (time.process_time() - cpu) / images,
            }
        )
    )


if __name__ == "__main__":
    main()
