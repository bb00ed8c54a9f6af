"""Stain normalisation: Macenko et al. (ISBI 2009) and Reinhard et al. (2001). Pure.

A fit is made once, from some pixels of a slide, and then applied to all of its tiles. Pixels that
hold too little stain give a fit that says so and changes nothing.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

StainMethod = Literal["none", "macenko", "reinhard"]
Rgb = tuple[float, float, float]
Pixels = npt.NDArray[np.uint8]

LIGHT = 240.0
"""Light that comes through an empty slide, as in the usual implementations of Macenko."""
LEAST_DENSITY = 0.15
"""Optical density (natural logarithm) of every channel of a pixel that counts as stained."""
ANGLE_PERCENTILE = 1.0
AMOUNT_PERCENTILE = 99.0
LEAST_STAINED = 200
"""Stained pixels below which nothing is fitted."""
LEAST_STAINED_SHARE = 0.005
LEAST_ANGLE_DEG = 3.0
"""Least angle between the two stains; below it they cannot be distinguished."""
LEAST_AMOUNT = 0.05
LEAST_DEVIATION = 0.5
"""Least standard deviation of CIELAB L (0 to 100), a or b; less is a picture of one colour."""

_DENSITY = -np.log((np.arange(256) + 1.0) / LIGHT)
"""Optical density of each grey level."""
_DENSITY32 = _DENSITY.astype(np.float32)
_XYZ_OF_RGB = np.array(
    [[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]]
)
_WHITE_XYZ = np.array([0.95047, 1.0, 1.08883])
_LINEAR_TO_RATIO = (_XYZ_OF_RGB / _WHITE_XYZ[:, None]).T.astype(np.float32)
"""From linear RGB to XYZ relative to white (D65), by rows."""
_LAB_TO_LINEAR = (np.linalg.inv(_XYZ_OF_RGB) * _WHITE_XYZ).T.astype(np.float32)
"""And back."""


@dataclass(frozen=True)
class MacenkoFit:
    """The two stains of some pixels."""

    haematoxylin: Rgb
    """Unit vector of optical density, (R, G, B)."""
    eosin: Rgb
    amounts: tuple[float, float]
    """99th percentile of the amount of each stain."""
    problem: str = ""
    """Why nothing could be fitted; pixels are then left as they are. Empty if it could."""


@dataclass(frozen=True)
class ReinhardFit:
    """The colours of some pixels."""

    mean: Rgb
    """Standard deviation of CIELAB L (0 to 100), a and b."""
    std: Rgb
    """The same; ddof 0."""
    problem: str = ""
    """Why nothing could be fitted; pixels are then left as they are. Empty if it could."""


StainFit = MacenkoFit | ReinhardFit

MACENKO_TARGET = MacenkoFit((0.5626, 0.7201, 0.4062), (0.2159, 0.8012, 0.5581), (1.9705, 1.0308))
"""The reference of Macenko's usual implementations (HEnorm, torchstain)."""
REINHARD_TARGET = ReinhardFit((51.63, 36.69, -20.37), (14.67, 13.83, 17.75))
"""`fit_reinhard` of 58 tiles of nine tissues, taken together, of NCT-CRC-HE-100K and
CRC-VAL-HE-7K (Kather et al., CC BY 4.0)."""


def fit_stain(pixels: Pixels, method: Literal["macenko", "reinhard"]) -> StainFit:
    """Fit by the method of that name; see `fit_macenko` and `fit_reinhard`."""
    return fit_macenko(pixels) if method == "macenko" else fit_reinhard(pixels)


