"""What a record of patients repeats of its tables."""

from histo_ray.evaluate.record_part import MaybeFloat, RecordPart


class EncoderSummary(RecordPart):
    """What one encoder comes to over all targets."""

    targets: int = 0
    mean_score: MaybeFloat = None
    median_score: MaybeFloat = None
    n_untested: int = 0
    n_better_than_chance: int = 0
    n_paper: int = 0
    """Targets that a publication would count: P < 0.05 of the mean prediction."""


class EndpointRecord(RecordPart):
    """The mean difference of two encoders over all targets: a row of `outcome_endpoints`."""

    targets: int
    score_a: MaybeFloat
    score_b: MaybeFloat
    difference: MaybeFloat
    low: MaybeFloat
    high: MaybeFloat
    p: MaybeFloat
    p_holm: MaybeFloat
    df: MaybeFloat


class PairSummary(RecordPart):
    """What the comparison of two encoders comes to over all targets."""

    encoder_a: str
    encoder_b: str
    metric: str
    targets: int
    untested: int = 0
    b_higher: int
    b_better: tuple[str, ...]
    """Targets whose difference has q below 0.05: among those that both encoders together predict
    better than chance; in runs without an endpoint among all."""
    a_better: tuple[str, ...]
    mean_difference: float
    endpoint: EndpointRecord | None = None
    """None: a run from before there was one."""
    both_found: int = 0
    """Targets that both encoders together predict better than chance."""
    paper_counted: int
    paper_b_higher: int


class ShownScore(RecordPart):
    """One encoder's score of one target."""

    score: MaybeFloat
    low: MaybeFloat
    high: MaybeFloat
    q_chance: MaybeFloat


class ShownTarget(RecordPart):
    """One of the targets that are predicted best."""

    target: str
    metric: str
    by_encoder: dict[str, ShownScore]
    q_corrected: tuple[MaybeFloat, ...] = ()
    """q of each pair of encoders, over all targets."""
    q_found: tuple[MaybeFloat, ...] = ()
    """The same, among targets that both encoders together predict; None of all others."""
    differences: tuple[MaybeFloat, ...] = ()
    """Difference of each pair."""
