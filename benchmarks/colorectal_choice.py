"""Which settings of fine-tuning and of the probe: chosen on groups held out of the training tiles.

A fifth of the training tiles, whole inferred groups of them, is held out of one fine-tuning a
candidate. Their accuracy decides, in turn, on stain swap, on the share of the tuned weights
(WiSE-FT) with scaling and penalty of the probe, and on averaged orientations. Test tiles are not
touched.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import safetensors.torch

from benchmarks.grouped_probe import Floats, Groups, ProbeSettings, best_of, score_probes
from histo_ray.encoders.registry import resolve
from histo_ray.encoders.timm_network import build_network
from histo_ray.finetune.wise_ft import interpolate
from histo_ray.store.models import HEAD_PREFIX, WEIGHTS_FILE
from histo_ray.tilesets.split import hold_out
from histo_ray.tilesets.tileset import TileSet

SWAPS = {"plain": ("augment.stain_swap=0.0",), "swap": ("augment.stain_swap=0.5",)}
"""Candidates of the recipe."""
ALPHAS = (0.4, 0.6, 0.8, 1.0)
"""Shares of the tuned weights."""
HELD_OUT = 0.2

Encode = Callable[[str, str], Floats]
"""Embeddings of the training tiles: a name to keep them under, and an encoder request."""


class Choice(NamedTuple):
    """Settings for the runs on all training tiles."""

    swap: str
    """Key of `SWAPS`."""
    alpha: float
    rotations: int | None
    probe: ProbeSettings
    accuracies: dict[str, float]
    """Held-out accuracy of all that was tried, by name."""

    @property
    def changes(self) -> tuple[str, ...]:
        """Changes of the recipe."""
        return (*SWAPS[self.swap], f"network.wise_ft=[{self.alpha}]")


def hold_out_groups(train: TileSet, groups: Groups) -> tuple[Groups, Groups]:
    """Rows to train on and rows held out, of other groups."""
    grouped = replace(train, groups=tuple(map(str, groups.tolist())))
    return hold_out(grouped, HELD_OUT, seed=0)


def mix_weights(base: str, tuned: Path, alpha: float, path: Path) -> None:
    """Write the weights between an encoder and what was fine-tuned from it, without a head.

    Args:
        base: Request of the encoder.
        tuned: Weights that fine-tuning has published.
        alpha: Share of the tuned weights.
        path: Of the new file.
    """
    if path.is_file():
        return
    network, _ = build_network(resolve(base))
    content = safetensors.torch.load_file(tuned)
    after = {k: v for k, v in content.items() if not k.startswith(HEAD_PREFIX)}
    mixed = interpolate(network.state_dict(), after, alpha)
    fresh = path.with_suffix(".new")
    safetensors.torch.save_file({k: v.contiguous() for k, v in mixed.items()}, fresh)
    fresh.replace(path)


def choose(
    store: Path,
    base: str,
    shape: str,
    train: TileSet,
    split: tuple[Groups, Groups],
    swaps: Sequence[str],
    encode: Encode,
) -> Choice:
    """Choose by the accuracy on held-out groups.

    Args:
        store: With an encoder `choice-<swap>`, fine-tuned on the training part of `split`.
        base: Request of the base encoder.
        shape: Its keys beside `arch`.
        train: All training tiles.
        split: From `hold_out_groups`.
        swaps: Keys of `SWAPS` that were trained.
        encode: Embeds all training tiles.
    """
    accuracies: dict[str, float] = {}
    best, found = -1.0, None
    for swap in swaps:
        for alpha in ALPHAS:
            name = f"choice-{swap}-{alpha:g}"
            path = store.parent / f"{name}.safetensors"
            mix_weights(base, store / "models" / f"choice-{swap}" / WEIGHTS_FILE, alpha, path)
            request = f"{path}?arch=mobilenetv2_100&{shape}"
            scores = score_probes(encode(name, request), train.labels, [split])
            probe = best_of(scores)
            accuracies[name] = scores[probe]
            if scores[probe] > best:
                best, found = scores[probe], (swap, alpha, probe, request)
    if found is None:
        raise ValueError("no candidate was trained")
    swap, alpha, probe, request = found
    turned = encode(f"choice-{swap}-{alpha:g}-r4", f"{request}&rotations=4")
    scores = score_probes(turned, train.labels, [split])
    averaged = best_of(scores)
    accuracies[f"choice-{swap}-{alpha:g}-rotations4"] = scores[averaged]
    if scores[averaged] > best:
        return Choice(swap, alpha, 4, averaged, accuracies)
    return Choice(swap, alpha, None, probe, accuracies)


def load_groups(path: Path, infer: Callable[[], Groups]) -> Groups:
    """Groups from their file, inferred and kept there if they are new."""
    if not path.is_file():
        np.save(path, infer())
    kept: Groups = np.load(path)
    return kept
