"""The card of a predictor, `predictor.json`: what it predicts, from what, and how good it is."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, JsonValue, SerializerFunctionWrapHandler, model_serializer

from histo_ray.config import Settings
from histo_ray.encoder_spec import NAME_PATTERN
from histo_ray.evaluate.caveats import Caveat
from histo_ray.evaluate.evaluation_record import MaybeFloat
from histo_ray.learn.calibration import Calibration, Threshold
from histo_ray.learn.heads.linear_fit import Link
from histo_ray.learn.heads.registry import TrainsOn
from histo_ray.types import JsonObject

CARD_VERSION = 1
RESEARCH_USE = "research use only: not a medical device, and not validated for any clinical use"
PredictedKind = Literal["continuous", "binary", "classes", "multiclass", "ordinal", "survival"]
"""Numbers of patients; probabilities of patients; classes of tiles; probabilities of several
classes of patients, without and with an order; log-hazards of patients."""


class EncoderCard(Settings):
    """The encoder whose embeddings are needed."""

    name: str
    """As a store calls it."""
    request: str
    weights_sha256: str
    dim: int
    dtype: str = ""
    """Element type of the vectors that it was fitted on."""
    rotations: int | None = None
    """Orientations of each tile whose vectors were averaged; None: the tile as it was."""


class TilingCard(Settings):
    """The tiles that it was fitted on."""

    fingerprint: str
    """Digest of everything that changes pixels; starts with `x` for tiles given as they are."""
    settings: dict[str, JsonValue] = Field(default_factory=dict)
    """All of `TilingConfig`, so that the same tiles can be cut of other slides; of labelled tiles
    `tile_px` and `mpp` (None: unknown)."""


class ClassEncoderCard(Settings):
    """The fine-tuned encoder whose head weighs tiles, for poolings by class."""

    name: str
    tiling: str
    """Fingerprint of the tiles that it saw."""
    weights_sha256: str
    file_sha256: str
    """SHA-256 of its model.safetensors, head included."""


class SlideEncoderNeed(Settings):
    """A slide encoder whose vectors are needed, for the pooling `slide:NAME`."""

    name: str
    """As a store calls it."""
    request: str
    """What was asked for, in full."""
    method: str
    """The published method that it is."""
    weights_sha256: str
    dim: int


class PartCard(Settings):
    """One trained head: some targets from one pooling; its arrays are in predictor.safetensors."""

    trains_on: TrainsOn
    pooling: str
    """As for `Store.matrix`; `bags` for MIL; empty for tiles."""
    head: str
    variant: str = ""
    """Hyperparameters that were searched."""
    targets: tuple[str, ...]
    """Names, in the order of the columns of its weights; classes for tiles."""
    link: Link = Link.IDENTITY
    """Link of a linear head."""
    members: int = 0
    """Heads of a MIL ensemble; 0: a linear head."""
    networks: int = 0
    """Networks of each of these heads, whose outputs are averaged; 0: not recorded, or linear."""
    network: str = ""
    """Kind of these networks; empty: gated attention, or linear."""


class LabelsCard(Settings):
    """The labels that it was fitted on."""

    sha256: str
    """SHA-256 of the label file's bytes, or of the labelled tile set."""
    values_sha256: str = ""
    """SHA-256 of the values of the patients that were used."""
    transform: str = ""
    """`none`, `log2`, `rank`, `clip`, or empty: none. The fitted knots are in the file."""
    clip_at: str = ""
    scale: str
    """What predictions mean, in words."""


