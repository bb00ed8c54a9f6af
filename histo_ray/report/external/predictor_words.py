"""What a predictor is, in a few lines for a terminal. Pure."""

from collections import Counter
from collections.abc import Iterator

from histo_ray.learn.targets.target_metrics import METRICS
from histo_ray.predict.card import PredictorCard, TargetCard
from histo_ray.report.caveat_words import write_caveat
from histo_ray.text import count_of, name_first
from histo_ray.types import TargetKind

SHOWN = 6
"""Targets whose scores are printed, the best ones."""


def describe_predictor(card: PredictorCard, folder: str) -> Iterator[str]:
    """Describe a predictor.

    Args:
        card: Its card.
        folder: Path or URI of its folder.
    """
    targets = count_of(len(card.targets), "target")
    mark = "SYNTHETIC, " if card.synthetic else ""
    yield f"{card.name}: {mark}{card.task}, {targets} by {card.encoder.name}; {card.use}"
    heads = Counter(_name_part(card, target) for target in card.targets)
    yield f"  heads: {', '.join(f'{name} ({number})' for name, number in heads.most_common())}"
    yield f"  predictions: {card.labels.scale}"
    yield f"  trained on {_name_rows(card)}"
    scored = [target for target in card.targets if target.score is not None]
    best = sorted(scored, key=lambda target: -(target.score or 0.0))[:SHOWN]
    for target in best:
        yield f"  {_describe_target(target)}"
    if len(card.targets) > len(best):
        yield f"  and {count_of(len(card.targets) - len(best), 'more target')}"
    run, rows = card.evaluation, "tiles" if card.kind == "classes" else "patients"
    yield (
        f"  scores: cross-validation of the same {rows}, {run.repeats} x {run.n_folds} folds, in "
        f"{run.folder}"
    )
    for one in card.caveats:
        yield f"  Beware: {write_caveat(one)}."
    if card.cohort.patient_hashes is None:
        yield (
            "  no patient hashes: predict cannot find patients of another store that it was "
            "trained on"
        )
    yield f"  predictor {card.file_sha256[:12]} in {folder}"
    yield f"  next: histo-ray predict --predictor {folder} --store OTHER_STORE"


def _name_part(card: PredictorCard, target: TargetCard) -> str:
    part = card.parts[target.part]
    words = [part.head, part.variant, f"on {part.pooling}" if part.pooling else "on tiles"]
    if part.members:
        words.append(f"x {part.members}")
    if part.networks > 1:
        words.append(f"of {part.networks} networks")
    return " ".join(word for word in words if word)


def _name_rows(card: PredictorCard) -> str:
    cohort = card.cohort
    if card.kind == "classes":
        tiles = sum(target.n_patients for target in card.targets)
        known = count_of(cohort.n_patients, "patient") if cohort.n_patients else "patients unknown"
        return f"{count_of(tiles, 'tile')} ({known})"
    sites = f" of sites {name_first(list(cohort.sites), 6)}" if cohort.sites else ""
    patients = count_of(cohort.n_patients, "patient")
    return f"{patients} with {count_of(cohort.n_slides, 'slide')}{sites}"


def _describe_target(target: TargetCard) -> str:
    whole = target.label and target.metric == METRICS[TargetKind.ORDINAL].name
    of = f" of {target.column} as a whole" if whole else ""
    text = f"{target.name}: {target.metric}{of} {target.score:.3f}"
    if target.low is not None and target.high is not None:
        text += f" ({target.low:.3f} to {target.high:.3f})"
    if target.thresholds:
        first = target.thresholds[0]
        text += (
            f"; threshold {first.value:.3f} ({first.rule}): sensitivity {first.sensitivity:.2f}, "
            f"specificity {first.specificity:.2f}"
        )
    return text
