"""Paints H&E-like tissue at any resolution. Pure.

The tissue is defined in microns, so the same seed shows the same tissue at every mpp.
"""

import cv2
import numpy as np
import numpy.typing as npt

from histo_ray.synth.anatomy import STEP_UM, Anatomy, lay_anatomy
from histo_ray.synth.noise import Field, Window, smooth_noise
from histo_ray.synth.nuclei import LARGEST_UM, draw_nuclei, place_nuclei
from histo_ray.synth.stain_mixing import mix_stains, stain_matrix
from histo_ray.synth.tissue_looks import TissueLook

_CLOUD, _CYTOPLASM, _VACUOLES, _CHROMATIN, _THICKNESS, _FRAY, _GRAIN, _CLEFT = range(60, 68)
_TABLE_STEPS = 8
_TABLE_LENGTH = 4096  # a power of two: indices wrap by a bit mask


def paint_tissue(look: TissueLook, seed: int, window: Window) -> Field:
    """Paint unbounded tissue as a scanner with `window.step` mpp would see it.

    Args:
        look: How the tissue looks.
        seed: Which tissue it is.
        window: The picture; positions in microns.

    Returns:
        (height, width, 3) float32 RGB, 0..255.
    """
    coarse = _coarse_window(window)
    anatomy = lay_anatomy(look, seed, coarse)
    nuclei = place_nuclei(look, seed, anatomy)
    irregular = min(1.0, 3 * look.pleomorphism)
    dark, covered = draw_nuclei(nuclei, irregular, window)
    haematoxylin, eosin = _background_stains(look, seed, anatomy, window)
    chromatin = smooth_noise(window, 1.1, seed, _CHROMATIN)
    nuclear = dark * (0.92 + 0.09 * chromatin) * np.float32(0.98 * look.haematoxylin)
    haematoxylin = haematoxylin * (1 - covered) + nuclear
    eosin = eosin * (1 - 0.45 * covered)
    # Neighbouring fields of a real section differ in thickness, which scales both stains.
    thickness = 1 + 0.06 * smooth_noise(window, 130.0, seed, _THICKNESS)
    return mix_stains(haematoxylin * thickness, eosin * thickness, stain_matrix(look))


