"""The nouns of histo_ray: frozen values that cross module and process borders. No I/O.

Sizes are (width, height); array shapes are (height, width, channel). Coordinates are (x, y) of a
top-left corner in level-0 px. A unit stands in the name where it is not level-0 px.
"""

from histo_ray.types.json_object import JsonObject
from histo_ray.types.receipt import (
    UNKNOWN_WEIGHTS,
    ChosenReceipt,
    EncoderFacts,
    ImportFacts,
    KeptTiles,
    PartitionKey,
    Receipt,
    SegmenterFacts,
    SlideFacts,
    TilingFacts,
)
from histo_ray.types.run_row import Outcome, RunRow
from histo_ray.types.slide_types import (
    MARKS,
    NO_MARKS,
    LevelRead,
    Mpp,
    MppSource,
    Pyramid,
    Size,
    Slide,
    describe_mark,
    is_marked,
)
from histo_ray.types.target_kind import TargetKind
from histo_ray.types.tile_types import (
    Bag,
    Floats,
    LabelledBag,
    TileBatch,
    TileGrid,
    TileRows,
    TissueMask,
)

__all__ = [
    "MARKS",
    "NO_MARKS",
    "UNKNOWN_WEIGHTS",
    "Bag",
    "ChosenReceipt",
    "EncoderFacts",
    "Floats",
    "ImportFacts",
    "JsonObject",
    "KeptTiles",
    "LabelledBag",
    "LevelRead",
    "Mpp",
    "MppSource",
    "Outcome",
    "PartitionKey",
    "Pyramid",
    "Receipt",
    "RunRow",
    "SegmenterFacts",
    "Size",
    "Slide",
    "SlideFacts",
    "TargetKind",
    "TileBatch",
    "TileGrid",
    "TileRows",
    "TilingFacts",
    "TissueMask",
    "describe_mark",
    "is_marked",
]
