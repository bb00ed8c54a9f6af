"""Caveats of a result as codes with values. `report.caveat_words` renders each as a sentence."""

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

CaveatValue: TypeAlias = str | int | float | bool | tuple[str, ...] | None
FEW_POSITIVES = 20
"""Fewer positives than this are called few: a fold of five then tests on three or less."""
FEW_PATIENTS = 100
"""Fewer patients than this make wide intervals."""
FAR_OFF = -1.0
"""R2 below which predictions are worse than a constant by as much as the labels vary."""


class CaveatCode(StrEnum):
    """What a reader of a result has to know; the comment names the values of each."""

    TEXT = "text"
    """text: a sentence of a label file, a run table, or of a version before there were codes."""
    SYNTHETIC = "synthetic"
    """marked, total: slides that the manifest marks."""
    SYNTHETIC_TILES = "synthetic tiles"
    """tiles: name of the tile set whose table marks its tiles."""
    TRAINED_ON_TILES = "trained on tiles"
    """encoder, tiles: it was fine-tuned on the tile set that it is evaluated on."""
    LEAKED_TILES = "leaked tiles"
    """encoder, tiles: name of the set; total: its tiles; trained, held_out: of them in its
    fine-tuning; near: near-duplicates of those; names: some of all these."""
    LEAKED_PATIENTS = "leaked patients"
    """encoder, patients, total, names: patients that are evaluated and that it was tuned on."""
    TRAINED_ON_UNKNOWN = "trained on unknown"
    """encoder, tiles: name of the set it was fine-tuned on; what: tiles or patients, of which no
    overlap can be told; listed: whether its tiles are known, but not their patients."""
    SLIDE_ENCODER_SAW = "slide encoder saw"
    """slide_encoder, method, supervised; patients: of those that are evaluated, whom it was fitted
    on (None: it keeps no hashes, so nobody can tell); total, names."""
    NO_GROUPS = "no groups"
    """None: tiles of one patient may be in several folds."""
    GROUPS_INFERRED = "groups inferred"
    """groups, near_duplicates; encoder, random, grouped: accuracy of the best encoder by folds
    that split inferred groups, and by folds that do not."""
    INFERRED_TOO_FEW = "inferred too few"
    """groups, folds: inferred groups of some class, which cannot fill the folds."""
    COLOUR_TELLS_TEST = "colour tells test"
    """low, high: AUROC by class of external test tiles against training tiles; folds: the mean of
    cross-validation's folds, None where there is none."""
    COLOUR_ALONE = "colour alone"
    """colour, encoder, score: accuracy of the baseline, nearly that of the best encoder."""
    TOO_FEW_GROUPS = "too few groups"
    """groups, needed: no test over folds is possible."""
    CLASS_TOO_FEW_GROUPS = "class too few groups"
    """groups, needed: of the rarest class, whose recall has no test."""
    FEW_GROUPS = "few groups"
    """groups, enough: tests are approximate."""
    SLIDES_DIFFER = "slides differ"
    """encoder, slides, names, common: slides that one encoder lacks."""
    PATIENTS_DIFFER = "patients differ"
    """encoders: tuple of `name lacks n patients`; of runs that did not state it."""
    TILES_DROPPED = "tiles dropped"
    """encoder, where, dropped, tiles; slides (0: a tile set), median, most: share dropped a slide;
    emptied, names: slides of which no tile is left."""
    SAME_WEIGHTS = "same weights"
    """encoders: those with the same weights under several names; same_vectors: whether their
    embeddings are the same, too, so that there is nothing to compare."""
    SITES_UNKNOWN = "sites unknown"
    """None."""
    ONE_SITE = "one site"
    """None."""
    HARMONISED = "harmonised"
    """method; unseen: whether whole sites are held out."""
    SITES_LEFT_OUT = "sites left out"
    """sites, small, fewest: sites with fewer patients than that, whose own scores are noise."""
    SITES_SPLIT = "sites split"
    """sites; remedy (`SiteRemedy`); folds (None: as asked), apart, needed, permuted."""
    SITES_SPLIT_UNSTATED = "sites split unstated"
    """sites; of runs that did not state it."""
    TOO_FEW_UNITS = "too few units"
    """unit, rarer, events, low, high, targets (None: all), permuted, needed: no test over folds."""
    FEW_SITES = "few sites"
    """unit, rarer, events, low, high, enough: tests are approximate."""
    FEW_ORDERS = "few orders"
    """targets, fewest, within_sites: no permutation test."""
    FEW_PATIENTS = "few patients"
    """patients."""
    FEW_POSITIVES = "few positives"
    """targets: tuple of `gene n`."""
    FEW_OF_A_CLASS = "few of a class"
    """targets: tuple of `column n`, patients of its rarest class."""
    FEW_POSITIVES_UNSTATED = "few positives unstated"
    """targets: tuple of `gene (n)`; of runs that did not state it."""
    FEW_EVENTS = "few events"
    """endpoints: tuple of `endpoint n`."""
    FOLLOW_UP = "follow-up"
    """medians: tuple of `endpoint time`; beyond: stated times that hardly anybody was followed to,
    as `endpoint at time`; unit."""
    CHANCE_BY_T_TEST = "chance by t-test"
    """None: not by permuted labels."""
    POOLED_NULL = "pooled null"
    """transform: permuted genes of unequal distribution are pooled."""
    FAR_OFF_PREDICTIONS = "far off predictions"
    """encoder, targets, median (R2)."""
    NO_BETTER_THAN_CHANCE = "no better than chance"
    """targets, calls: whether they are called; of a predictor's card."""
    SITE_TOLD = "site told"
    """encoders: tuple of `name at AUROC 0.97`, which tell the site of a patient well."""
    OLD_TESTS = "old tests"
    """whole: what few units of are; of runs whose tests took every fold for independent."""


