"""Pairs of tiles that show the same tissue: copies, turned copies and overlapping crops. Pure.

Copies are found by a perceptual hash: the signs of the 63 lowest frequencies of the discrete cosine
transform of a grey thumbnail (Zauner 2010, "Implementation and benchmarking of perceptual image
hash functions"), in all eight orientations of a square, and confirmed by correlation. Overlapping
crops are found among each tile's nearest in colour by phase correlation (Kuglin and Hines 1975),
and confirmed by the correlation of what overlaps.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import scipy.fft
from sklearn.neighbors import NearestNeighbors

HASH_BITS = 6
"""Most bits of 63 in which hashes of copies differ; unrelated ones differ in 31 on average."""
KNOWN_BITS = 3
"""The same where hashes alone are known, so that nothing confirms them."""
LEAST_CORRELATION = 0.9
"""Of the thumbnails of copies."""
NEIGHBOURS = 20
"""Tiles nearest in colour that an overlap is looked for with."""
LEAST_OVERLAP = 0.3
"""Share of a tile's area that is looked for in another."""
OVERLAP_CORRELATION = 0.8
"""Of what overlaps, in the frequencies that a shift of half a thumbnail pixel spares."""
LEAST_PEAK = 6.0
"""Of a phase correlation, in standard deviations of its other values."""
LEAST_CONTRAST = 3.0
"""Standard deviation, in grey levels, of a thumbnail that shows anything at all."""
LEAST_DETAIL = 1.0
"""Median deviation, in grey levels, of the middle frequencies of what overlaps: a speck of dirt on
glass resembles any other."""

Pairs = npt.NDArray[np.int64]
"""(E, 2) rows, the smaller first, each pair once."""
Thumbs = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

_CELLS = 1 << 22
"""Distances of hashes that are in memory at once."""
_BATCH = 256
_FINE, _COARSE = 1.0, 4.0
"""Standard deviations, in px, of the Gaussians whose difference is correlated."""
_ORIENTATIONS = [(turned, down, right) for turned in (0, 1) for down in (0, 1) for right in (0, 1)]
_LOW = 8


@dataclass(frozen=True)
class _Bands:
    """Thumbnails for phase correlation, (N, px, px) float32."""

    sharp: Floats
    """High frequencies, by which a shift shows."""
    soft: Floats
    """Middle frequencies, by which it is confirmed."""


def find_near_duplicates(thumbs: Thumbs, colours: Floats, neighbours: int = NEIGHBOURS) -> Pairs:
    """Find all pairs that are copies or overlap.

    Tiles without contrast are in no pair. What is found is exact for copies of equal pixels; a
    shift by a third of a tile or less is missed where the other is not among the nearest in colour.

    Args:
        thumbs: (N, px, px) uint8 grey.
        colours: (N, D) in which distances between tiles are compared.
        neighbours: Of each tile that overlaps are looked for with.
    """
    shown = np.flatnonzero(thumbs.std(axis=(1, 2)) >= LEAST_CONTRAST)
    if len(shown) < 2:
        return np.empty((0, 2), np.int64)
    some = thumbs[shown]
    found = [_find_copies(some), _find_overlaps(some, colours[shown], neighbours)]
    pairs = shown[np.concatenate(found)]
    return np.unique(np.sort(pairs, axis=1), axis=0).astype(np.int64)


def hash_thumbs(thumbs: Thumbs) -> npt.NDArray[np.uint64]:
    """Hash thumbnails in all eight orientations of a square.

    Args:
        thumbs: (N, px, px) uint8 grey.

    Returns:
        (8, N) 63 bits each; the first row is of the thumbnails as they are.
    """
    waves = np.empty((len(thumbs), _LOW, _LOW), np.float32)
    for start in range(0, len(thumbs), _BATCH):
        part = thumbs[start : start + _BATCH].astype(np.float32)
        waves[start : start + _BATCH] = scipy.fft.dctn(part, axes=(1, 2))[:, :_LOW, :_LOW]
    signs = np.where(np.arange(_LOW) % 2, -1.0, 1.0)
    hashes = []
    for turned, down, right in _ORIENTATIONS:
        oriented = waves.transpose(0, 2, 1) if turned else waves
        oriented = oriented * (signs[:, None] if down else 1.0) * (signs if right else 1.0)
        bits = (oriented.reshape(len(thumbs), -1)[:, 1:] > 0).astype(np.uint64)
        hashes.append((bits << np.arange(_LOW**2 - 1, dtype=np.uint64)).sum(axis=1))
    return np.array(hashes, np.uint64)


def hash_contrasted(thumbs: Thumbs) -> npt.NDArray[np.uint64]:
    """Hash thumbnails as they are, (N,); 0 for one without contrast, which resembles any such."""
    shown = thumbs.std(axis=(1, 2)) >= LEAST_CONTRAST
    return np.where(shown, hash_thumbs(thumbs)[0], np.uint64(0))


