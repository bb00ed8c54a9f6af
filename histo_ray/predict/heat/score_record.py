"""What a file of tile scores says of itself, under the key `histo_ray` of its metadata."""

from typing import Literal

from histo_ray._version import __version__
from histo_ray.config import Settings

RECORD_VERSION = 1


class ScoreRecord(Settings):
    """Whose scores these are, and what they add up to."""

    record_version: int = RECORD_VERSION
    kind: Literal["scores", "classes"]
    slide_id: str
    patient_id: str
    encoder: str
    """Name in the store."""
    weights_sha256: str
    tiling: str
    """Fingerprint."""
    side: tuple[float, float]
    """(width, height) of a tile, level-0 px."""
    source: str
    """Run, predictor, or encoder whose tissue head it is."""
    target: str = ""
    scale: str = ""
    """What a score means."""
    out_of_fold: bool = False
    """Whether no head was trained on the patient though others of the source were."""
    heads: int = 1
    """Number of heads, of which scores are the mean."""
    poolings: tuple[str, ...] = ()
    """How tiles became a patient's vector; `bags`: attention."""
    exact: bool = True
    """Whether contributions average to `decision` over all tiles of the patient."""
    decision: float | None = None
    """What the heads say of the patient, on the scale of scores: their mean."""
    predicted: float | None = None
    """The prediction that belongs to it: a probability, or the value itself."""
    neutral: float | None = None
    """Decision value of an average patient of the training part."""
    slides: tuple[str, ...] = ()
    """Slides of the patient that were pooled together."""
    tiles: int
    """Tiles of the slide."""
    patient_tiles: int = 0
    """Tiles of all those slides."""
    where: str = ""
    """Condition on the tiles that were scored and pooled; empty: all were."""
    synthetic: bool = False
    notes: tuple[str, ...] = ()
    """What else a reader should know."""
    library_version: str = __version__
