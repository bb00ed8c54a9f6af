"""What was drawn in each tile of a synthetic slide: the truth that tile scores can be held against.

Pure.
"""

import numpy as np
import numpy.typing as npt

from histo_ray.synth.anatomy import STEP_UM, lay_anatomy
from histo_ray.synth.noise import Field, Window
from histo_ray.synth.scene import OUTLINE_STEP_UM, SlideDesign, set_scene
from histo_ray.synth.texture import enlarge


def measure_crowds(
    plan: SlideDesign, coords: npt.NDArray[np.integer], side: tuple[float, float]
) -> npt.NDArray[np.float64]:
    """Measure how much of each tile is crowded with lymphocytes, as it was drawn.

    Args:
        plan: The slide.
        coords: (N, 2) top-left (x, y) of the tiles, level-0 px.
        side: (width, height) of a tile, level-0 px.

    Returns:
        (N,) share of the tile's area, 0..1; glass counts as not crowded.
    """
    width, height = (int(n * plan.mpp // STEP_UM) + 1 for n in plan.size)
    window = Window(0.0, 0.0, STEP_UM, width, height)
    crowded: Field = lay_anatomy(plan.look, plan.seed, window).lymph
    outline = set_scene(plan).outline
    rows, columns = outline.shape
    inside = enlarge(outline, Window(0.0, 0.0, OUTLINE_STEP_UM, columns, rows), window)
    crowded = crowded * (inside > 0)
    corners = np.concatenate([coords, coords + np.array(side)], axis=1) * plan.mpp / STEP_UM
    spans = np.round(corners).astype(int).tolist()
    return np.array([crowded[y0:y1, x0:x1].mean() for x0, y0, x1, y1 in spans])
