"""Memory for the pixels of blocks, which a process that reads one after the other uses again.

Fresh memory of this size is handed out by the kernel page by page, filled with zeros first, which
took a reader a sixth of its time (docs/benchmarks.md, Extraction).
"""

import math
import sys

import numpy as np
import numpy.typing as npt

_OWN_REFERENCES = 2
"""That of the object, and that of the question how many there are."""


class BlockMemory:
    """Memory of the largest block so far."""

    def __init__(self) -> None:
        self._bytes = np.empty(0, np.uint8)

    def take(self, shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
        """Array of this shape with whatever is in it.

        It is the memory of the last one if neither that nor a view of it is held any more.
        """
        size = math.prod(shape)
        if self._bytes.size < size or sys.getrefcount(self._bytes) > _OWN_REFERENCES:
            self._bytes = np.empty(size, np.uint8)
        return self._bytes[:size].reshape(shape)
