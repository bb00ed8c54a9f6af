"""An encoder that costs nothing: it looks at 64 px of a tile, as that of `peers.drive` does.

A run whose encoder is `FREE` is the product's own in all else: `one_run` has Ray start this worker
in place of `EncoderWorker`.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any
from unittest.mock import patch

import numpy as np
import numpy.typing as npt

from histo_ray.cluster import pool
from histo_ray.cluster.actors import EncoderWorker
from histo_ray.extract.batch_ladder import BatchLadder
from histo_ray.types import EncoderFacts

FREE = "random:test_resnet?seed=0&px=224&name=free"
"""What receipts are made of: some network that loads fast. It never sees a tile."""
STEP = 28
DIM = (224 // STEP) ** 2 * 3


class FreeEncoder:
    """As much of an encoder as a worker asks for."""

    fixed_tiles, dim, device_s, device = 1, DIM, 0.0, "cpu"

    def encode(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """(B, 224, 224, 3) to (B, 192)."""
        return pixels[:, ::STEP, ::STEP].reshape(len(pixels), DIM).astype(np.float32)


class FreeEncoderWorker(EncoderWorker):
    """A worker whose encoders are free."""

    def load(self) -> list[EncoderFacts]:
        """As the product does it; then the networks are let go."""
        facts = super().load()
        free: Any = FreeEncoder()
        self._encoders = {about.name: BatchLadder(free) for about in facts}
        return [about.model_copy(update={"dim": DIM}) for about in facts]


def workers_for(encoders: Sequence[str]) -> AbstractContextManager[object]:
    """Have runs inside this block start such workers, if that is the encoder."""
    if list(encoders) == [FREE]:
        return patch.object(pool, "EncoderWorker", FreeEncoderWorker)
    return nullcontext()