def normalise(pixels: Pixels, fit: StainFit, target: StainFit | None = None) -> Pixels:
    """Give pixels the stain of a target.

    Args:
        pixels: (..., 3) uint8 RGB.
        fit: Fit to the slide or tile that the pixels are from.
        target: A fit by the same method (default: the module's fixed reference).

    Returns:
        (..., 3) uint8; `pixels` itself where `fit` says that nothing could be fitted.

    Raises:
        ValueError: `fit` and `target` are of different methods, or `target` has a problem.
    """
    if target is None:
        target = MACENKO_TARGET if isinstance(fit, MacenkoFit) else REINHARD_TARGET
    if target.problem:
        raise ValueError(
            f"target {target} cannot be used: it must be a {type(fit).__name__} without a problem"
        )
    if isinstance(fit, MacenkoFit) and isinstance(target, MacenkoFit):
        return pixels if fit.problem else _normalise_macenko(pixels, fit, target)
    if isinstance(fit, ReinhardFit) and isinstance(target, ReinhardFit):
        return pixels if fit.problem else _normalise_reinhard(pixels, fit, target)
    raise ValueError(
        f"target {target} cannot be used: it must be a {type(fit).__name__} without a problem"
    )


def fit_macenko(pixels: Pixels) -> MacenkoFit:
    """Find the two stains by the extreme angles in the plane of greatest variance.

    Macenko et al., "A method for normalizing histology slides for quantitative analysis", ISBI
    2009; percentiles, threshold and light as in torchstain 1.4.

    Args:
        pixels: (..., 3) uint8 RGB, of one tile or of several.
    """
    density = _DENSITY[pixels.reshape(-1, 3)]
    stained = density[(density >= LEAST_DENSITY).all(axis=1)]
    problem = _describe_few(len(stained), len(density))
    if problem:
        return MacenkoFit((0.0, 0.0, 0.0), (0.0, 0.0, 0.0), (0.0, 0.0), problem)
    plane = np.linalg.eigh(np.cov(stained.T))[1][:, 1:]
    along = stained @ plane
    angles = np.arctan2(along[:, 1], along[:, 0])
    ends = np.percentile(angles, [ANGLE_PERCENTILE, 100 - ANGLE_PERCENTILE])
    first, second = (plane @ np.array([np.cos(end), np.sin(end)]) for end in ends)
    if first[0] <= second[0]:  # haematoxylin takes more of the red light
        first, second = second, first
    apart = np.degrees(np.arccos(np.clip(abs(first @ second), 0, 1)))
    amounts = np.zeros(2)
    if apart >= LEAST_ANGLE_DEG:
        unmix = np.linalg.pinv(np.stack([first, second]))
        amounts = np.percentile(density @ unmix, AMOUNT_PERCENTILE, axis=0)
    else:
        problem = (
            f"only one stain: the two found are {apart:.1f} degrees apart, at least "
            f"{LEAST_ANGLE_DEG:g} are needed"
        )
    if not problem and amounts.min() < LEAST_AMOUNT:
        problem = f"almost none of one stain: {amounts.min():.3f}, below {LEAST_AMOUNT:g}"
    return MacenkoFit(
        _triple(first), _triple(second), (amounts[0].item(), amounts[1].item()), problem
    )


def fit_reinhard(pixels: Pixels) -> ReinhardFit:
    """Mean and deviation of each CIELAB channel over the stained pixels.

    Reinhard et al., "Color transfer between images", IEEE CG&A 2001, in CIELAB as in StainTools
    and torchstain 1.4. As HistomicsTK can, it leaves out the background, whose share of a tile
    would else decide its colours.

    Args:
        pixels: (..., 3) uint8 RGB, of one tile or of several.
    """
    flat = pixels.reshape(-1, 3)
    stained = flat[_find_stained(flat)]
    problem = _describe_few(len(stained), len(flat))
    if problem:
        return ReinhardFit((0.0, 0.0, 0.0), (0.0, 0.0, 0.0), problem)
    lab = _to_lab(stained)
    mean, std = lab.mean(axis=0, dtype=np.float64), lab.std(axis=0, dtype=np.float64)
    if std.min() < LEAST_DEVIATION:
        problem = f"stained pixels of one colour (deviation {std.min():.3f} of L, a or b)"
    return ReinhardFit(_triple(mean), _triple(std), problem)


