"""A GPU whose memory is full is one line that names the key to lower."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from histo_ray.errors import ConfigError
from histo_ray.finetune import finetune_run
from histo_ray.finetune.finetune_config import FinetuneConfig
from histo_ray.finetune.finetune_run import finetune


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (("batch_size=16",), r"with batch_size=16 on 1 worker and tiles of 48 px.*"
                             r"--set batch_size=8 "),
        (("batch_size=1", "train_px=64"), r"tiles of 64 px.*--set train_px=32 "),
    ],
)  # fmt: skip
def test_a_full_gpu_is_one_line_with_the_remedy(
    make_config: Callable[..., FinetuneConfig],
    monkeypatch: pytest.MonkeyPatch,
    changes: tuple[str, ...],
    says: str,
) -> None:
    def fail(*_: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate 2 GiB")

    monkeypatch.setattr(finetune_run, "train", fail)
    with pytest.raises(ConfigError, match=says) as caught:
        finetune(make_config(set=changes))
    assert "\n" not in str(caught.value)
    assert "out of GPU memory" in str(caught.value)