def _coarse_window(window: Window) -> Window:
    """The part of the coarse grid around `window`, on lines shared by all windows."""
    left = int((window.left - LARGEST_UM - STEP_UM) // STEP_UM)
    top = int((window.top - LARGEST_UM - STEP_UM) // STEP_UM)
    reach = LARGEST_UM + 2 * STEP_UM
    right = int((window.left + window.width * window.step + reach) // STEP_UM)
    bottom = int((window.top + window.height * window.step + reach) // STEP_UM)
    return Window(left * STEP_UM, top * STEP_UM, STEP_UM, right - left, bottom - top)


def enlarge(field: Field, source: Window, target: Window) -> Field:
    """Resample `field` from one window's samples to another's, bilinearly."""
    scale = target.step / source.step
    shift_x = (target.left - source.left) / source.step + 0.5 * scale - 0.5
    shift_y = (target.top - source.top) / source.step + 0.5 * scale - 0.5
    matrix = np.array([[scale, 0, shift_x], [0, scale, shift_y]])
    enlarged = cv2.warpAffine(
        field,
        matrix,
        (target.width, target.height),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return enlarged.astype(np.float32, copy=False)


def _background_stains(
    look: TissueLook, seed: int, anatomy: Anatomy, window: Window
) -> tuple[Field, Field]:
    """Haematoxylin and eosin of everything but nuclei."""
    depth = enlarge(anatomy.depth, anatomy.window, window)
    lumen = enlarge(anatomy.lumen, anatomy.window, window)
    lymph = enlarge(anatomy.lymph, anatomy.window, window)
    fat = enlarge(anatomy.fat, anatomy.window, window)
    fibre = enlarge(anatomy.fibre, anatomy.window, window)
    epithelium = np.clip(depth / 1.6 + 0.5, 0, 1)
    stroma_eosin = _stroma(look, seed, fibre, window) * (1 - 0.35 * lymph)
    stroma_eosin *= 1 - _cleft(seed, depth, window)
    eosin_there, haematoxylin_there = _epithelium(look, seed, depth, window)
    eosin = stroma_eosin + (eosin_there - stroma_eosin) * epithelium
    haematoxylin = 0.012 + 0.07 * lymph
    haematoxylin += (haematoxylin_there - haematoxylin) * epithelium
    empty = 1 - np.maximum(0.96 * lumen, 0.97 * fat)
    return haematoxylin * empty, eosin * empty


def _stroma(look: TissueLook, seed: int, fibre: Field, window: Window) -> Field:
    """Eosin of wavy fibres: a bundle follows a contour line of `fibre`."""
    fray = smooth_noise(window, 5.0, seed, _FRAY)
    cloud = smooth_noise(window, 38.0, seed, _CLOUD)
    table = _fibre_table(seed)
    fine: Field = table[_table_index(fibre + np.float32(0.9) * fray, 2.3)]
    broad: Field = table[_table_index(fibre + np.float32(1.5) * fray + np.float32(999), 7.0)]
    grain = smooth_noise(window, 1.4, seed, _GRAIN)
    bundles = 0.7 * fine + 0.75 * broad + 0.35 * cloud + 0.4 * grain
    amount = 0.16 + 0.12 * look.fibrosis + (0.05 + 0.03 * look.fibrosis) * bundles
    slit = np.clip((fine + 0.8 * broad - 0.9 * cloud + 0.5 * fray - 1.9) * 1.6, 0, 1)
    stained: Field = np.clip(amount, 0.02, 0.6) * (1 - 0.9 * slit) * np.float32(look.eosin)
    return stained


def _cleft(seed: int, depth: Field, window: Window) -> Field:
    """0..1: the gap that fixation tears here and there between a gland and its stroma."""
    torn = np.clip(smooth_noise(window, 30.0, seed, _CLEFT) * 0.8, 0, 1)
    gap = np.clip(1 - np.abs(depth + 2.0) / 1.8, 0, 1)
    cleft: Field = np.float32(0.9) * gap * torn
    return cleft


def _epithelium(look: TissueLook, seed: int, depth: Field, window: Window) -> tuple[Field, Field]:
    """(eosin, haematoxylin) of the cells' bodies: paler and vacuolated towards the lumen."""
    grain = smooth_noise(window, 2.6, seed, _CYTOPLASM)
    bubbles = smooth_noise(window, 5.5, seed, _VACUOLES)
    apical = np.clip((depth - 9) / 8, 0, 1)
    vacuole = np.clip((bubbles + 0.2) * 2.2, 0, 1) * apical * np.float32(0.85 * look.mucin)
    eosin = (0.23 + 0.022 * grain) * np.float32(look.eosin) * (1 - vacuole)
    haematoxylin = (0.085 + 0.012 * grain) * np.float32(look.haematoxylin) * (1 - vacuole)
    return eosin, haematoxylin


def _table_index(height: Field, period: float) -> npt.NDArray[np.int32]:
    steps = (height * np.float32(_TABLE_STEPS / period)).astype(np.int32)
    return np.bitwise_and(steps, np.int32(_TABLE_LENGTH - 1))


def _fibre_table(seed: int) -> Field:
    """(length,) one-dimensional noise, repeating."""
    line = smooth_noise(Window(0.0, 0.0, 1 / _TABLE_STEPS, _TABLE_LENGTH, 1), 1.0, seed, _FRAY + 9)
    row: Field = line[0].copy()
    fade = np.linspace(0, 1, _TABLE_STEPS * 2, dtype=np.float32)
    row[-len(fade) :] = row[-len(fade) :] * (1 - fade) + row[0] * fade
    return row