def _normalise_macenko(pixels: Pixels, fit: MacenkoFit, target: MacenkoFit) -> Pixels:
    """Unmixing, scaling and mixing anew are one 3 x 3 matrix on optical densities."""
    unmix = np.linalg.pinv(np.array([fit.haematoxylin, fit.eosin]))
    scale = np.array(target.amounts) / np.array(fit.amounts)
    matrix = (unmix * scale) @ np.array([target.haematoxylin, target.eosin])
    density = _DENSITY32[pixels] @ matrix.astype(np.float32)
    light = np.float32(LIGHT) * np.exp(np.minimum(-density, 1.0))
    done: Pixels = np.minimum(np.round(light), 255).astype(np.uint8)
    return done


def _normalise_reinhard(pixels: Pixels, fit: ReinhardFit, target: ReinhardFit) -> Pixels:
    """What is not stained stays as it is."""
    flat = pixels.reshape(-1, 3)
    stained = _find_stained(flat)
    gain = np.array(target.std) / np.array(fit.std)
    shift = np.array(target.mean) - np.array(fit.mean) * gain
    lab = _to_lab(flat[stained]) * gain.astype(np.float32) + shift.astype(np.float32)
    done = flat.copy()
    done[stained] = _from_lab(lab)
    return done.reshape(pixels.shape)


def _to_lab(flat: Pixels) -> npt.NDArray[np.float32]:
    """(n, 3) CIELAB (D65; L 0 to 100) of (n, 3) sRGB."""
    ratio = _LINEAR[flat] @ _LINEAR_TO_RATIO
    root = np.where(ratio > 0.008856, np.cbrt(ratio), 7.787 * ratio + np.float32(16 / 116))
    x, y, z = root.T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)


def _from_lab(lab: npt.NDArray[np.float32]) -> Pixels:
    """(n, 3) sRGB of (n, 3) CIELAB; colours outside of sRGB are cut channel by channel."""
    y = (lab[:, 0] + 16) / 116
    ratio = np.stack([y + lab[:, 1] / 500, y, y - lab[:, 2] / 200], axis=1)
    linear = np.where(ratio > 0.2068966, ratio**3, (ratio - 16 / 116) / 7.787) @ _LAB_TO_LINEAR
    steps = np.round(np.clip(linear, 0, 1) * (len(_GAMMA) - 1)).astype(np.uint16)
    levels: Pixels = _GAMMA[steps]
    return levels


def _gamma_table() -> Pixels:
    """(65536,) sRGB level of each amount of light (IEC 61966-2-1)."""
    light = np.linspace(0, 1, 65536)
    curve = np.where(light > 0.0031308, 1.055 * light ** (1 / 2.4) - 0.055, 12.92 * light)
    levels: Pixels = np.round(curve * 255).astype(np.uint8)
    return levels


def _find_stained(flat: Pixels) -> npt.NDArray[np.bool_]:
    """(n,) bool: pixels whose mean optical density is that of tissue."""
    stained: npt.NDArray[np.bool_] = _DENSITY32[flat].mean(axis=1) >= LEAST_DENSITY
    return stained


def _linear_table() -> npt.NDArray[np.float32]:
    """(256,) amount of light of each sRGB level: the inverse of `_gamma_table`."""
    level = np.arange(256) / 255
    light = np.where(level > 0.04045, ((level + 0.055) / 1.055) ** 2.4, level / 12.92)
    return light.astype(np.float32)


_GAMMA = _gamma_table()
_LINEAR = _linear_table()


def _describe_few(stained: int, total: int) -> str:
    needed = max(LEAST_STAINED, int(np.ceil(LEAST_STAINED_SHARE * total)))
    if stained >= needed:
        return ""
    return f"{stained} of {total} pixels are stained, at least {needed} are needed"


def _triple(values: npt.NDArray[np.floating[npt.NBitBase]]) -> Rgb:
    a, b, c = (float(value) for value in values)
    return a, b, c