class TargetCard(Settings):
    """One target: how it was fitted, calibrated and scored."""

    name: str
    column: str = ""
    """Column of labels that it is, or is a class of; empty of genes and of classes of tiles."""
    label: str = ""
    """Class that is predicted, of a column of several classes; of an ordered one this or higher."""
    classes: tuple[str, ...] = ()
    """All classes of that column: negative and positive, or lowest first where they have an order.
    """
    n_patients: int
    """With a label; tiles of a class for tissue."""
    positives: int = 0
    part: int
    """Number of its part."""
    choice: MaybeFloat = None
    """Penalty, components or epochs (mean of the members) that were chosen."""
    inner_score: MaybeFloat = None
    """By which part and choice were chosen; no estimate of how good it is."""
    calibration: Calibration = Calibration()
    thresholds: tuple[Threshold, ...] = ()
    """The first one makes calls unless another is asked for; empty: none."""
    metric: str
    """Metric of `score`: pearson, auroc, or recall."""
    score: MaybeFloat = None
    """Score of the cross-validation that is named under `evaluation`."""
    low: MaybeFloat = None
    """Lower end of its 95 % interval."""
    high: MaybeFloat = None
    q_chance: MaybeFloat = None
    """Whether it is better than chance, after correction over targets."""


class CohortCard(Settings):
    """Who it was fitted on."""

    n_patients: int
    """0 for tiles whose patients are unknown."""
    n_slides: int = 0
    sites: tuple[str, ...] = ()
    salt: str = ""
    patient_hashes: tuple[str, ...] | None = None
    """Salted SHA-256 of each person, sorted; None: left out, so overlap cannot be found."""
    slide_hashes: tuple[str, ...] | None = None
    """Salted SHA-256 of the digests of each slide's vectors and file, sorted: by them patients are
    found under other names. None: left out, or of a predictor of classes of tiles."""


class EvaluationCard(Settings):
    """The cross-validation that says how good it is."""

    task: str
    run_id: str
    folder: str
    """Below the store that it was fitted in."""
    repeats: int
    n_folds: int
    score: MaybeFloat = None
    """Median score of the targets; accuracy for tissue."""
    settings_sha256: str = ""


class PredictorCard(Settings):
    """`predictor.json`."""

    format_version: int = CARD_VERSION
    name: str = Field(pattern=NAME_PATTERN)
    use: str = RESEARCH_USE
    created: str
    """ISO 8601, UTC."""
    fingerprint: str
    """SHA-256 over everything that decided the arrays and this card but time and machine."""
    file_sha256: str
    """SHA-256 of the bytes of predictor.safetensors."""
    task: str
    kind: PredictedKind
    encoder: EncoderCard
    tiling: TilingCard
    class_encoder: ClassEncoderCard | None = None
    slide_encoders: tuple[SlideEncoderNeed, ...] = ()
    """Those of its poolings; not written where there are none, as 0.5.0 does not know them."""
    labels: LabelsCard
    targets: tuple[TargetCard, ...]
    parts: tuple[PartCard, ...]
    cohort: CohortCard
    where: str = ""
    """Condition on the tiles that it was fitted on, and is applied to; empty: all."""
    evaluation: EvaluationCard
    settings: dict[str, JsonValue]
    """All settings of the fit."""
    seed: int
    synthetic: bool = False
    """Whether it was fitted on synthetic data."""
    remark: str = ""
    caveats: tuple[Caveat, ...] = ()
    """What a reader of its scores and calls has to know, as codes: those of the evaluation, and the
    targets that it does not predict."""
    versions: dict[str, str]

    @model_serializer(mode="wrap")
    def _leave_out_unused(self, serialise: SerializerFunctionWrapHandler) -> JsonObject:
        """Without what says nothing: programs of 0.4.0 refuse fields they do not know."""
        values: JsonObject = serialise(self)
        for name in ("slide_encoders", "where"):
            if not values.get(name, True):
                del values[name]
        return values

    @property
    def target_names(self) -> tuple[str, ...]:
        """(T,) in the order of predictions."""
        return tuple(target.name for target in self.targets)

    @property
    def poolings(self) -> tuple[str, ...]:
        """Poolings whose vectors are needed, each once; without bags."""
        named = (p.pooling for p in self.parts if p.trains_on is TrainsOn.PATIENTS)
        return tuple(dict.fromkeys(named))

    @property
    def needs_bags(self) -> bool:
        """Whether a part sees all tiles of a patient."""
        return any(part.trains_on is TrainsOn.BAGS for part in self.parts)

    @property
    def by_name(self) -> Mapping[str, TargetCard]:
        """Targets by name."""
        return {target.name: target for target in self.targets}
