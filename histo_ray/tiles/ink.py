"""Pen marks on the glass. Pure.

Stains and inks share their colours: eosin and red ink, a trichrome's collagen and green ink, DAB
and brown ink. So the colour only says where to look. What tells an ink is how it lies: a stroke is
no wider than a felt tip, it is smooth where tissue has nuclei, fibres and gaps, and it is denser
than what lies beside it. Over tissue the densities of both add (Beer and Lambert), so strokes are
looked for twice: as they are, and in what a px exceeds its surroundings by.
"""

from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from histo_ray.tiles.channels import mean_channel, split_channels
from histo_ray.tiles.mark_shapes import Mark, dilate, disc, measure_calm, measure_marks, stands_out

Mask = npt.NDArray[np.bool_]
Od = npt.NDArray[np.float32]
Mpp = tuple[float, float]

LEAST_INK_UM2 = 40_000.0
"""A stroke is at least this large; pigment and dust are smaller."""
GREATEST_HALF_UM = 1300.0
"""Half the width of the broadest stroke; what is wider is tissue of one colour."""
GREATEST_DOT_UM = 600.0
"""Half the width up to which a mark need not be longer than wide."""
LEAST_LENGTH = 2.2
"""Length over width of broader marks."""
LEAST_HALF_UM, LEAST_THIN_LENGTH = 110.0, 8.0
"""Half the width below which a mark must be long: clumps of pigment and vessels are not."""
LONG, LEAST_EVENNESS = 8.0, 0.33
"""A mark of that length is about as wide everywhere, see `Mark.evenness`; blood that fills the
gaps of a tissue is not."""
GREATEST_TEXTURE = 0.1
"""See `Mark.texture`. Measured at 16 microns a px: strokes have at most 0.08, also where they run
over tissue, and up to 0.12 where they are dry; tissue of the same hue has 0.12 and more."""
DRY_TEXTURE, LEAST_DRY_HALF_UM = 0.13, 150.0
"""The same of cool and black strokes of at least that half width: no tissue of their hue is as
smooth and as broad."""
ROUGH_TEXTURE = 0.15
"""The same of dense ink beside a stroke: it goes on over coarse tissue."""
FLAT_TEXTURE, FLAT_LENGTH = 0.07, 4.0
"""The same, and the least length over width, where the colour itself may be a stain's."""
CALM, CALM_SHARE, CALM_TEXTURE = 0.08, 0.45, 0.24
"""Greatest `measure_calm`, that as a share of the texture, and the greatest texture of long marks
that are as wide everywhere: what runs over glass and tissue is smooth in part. Strokes had at most
0.071 and a share of 0.41; tissue 0.1 and more, and a share of 0.5 and more."""
BARE_TEXTURE, BARE_CONTRAST = 0.03, 0.15
"""Greatest texture and contrast of the short marks where a stroke over tissue comes out on glass:
no tissue is as smooth."""
TRACE_TEXTURE, TRACE_LENGTH = 0.24, 4.0
"""Greatest texture, and least length over width, of what goes on from a stroke into tissue."""
GREATEST_CONTRAST = 0.65
"""See `Mark.contrast`; beside a trichrome's fibres it is 0.8 and more."""

_WORK_MPP = 16.0
"""Strokes are looked for on an image no finer than this."""
_RIM_UM = 56.0
"""Ink fades out over this much."""
_GAP_UM = 80.0
"""Half the width of gaps that belong to a stroke."""
_REACH_UM = 250.0
"""Paler ink up to this far from a stroke belongs to it, as where a pen ran dry."""
_PALE_UM2, LEAST_PALE_LENGTH = 150_000.0, 3.0
"""Least area, and length over width, of a stroke that is pale all along."""
_UNLIT_DENSITY = 0.95
_SURROUNDINGS_UM, _SURROUNDINGS_MPP = 1600.0, 64.0
"""Edge of the square that a px is compared with: strokes fill less than half of it."""
_TOP_DENSITY = 2.0


class Ink(NamedTuple):
    """Px of an overview that are neither glass nor tissue; both (h, w) bool."""

    pen: Mask
    """Pen marks, with the faded rim of their strokes."""
    unlit: Mask
    """Black margins around what was scanned."""


class _Hue(NamedTuple):
    """Where an ink of some colour may be."""

    dense: Mask
    pale: Mask
    """Where the colour is that of an ink, but stains may be as pale."""
    texture: float
    """Greatest texture of a stroke."""
    length: float = 0.0
    """Least length over width of a stroke."""

    @property
    def has_pale(self) -> bool:
        """Whether the colour alone makes any px an ink's; without, `dense` is all there is."""
        return bool(self.pale.any())


