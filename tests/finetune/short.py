"""Settings of a fine-tuning that takes seconds."""

from pathlib import Path
from typing import Any

from histo_ray.finetune.finetune_config import FinetuneConfig

BASE = "random:resnet10t?px=48&seed=1"


def short_config(tiles: Path, store: Path, /, **changes: Any) -> FinetuneConfig:
    """Two epochs of a small network; keywords change the settings."""
    settings: dict[str, Any] = {
        "tiles": str(tiles),
        "encoder": BASE,
        "name": "tuned",
        "store": str(store),
        "set": ("network.epochs=2", "batch_size=16"),
        "device": "cpu",
        "threads": 2,
    }
    return FinetuneConfig(**(settings | changes))
