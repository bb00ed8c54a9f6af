"""Files of torch tensors, read without running anything that they hold. The store's door to torch.

torch is imported at the first such file: other layouts do without.
"""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from histo_ray.deferred import deferred

_load = deferred("torch:load")
_save = deferred("torch:save")
_from_numpy = deferred("torch:from_numpy")
_is_tensor = deferred("torch:is_tensor")


def read_tensor(path: Path) -> npt.NDArray[np.generic]:
    """The tensor in a `.pt` file as an array, mapped where the file allows it.

    `weights_only=True`: the unpickler knows tensors and plain containers and nothing else.
    bfloat16, which NumPy does not have, becomes float32, which holds the same numbers.

    Raises:
        ValueError: It holds something else.
        pickle.UnpicklingError, RuntimeError, EOFError, OSError: It is damaged or not a tensor file.
    """
    try:
        loaded: Any = _load(path, map_location="cpu", weights_only=True, mmap=True)
    except RuntimeError:  # written before torch 1.6: a file that cannot be mapped
        loaded = _load(path, map_location="cpu", weights_only=True)
    if not _is_tensor(loaded):
        raise ValueError(f"{path.name} holds a {type(loaded).__name__}, not a tensor")
    tensor = loaded.detach()
    if str(tensor.dtype) == "torch.bfloat16":
        tensor = tensor.float()
    array: npt.NDArray[np.generic] = tensor.numpy()
    return array


def write_tensor(path: Path, values: npt.NDArray[np.generic]) -> None:
    """Write an array as torch's own file, which CLAM reads with `torch.load`."""
    _save(_from_numpy(values), path)