def find_ink(od: Od, mpp: Mpp) -> Ink:
    """Find pen marks and unlit margins.

    Args:
        od: (h, w, 3) optical densities of red, green and blue.
        mpp: (x, y) microns per px.
    """
    height, width = od.shape[:2]
    size = (_work_size(width, mpp[0]), _work_size(height, mpp[1]))
    coarse = cv2.resize(od, size, interpolation=cv2.INTER_AREA) if size != (width, height) else od
    work_mpp = (mpp[0] * width / size[0], mpp[1] * height / size[1])
    pen, unlit = _find_marks(np.asarray(coarse, np.float32), work_mpp)
    return Ink(_enlarge(pen, (width, height)), _enlarge(unlit, (width, height)))


def _find_marks(od: Od, mpp: Mpp) -> tuple[Mask, Mask]:
    """Pen marks and unlit margins at the work resolution."""
    pen, unlit = np.zeros(od.shape[:2], bool), np.zeros(od.shape[:2], bool)
    least = max(1.0, LEAST_INK_UM2 / (mpp[0] * mpp[1]))
    traces: list[Mark] = []
    whole = mean_channel(od)
    for excess in (False, True):
        shown = (
            np.where(dilate(unlit, _RIM_UM, mpp)[..., None], 0, _excess(od, mpp)) if excess else od
        )
        density = mean_channel(shown)
        for hue in _hues(np.asarray(cv2.GaussianBlur(shown, (0, 0), 1.0), np.float32)):
            if np.count_nonzero(hue.dense) + np.count_nonzero(hue.pale) >= least:
                strokes, margin, rest = _find_strokes(hue, density, mpp, whole if excess else None)
                pen |= strokes
                unlit |= margin
                traces += rest
    if pen.any():
        _follow(pen, traces, mpp)
        gaps = cv2.morphologyEx(pen.astype(np.uint8), cv2.MORPH_CLOSE, disc(_GAP_UM, mpp))
        pen = dilate(np.asarray(gaps, bool), _RIM_UM, mpp)
    return pen & ~unlit, unlit


def _excess(od: Od, mpp: Mpp) -> Od:
    """Excess of densities over their surroundings' median: over tissue, that of the ink alone."""
    height, width = od.shape[:2]
    grain = tuple(max(axis, _SURROUNDINGS_MPP) for axis in mpp)
    size = (max(1, round(width * mpp[0] / grain[0])), max(1, round(height * mpp[1] / grain[1])))
    coarse = np.clip(cv2.resize(od, size, interpolation=cv2.INTER_AREA) / _TOP_DENSITY, 0, 1)
    window = round(_SURROUNDINGS_UM / max(grain)) | 1
    level = cv2.medianBlur(np.asarray(255 * coarse + 0.5, np.uint8), window)
    smooth = cv2.GaussianBlur(level.astype(np.float32), (0, 0), 1.0) * (_TOP_DENSITY / 255)
    above = np.maximum(od - cv2.resize(smooth, (width, height)), 0)
    return np.asarray(above, np.float32)


def _find_strokes(
    hue: _Hue, density: Od, mpp: Mpp, whole: Od | None
) -> tuple[Mask, Mask, list[Mark]]:
    """Strokes and margins of one hue, and what may go on from a stroke.

    `whole` is the density of which `density` is the excess; None where it is the same.
    """
    strokes, unlit = np.zeros(density.shape, bool), np.zeros(density.shape, bool)
    rough: list[Mark] = []
    traces: list[Mark] = []
    broad: list[Mark] = []
    least_px = max(1.0, _PALE_UM2 / (mpp[0] * mpp[1]))
    for mark in measure_marks(_closed(hue.dense), density, mpp, LEAST_INK_UM2):
        if not hue.has_pale and np.count_nonzero(mark.pixels) >= least_px:
            broad.append(mark)
        if mark.density > _UNLIT_DENSITY and mark.edge_um > 4 * mark.half_um:
            unlit[mark.window] |= mark.pixels
        elif whole is not None and not stands_out(mark, whole):
            continue
        elif _is_stroke(mark, hue, density):
            strokes[mark.window] |= mark.pixels
        elif mark.contrast <= GREATEST_CONTRAST and mark.half_um <= GREATEST_DOT_UM:
            if mark.texture <= ROUGH_TEXTURE and mark.half_um >= LEAST_HALF_UM:
                rough.append(mark)
            if mark.texture <= TRACE_TEXTURE and mark.length >= TRACE_LENGTH:
                traces.append(mark)
    wider = _closed(hue.pale | hue.dense)
    marks = measure_marks(wider, density, mpp, _PALE_UM2) if hue.has_pale else broad
    for mark in marks:
        if whole is not None and not stands_out(mark, whole):
            continue
        if mark.length >= LEAST_PALE_LENGTH and _is_stroke(mark, hue, density):
            strokes[mark.window] |= mark.pixels
    if strokes.any():
        near = dilate(strokes, _REACH_UM, mpp)
        for mark in rough:
            if (mark.pixels & near[mark.window]).any():
                strokes[mark.window] |= mark.pixels
        strokes |= _faded(wider & ~strokes, near, density, mpp)
    return strokes, unlit, traces


