"""How a patient's tissue looks: the hidden state, blended into a `TissueLook`, and the stain. Pure.

What the state does not decide is drawn without it: fat, fibrosis, and how much of which stain the
laboratory gave, which differs between sites and a little between slides.
"""

from dataclasses import replace

import numpy as np

from histo_ray.synth.noise import Numbers
from histo_ray.synth.states import SITES
from histo_ray.synth.tissue_looks import GLANDULAR, SOLID, TissueLook

_ARCHITECTURE = (
    "gland_spacing_um", "epithelium_um", "lumen_fraction", "mucin", "nuclear_size_um",
    "nuclear_density", "pleomorphism", "vesicular",
)  # fmt: skip
"""What goes from solid to glandular with the differentiation."""
_SPACING = 0.8
"""Glands lie closer than in the looks that are blended: a small slide has to hold some."""
_PATCH_UM = 45.0
"""Crowds of lymphocytes are small, so that a small slide holds its patient's share of them."""
_STAIN_LEAST = np.array([0.85, 0.80, 0.0, 0.0])
"""Haematoxylin, eosin, and the tint of each."""
_STAIN_MOST = np.array([1.20, 1.20, 0.8, 0.6])
_STAIN_OF_SLIDE = np.array([0.07, 0.07, 0.10, 0.10])
"""Standard deviation between slides of one site."""


def portray(inflammation: float, differentiation: float, rng: np.random.Generator) -> TissueLook:
    """A patient's tissue, before staining.

    Args:
        inflammation: 0..1; crowds of lymphocytes take the place of glands.
        differentiation: 0..1, from solid nests to glands.
        rng: For what the state does not decide.
    """
    blended = {
        name: getattr(SOLID, name)
        + differentiation * (getattr(GLANDULAR, name) - getattr(SOLID, name))
        for name in _ARCHITECTURE
    }
    blended["gland_spacing_um"] *= _SPACING
    fat, fibrosis = rng.uniform(0, 1, 2)
    return TissueLook(
        name="patient",
        gland_fraction=0.95 - 0.25 * inflammation,
        lymphocyte_fraction=0.02 + 0.8 * inflammation,
        lymphocyte_patch_um=_PATCH_UM,
        adipose_fraction=0.08 * fat**2,
        fibrosis=0.25 + 0.6 * fibrosis,
        **blended,
    )


def stain_slide(look: TissueLook, site: str, seed: int, rng: np.random.Generator) -> TissueLook:
    """`look` as `site` stains it.

    Args:
        look: The tissue.
        site: One of `SITES`.
        seed: Seed of the sites' stains.
        rng: For this slide's own shift.
    """
    haematoxylin, eosin, haematoxylin_tint, eosin_tint = _draw_stain(site, seed, rng).tolist()
    return replace(
        look,
        haematoxylin=haematoxylin,
        eosin=eosin,
        haematoxylin_tint=haematoxylin_tint,
        eosin_tint=eosin_tint,
    )


def _draw_stain(site: str, seed: int, rng: np.random.Generator) -> Numbers:
    """(4,) the amounts of both stains and their tints."""
    # Each site has a step of the range for itself, so that sites differ with every seed.
    steps = np.tile(np.arange(len(SITES)), (len(_STAIN_LEAST), 1))
    steps = np.random.default_rng([seed, 23]).permuted(steps, axis=1)
    middle = (steps[:, SITES.index(site)] + 0.5) / len(SITES)
    amounts: Numbers = _STAIN_LEAST + middle * (_STAIN_MOST - _STAIN_LEAST)
    amounts += rng.normal(0, _STAIN_OF_SLIDE)
    amounts[2:] = np.clip(amounts[2:], 0, 1)
    return amounts
