"""Where crowds of lymphocytes were planted on a synthetic slide: what its heat maps should show."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from histo_ray.synth.anatomy import STEP_UM, lay_anatomy
from histo_ray.synth.noise import Window
from histo_ray.synth.scene import SlideDesign, set_scene

CROWD_CLASS = "Lymphocytes"
"""Class of the outlines in GeoJSON."""
_FINER = 2
"""Outlines are traced at so many samples a step, so that they do not cut the corners of one."""


def map_crowds(plan: SlideDesign) -> npt.NDArray[np.bool_]:
    """Map the planted crowds of a slide: lymphocytes are drawn there with a chance above one half.

    Args:
        plan: Of the slide.

    Returns:
        (height, width) bool of the whole slide, one value each `STEP_UM` along both axes.
    """
    columns, rows = (int(np.ceil(side * plan.mpp / STEP_UM)) for side in plan.size)
    window = Window(0.0, 0.0, STEP_UM, columns, rows)
    tissue = set_scene(plan).tissue_share(window) > 0.5
    anatomy = lay_anatomy(plan.look, plan.seed, window)
    crowded: npt.NDArray[np.bool_] = (anatomy.lymph > 0.5) & (anatomy.fat < 0.01) & tissue
    return crowded


def write_crowds(path: Path, plan: SlideDesign) -> Path:
    """Write the outlines of the crowds as GeoJSON that QuPath opens on the slide.

    Args:
        path: Where to write; replaced if it exists.
        plan: Of the slide.

    Returns:
        `path`: polygons of class `CROWD_CLASS` in level-0 px, with their holes.
    """
    fine = map_crowds(plan).astype(np.uint8).repeat(_FINER, axis=0).repeat(_FINER, axis=1)
    rings, hierarchy = cv2.findContours(fine, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    scale = STEP_UM / _FINER / plan.mpp
    features = []
    for number, ring in enumerate(rings):
        _, _, hole, parent = hierarchy[0][number].tolist()
        if parent >= 0 or len(ring) < 3:
            continue
        corners = [_close(ring, scale)]
        while hole >= 0:
            if len(rings[hole]) >= 3:
                corners.append(_close(rings[hole], scale))
            hole = hierarchy[0][hole][0]
        features.append(_feature(corners))
    whole = {"type": "FeatureCollection", "features": features}
    path.write_text(json.dumps(whole) + "\n", encoding="utf-8")
    return path


def _close(ring: npt.NDArray[Any], scale: float) -> list[list[float]]:
    """Corners of a closed ring, level-0 px."""
    points = np.round((ring[:, 0] + 0.5) * scale, 2)
    return [*points.tolist(), points[0].tolist()]


def _feature(corners: list[list[list[float]]]) -> dict[str, object]:
    return {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": corners},
        "properties": {
            "objectType": "annotation",
            "classification": {"name": CROWD_CLASS, "color": [90, 40, 160]},
            "synthetic": True,
        },
    }