def _follow(pen: Mask, traces: list[Mark], mpp: Mpp) -> None:
    """Add the traces that go on from strokes, and from those that do, to the strokes."""
    left = traces
    while left:
        near = dilate(pen, _REACH_UM, mpp)
        reached = [bool((mark.pixels & near[mark.window]).any()) for mark in left]
        for mark, touches in zip(left, reached, strict=True):
            if touches:
                pen[mark.window] |= mark.pixels
        left = [mark for mark, touches in zip(left, reached, strict=True) if not touches]
        if not any(reached):
            break


def _hues(od: Od) -> Iterator[_Hue]:
    """Where each colour of ink may be.

    Measured, red : green : blue of real inks on glass is 3.5 : 1 : 1.2 (green), 1.8 : 1 : 0.2
    (blue), 0.1 : 1 : 0.7 (red), 0.9 : 1 : 1.1 (black); of haematoxylin and eosin at most
    0.92 : 1 : 0.83; of blood 0.2 : 1 : 0.8; of an immunostain's counterstain up to 1.4 : 1 : 0.7.
    """
    red, green, blue = split_channels(od)
    low = np.minimum(np.minimum(red, green), blue)
    top = np.maximum(np.maximum(red, green), blue)
    warmest = np.maximum(green, blue)
    cool = red > 1.1 * green
    yield _Hue(cool & (red > 0.4), (red > 1.25 * green) & (red > 0.1), DRY_TEXTURE)
    indigo = (red > 0.85 * green) & (blue < 0.6 * red) & (red > 0.45) & (low > 0.05)
    yield _Hue(indigo, indigo & False, FLAT_TEXTURE, FLAT_LENGTH)
    warm = (red < 0.25 * warmest) & (blue > 0.6 * green)
    vivid = (red < 0.15 * warmest) | (warmest > 0.75) | (blue > 0.87 * green)
    yield _Hue(
        warm & vivid & (warmest > 0.5),
        (red < 0.12 * warmest) & (blue > 0.62 * green) & (warmest > 0.12),
        GREATEST_TEXTURE,
    )
    neutral = (top - low < 0.45 * top) & (blue > 0.66 * green) & (red > 0.5 * green)
    grey = (top - low < 0.3 * top) & (low > 0.2)
    yield _Hue(neutral & (low > 0.45), grey, DRY_TEXTURE)
    brown = (blue > 1.02 * green) & (green > 1.2 * red) & (red > 0.2 * blue) & (blue > 0.3)
    yield _Hue(brown, brown & False, FLAT_TEXTURE, FLAT_LENGTH)


def _is_narrow(mark: Mark) -> bool:
    """Whether it has the shape of a stroke or a dot of a felt pen."""
    if mark.half_um > GREATEST_HALF_UM:
        return False
    if mark.half_um < LEAST_HALF_UM:
        return mark.length >= LEAST_THIN_LENGTH
    return mark.half_um <= GREATEST_DOT_UM or mark.length >= LEAST_LENGTH


def _is_stroke(mark: Mark, hue: _Hue, density: Od) -> bool:
    """Whether it is as narrow and smooth, and as dense beside its surroundings, as a stroke."""
    if mark.contrast > GREATEST_CONTRAST or mark.half_um > GREATEST_HALF_UM:
        return False
    if mark.texture <= BARE_TEXTURE and mark.contrast <= BARE_CONTRAST:
        return mark.length >= LEAST_LENGTH or (_is_narrow(mark) and not hue.length)
    even = mark.length < LONG or mark.evenness >= LEAST_EVENNESS
    if not (_is_narrow(mark) and mark.length >= hue.length and even):
        return False
    if mark.texture <= _texture_bound(mark, hue):
        return True
    if mark.length < LONG or mark.texture > CALM_TEXTURE:
        return False
    return measure_calm(mark, density) <= min(CALM, CALM_SHARE * mark.texture)


def _texture_bound(mark: Mark, hue: _Hue) -> float:
    """Greatest texture of a stroke; stricter for narrow marks, as clumps of pigment are narrow."""
    return hue.texture if mark.half_um >= LEAST_DRY_HALF_UM else min(hue.texture, GREATEST_TEXTURE)


def _faded(pale: Mask, near: Mask, density: Od, mpp: Mpp) -> Mask:
    """The narrow pieces of pale ink that lie beside strokes."""
    found = np.zeros(pale.shape, bool)
    for mark in measure_marks(pale, density, mpp, LEAST_INK_UM2):
        if mark.half_um <= GREATEST_DOT_UM:
            beside = np.count_nonzero(mark.pixels & near[mark.window])
            if 2 * beside > np.count_nonzero(mark.pixels):
                found[mark.window] |= mark.pixels
    return found


def _closed(mask: Mask) -> Mask:
    square = np.ones((3, 3), np.uint8)
    return np.asarray(cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_CLOSE, square), bool)


def _work_size(length: int, mpp: float) -> int:
    return max(1, round(length * min(1.0, mpp / _WORK_MPP)))


def _enlarge(mask: Mask, size: tuple[int, int]) -> Mask:
    large = cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
    return np.asarray(large, bool)