class SiteRemedy(StrEnum):
    """What keeping sites together would show."""

    POSSIBLE = "possible"
    UNTESTED = "untested"
    """Scores, but no P values or intervals."""
    SITES_TIED = "sites tied"
    """Patients with slides of several sites tie all sites together."""
    TOO_FEW_SITES = "too few sites"


class Caveat(BaseModel):
    """One caveat."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    code: CaveatCode
    values: dict[str, CaveatValue] = Field(default_factory=dict)

    def number(self, name: str) -> int:
        """Return a value that is a whole number."""
        value = self.values[name]
        if not isinstance(value, int):
            raise TypeError(f"caveat {self.code}: {name} is {value!r}, not a whole number")
        return value

    def names(self, name: str) -> list[str]:
        """Return a value that is several texts."""
        value = self.values[name]
        if not isinstance(value, tuple):
            raise TypeError(f"caveat {self.code}: {name} is {value!r}, not a list of texts")
        return list(value)


def caveat(code: CaveatCode, **values: CaveatValue) -> Caveat:
    """Make a caveat of a code and its values."""
    return Caveat(code=code, values=values)


class EncoderDigests(NamedTuple):
    """What an encoder's embeddings were made with, and what they are."""

    weights: str
    """SHA-256; empty where it is not known."""
    vectors: str
    """Digest of all its embeddings that are compared."""


def same_weights_caveats(encoders: Mapping[str, EncoderDigests]) -> Iterator[Caveat]:
    """Make the caveats of encoders that are one network under several names. Pure.

    Args:
        encoders: By name.
    """
    same: dict[str, list[str]] = {}
    for name, digests in encoders.items():
        if digests.weights:
            same.setdefault(digests.weights, []).append(name)
    for names in same.values():
        if len(names) > 1:
            vectors = {encoders[name].vectors for name in names}
            yield caveat(
                CaveatCode.SAME_WEIGHTS, encoders=tuple(names), same_vectors=len(vectors) == 1
            )


def far_off_caveat(encoder: str, r2: Sequence[float]) -> Caveat | None:
    """Make the caveat of predictions that lie far outside the labels' range. Pure.

    Args:
        encoder: Its name.
        r2: R2 of its targets; nan does not count.

    Returns:
        None where half of the targets or more are predicted within range.
    """
    known = sorted(value for value in r2 if value == value)
    if not known or known[len(known) // 2] >= FAR_OFF:
        return None
    far = sum(value < FAR_OFF for value in known)
    median = known[len(known) // 2]
    return caveat(CaveatCode.FAR_OFF_PREDICTIONS, encoder=encoder, targets=far, median=median)