def find_known_pictures(
    thumbs: Thumbs, known: npt.NDArray[np.uint64], bits: int = KNOWN_BITS
) -> npt.NDArray[np.bool_]:
    """Find the tiles whose picture, turned or not, is nearly one of those with known hashes.

    Args:
        thumbs: (N, px, px) uint8 grey.
        known: (M,) from `hash_contrasted`; 0 is none.
        bits: Most in which hashes differ; fewer than for copies, which pixels confirm.

    Returns:
        (N,) flags; tiles without contrast are none.
    """
    others, found = known[known != 0], np.zeros(len(thumbs), bool)
    shown = np.flatnonzero(thumbs.std(axis=(1, 2)) >= LEAST_CONTRAST)
    if not len(others):
        return found
    rows = max(1, _CELLS // len(others))
    for start in range(0, len(shown), rows):
        some = shown[start : start + rows]
        for own in hash_thumbs(thumbs[some]):
            found[some] |= (np.bitwise_count(own[:, None] ^ others[None]) <= bits).any(axis=1)
    return found


def orient(thumb: npt.NDArray[np.generic], orientation: int) -> npt.NDArray[np.generic]:
    """Turn a square to one of its eight orientations, as in the rows of `hash_thumbs`."""
    turned, down, right = _ORIENTATIONS[orientation]
    square = thumb.T if turned else thumb
    square = square[::-1] if down else square
    return square[:, ::-1] if right else square


def _find_copies(thumbs: Thumbs) -> Pairs:
    hashes = hash_thumbs(thumbs)
    rows = max(1, _CELLS // len(thumbs))
    found = [
        (one, other)
        for start in range(0, len(thumbs), rows)
        for orientation, own in enumerate(hashes)
        for one, other in _near_hashes(hashes[0], own, start, start + rows)
        if _correlate(thumbs[one], orient(thumbs[other], orientation)) >= LEAST_CORRELATION
    ]
    return np.array(found, np.int64).reshape(-1, 2)


def _near_hashes(
    plain: npt.NDArray[np.uint64], oriented: npt.NDArray[np.uint64], start: int, stop: int
) -> list[tuple[int, int]]:
    """Rows from `start` to before `stop`, and later ones whose hash is near in an orientation."""
    distances = np.bitwise_count(plain[start:stop, None] ^ oriented[None, start:])
    one, other = np.nonzero(distances <= HASH_BITS)
    later = other > one
    return list(zip((one[later] + start).tolist(), (other[later] + start).tolist(), strict=True))


def _find_overlaps(thumbs: Thumbs, colours: Floats, neighbours: int) -> Pairs:
    count = min(neighbours + 1, len(thumbs))
    near = NearestNeighbors(n_neighbors=count).fit(colours).kneighbors(colours)[1]
    own = np.repeat(np.arange(len(thumbs)), count)
    pairs = np.sort(np.stack([own, near.ravel()], axis=1), axis=1)
    pairs = np.unique(pairs[pairs[:, 0] != pairs[:, 1]], axis=0)
    bands = _separate(thumbs)
    found = [
        pair
        for start in range(0, len(pairs), _BATCH)
        for pair in _confirm_overlaps(bands, pairs[start : start + _BATCH])
    ]
    return np.array(found, np.int64).reshape(-1, 2)


def _separate(thumbs: Thumbs) -> _Bands:
    sharp, soft = np.empty(thumbs.shape, np.float32), np.empty(thumbs.shape, np.float32)
    for at, thumb in enumerate(thumbs.astype(np.float32)):
        coarse = cv2.GaussianBlur(thumb, (0, 0), _COARSE)
        sharp[at], soft[at] = thumb - coarse, cv2.GaussianBlur(thumb, (0, 0), _FINE) - coarse
    return _Bands(sharp, soft)


def _confirm_overlaps(bands: _Bands, pairs: Pairs) -> Iterator[tuple[int, int]]:
    """Those of some pairs that overlap."""
    px = bands.sharp.shape[1]
    rows, index = np.unique(pairs, return_inverse=True)
    phases = scipy.fft.rfft2(bands.sharp[rows])
    phases /= np.maximum(np.abs(phases), 1e-9)
    first, second = index.reshape(pairs.shape).T
    surface = scipy.fft.irfft2(phases[first] * phases[second].conj(), s=(px, px))
    surface = surface.reshape(len(pairs), -1)
    at = surface.argmax(axis=1)  # the mean is 0 and so is what the deviation is taken from
    height = surface[np.arange(len(pairs)), at] / np.sqrt((surface**2).mean(axis=1))
    for row in np.flatnonzero(height >= LEAST_PEAK).tolist():
        one, other = pairs[row].tolist()
        if _overlap(bands.soft[one], bands.soft[other], *divmod(int(at[row]), px)):
            yield one, other


def _overlap(one: Floats, other: Floats, down: int, right: int) -> bool:
    """Whether one picture, moved by a shift modulo its size, shows what the other does."""
    px = len(one)
    for dy in (down, down - px):
        for dx in (right, right - px):
            height, width = px - abs(dy), px - abs(dx)
            if height * width < LEAST_OVERLAP * px * px:
                continue
            top, left = max(dy, 0), max(dx, 0)
            a = one[top : top + height, left : left + width]
            top, left = max(-dy, 0), max(-dx, 0)
            b = other[top : top + height, left : left + width]
            shown = min(np.median(np.abs(a)), np.median(np.abs(b))) >= LEAST_DETAIL
            if shown and _correlate(a, b) >= OVERLAP_CORRELATION:
                return True
    return False


def _correlate(one: npt.NDArray[np.generic], other: npt.NDArray[np.generic]) -> float:
    """Pearson's correlation of two pictures; 0 where one of them has no contrast."""
    a, b = one.astype(np.float32).ravel(), other.astype(np.float32).ravel()
    a, b = a - a.mean(), b - b.mean()
    size = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / size if size > 0 else 0.0
