"""Heads of patients, trained on all of them: for each target the best configuration is kept."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from histo_ray.errors import ConfigError
from histo_ray.evaluate.events import TrainingOnAll
from histo_ray.evaluate.jobs import Host
from histo_ray.evaluate.patients.inner_choice import make_head_settings
from histo_ray.evaluate.patients.patient_features import BAGS, load_bags
from histo_ray.evaluate.patients.patient_run import PreparedPatients, PreparedTargets
from histo_ray.evaluate.patients.patient_settings import PatientConfig
from histo_ray.evaluate.run_once import Evaluation
from histo_ray.learn.fit_heads import choose_configurations, fit_patients
from histo_ray.learn.heads.linear_fit import LinearFit
from histo_ray.learn.heads.registry import TrainsOn, load_patient_head, trains_on_bags
from histo_ray.learn.label_scale import LabelScale, fit_label_scale
from histo_ray.learn.patient_heads import PatientData
from histo_ray.learn.targets.configurations import Configuration
from histo_ray.learn.tiles.tile_range import TileRange, measure_range
from histo_ray.predict.card import PartCard
from histo_ray.predict.fitting.describe_patients import (
    ChosenPart,
    describe_class_encoder,
    describe_encoder,
    describe_evaluation,
    describe_labels,
    describe_slide_encoders,
    describe_targets,
    describe_tiling,
)
from histo_ray.predict.fitting.fit_settings import PatientFitOptions
from histo_ray.predict.fitting.kept_choice import predict_kept
from histo_ray.predict.fitting.mil_ensemble import Ensemble, train_ensembles
from histo_ray.predict.fitting.trainers import Trained
from histo_ray.predict.predictor import BagPart, LinearPart, PredictorParts
from histo_ray.text import name_some
from histo_ray.types import Receipt
from histo_ray.types.receipt import UNKNOWN_WEIGHTS

RANGE_TILES = 60_000
"""Tiles of all patients together from which the range of tiles is measured."""
MOST_RANGE_TILES, FEWEST_RANGE_TILES = 200, 20
"""Tiles of one patient among them."""

Fits = dict[int, tuple[LinearFit, ...]]
"""Fits of each configuration on pooled vectors, by its number."""
Ensembles = dict[int, list[Ensemble]]
"""MIL heads of each configuration on bags, likewise."""


def check_heads(config: PatientConfig) -> None:
    """Refuse heads that cannot be kept.

    Raises:
        ConfigError: One of them is not linear.
    """
    if config.harmonise != "none":
        raise ConfigError(
            f"--harmonise {config.harmonise}: a predictor is applied to single patients of other "
            "sites, whose features cannot be made alike to these; fit without it"
        )
    if config.covariate:
        raise ConfigError(
            "--covariate: a predictor sees images alone; fit without it (histo-ray evaluate says "
            "what images add)"
        )
    if config.harmonise != "none":
        raise ConfigError(
            f"--harmonise {config.harmonise}: a predictor is applied to single patients of other "
            "sites, whose features cannot be made alike to these; fit without it"
        )
    if config.covariate:
        raise ConfigError(
            "--covariate: a predictor sees images alone; fit without it (histo-ray evaluate says "
            "what images add)"
        )
    for name in config.head_names:
        if not trains_on_bags(name) and load_patient_head(name).fit is None:
            raise ConfigError(
                f"--head {name}: it is not linear, so it can be evaluated but not kept as a "
                "predictor; use another --head"
            )


def check_weights(prepared: PreparedTargets) -> None:
    """Refuse features that were imported without a digest of the weights that made them.

    Raises:
        ConfigError: They were.
    """
    encoder = describe_encoder(sole_part(prepared))
    if encoder.weights_sha256 == UNKNOWN_WEIGHTS:
        raise ConfigError(
            f"encoder {encoder.name}: its features were imported without the SHA-256 of its "
            "weights, so a predictor could not tell whether those of another store are of the same "
            "encoder; import them as another --encoder with --weights-sha256"
        )


def sole_part(prepared: PreparedTargets) -> PreparedPatients:
    """Return the one part of an evaluation.

    Raises:
        ConfigError: It has targets of several kinds, and a predictor is of one.
    """
    if len(prepared.parts) == 1:
        return prepared.parts[0]
    told = "; ".join(
        f"{part.plan.task.kind.value}: {name_some(part.plan.targets)}" for part in prepared.parts
    )
    raise ConfigError(
        f"--column: columns are of several kinds ({told}), but a predictor is of one kind; fit "
        "those of each kind under a name of its own"
    )


def train_patients(
    prepared: PreparedTargets, evaluation: Evaluation, options: PatientFitOptions, host: Host
) -> Trained:
    """Train every configuration on all patients, keep the best of each target, calibrate it.

    Args:
        prepared: Patients, labels, folds and features of one encoder.
        evaluation: Its cross-validation, whose out-of-fold predictions calibrate.
        options: How it is calibrated, and the size of MIL ensembles.
        host: Where MIL heads are trained, and who is told.
    """
    part = sole_part(prepared)
    plan = part.plan
    cohort = plan.patients.cohort
    host.tell(TrainingOnAll(len(cohort.patients), "patient", len(plan.configurations)))
    fits = _fit_pooled(part)
    bags = {at: c for at, c in enumerate(plan.configurations) if c.pooling == BAGS}
    ensembles = train_ensembles(part, bags, options.ensemble_repeats, host)
    layout, outputs = plan.truth.layout, plan.outputs
    scores = layout.average(_score(plan.configurations, outputs, fits, ensembles))
    chosen = choose_configurations(plan.configurations, scores)[layout.owners]
    linear, attention = _take_parts(plan.configurations, outputs, chosen, fits, ensembles)
    n_folds = part.matrix.n_folds
    parts = PredictorParts(
        tuple(LinearPart(c.pooling, c.head, fit) for c, fit in linear),
        tuple(
            BagPart(c.head, c.variant, tuple(outputs[t] for t in one.targets), one.members, n_folds)
            for c, one in attention
        ),
        _fit_scale(part),
        _measure_range(part),
    )
    poolings = dict.fromkeys(part.pooling for part in parts.linear)
    chosen_parts = [ChosenPart(fit.targets, fit.choice, fit.inner_score) for _, fit in linear] + [
        ChosenPart(part.targets, np.full(len(part.targets), one.choice), one.inner_score)
        for part, (_, one) in zip(parts.bags, attention, strict=True)
    ]
    receipts = _list_receipts(part)
    return Trained(
        parts=parts,
        part_cards=_describe_parts(parts),
        kind=plan.task.kind.value,
        targets=describe_targets(
            part, evaluation, options, chosen_parts, _predict_kept(part, linear)
        ),
        encoder=describe_encoder(part),
        tiling=describe_tiling(part),
        class_encoder=describe_class_encoder(part, list(poolings)),
        slide_encoders=describe_slide_encoders(part, list(poolings)),
        labels=describe_labels(part),
        evaluation=describe_evaluation(part, evaluation),
        patients=cohort.persons,
        n_slides=len(receipts),
        sites=tuple(sorted({site for sites in cohort.sites for site in sites})),
        receipts=receipts,
    )


def _list_receipts(prepared: PreparedPatients) -> tuple[Receipt, ...]:
    """Receipts of the slides of the patients that are used; others may lie in the store."""
    plan = prepared.plan
    used, receipts = set(plan.patients.cohort.patients), plan.found[0].receipts
    own = (receipts[name] for name in plan.patients.slides)
    return tuple(receipt for receipt in own if receipt.slide.patient_id in used)


def _fit_pooled(prepared: PreparedPatients) -> Fits:
    """Train the configurations on pooled vectors; one thread, so that sums keep their order."""
    plan = prepared.plan
    outputs = plan.outputs
    values = prepared.matrix.targets[:, : len(outputs)]
    fits: Fits = {}
    for number, one in enumerate(plan.configurations):
        if one.pooling != BAGS:
            features = prepared.features[one.encoder, one.pooling]
            data = PatientData(features, values, outputs, plan.groups)
            settings = make_head_settings(plan, one)
            with threadpool_limits(1):
                fits[number] = fit_patients(data, settings, plan.config.seed)
    return fits


def _score(
    configurations: Sequence[Configuration],
    targets: Sequence[str],
    fits: Fits,
    ensembles: Ensembles,
) -> npt.NDArray[np.float64]:
    """Inner scores of all configurations, (C, T)."""
    place = {name: at for at, name in enumerate(targets)}
    scores = np.full((len(configurations), len(targets)), np.nan)
    for number, some in fits.items():
        for fit in some:
            scores[number, [place[name] for name in fit.targets]] = fit.inner_score
    for number, heads in ensembles.items():
        for ensemble in heads:
            scores[number, list(ensemble.targets)] = ensemble.inner_score
    return scores


def _take_parts(
    configurations: Sequence[Configuration],
    targets: Sequence[str],
    chosen: npt.NDArray[np.intp],
    fits: Fits,
    ensembles: Ensembles,
) -> tuple[list[tuple[Configuration, LinearFit]], list[tuple[Configuration, Ensemble]]]:
    """Take of each configuration the targets for which it was chosen."""
    by_name: Mapping[str, int] = dict(zip(targets, chosen.tolist(), strict=True))
    linear = []
    for number, some in fits.items():
        for fit in some:
            columns = [at for at, name in enumerate(fit.targets) if by_name[name] == number]
            if columns:
                linear.append((configurations[number], fit.take(columns)))
    attention = []
    for number, heads in ensembles.items():
        for ensemble in heads:
            own = [target for target in ensemble.targets if chosen[target] == number]
            if own:
                attention.append((configurations[number], ensemble.take(own)))
    return linear, attention


def _predict_kept(
    prepared: PreparedPatients, linear: Sequence[tuple[Configuration, LinearFit]]
) -> dict[str, npt.NDArray[np.float64]]:
    """Predict the targets of linear heads out of fold, each by the settings that were chosen."""
    found: dict[str, npt.NDArray[np.float64]] = {}
    for one, fit in linear:
        features = prepared.features[one.encoder, one.pooling]
        found |= predict_kept(features, prepared.matrix, one.head, fit, prepared.plan.config.seed)
    return found


def _describe_parts(parts: PredictorParts) -> tuple[PartCard, ...]:
    linear = [
        PartCard(
            trains_on=TrainsOn.PATIENTS,
            pooling=part.pooling,
            head=part.head,
            targets=part.targets,
            link=part.fit.link,
        )
        for part in parts.linear
    ]
    attention = [
        PartCard(
            trains_on=TrainsOn.BAGS,
            pooling=BAGS,
            head=part.head,
            variant=part.variant,
            targets=part.targets,
            link=part.members[0].link,
            members=len(part.members),
            networks=len(part.members[0].networks),
            network=part.members[0].settings.network,
        )
        for part in parts.bags
    ]
    return (*linear, *attention)


def _fit_scale(prepared: PreparedPatients) -> LabelScale:
    plan = prepared.plan
    raw, used = plan.patients.cohort.labels, plan.patients.labels
    columns = [raw.targets.index(name) for name in used.targets]
    if plan.truth.layout.coding is not None:
        nothing = np.empty((len(plan.outputs), 0))
        return LabelScale("", nothing, nothing)
    return fit_label_scale(plan.task.transform(plan.config), raw.values[:, columns], used.values)


def _measure_range(prepared: PreparedPatients) -> TileRange:
    """Measure the range of tiles, from equally many of each patient."""
    plan = prepared.plan
    each = RANGE_TILES // len(plan.patients.cohort.patients)
    most = min(max(each, FEWEST_RANGE_TILES), MOST_RANGE_TILES)
    bags = load_bags(prepared.store, plan.found, plan.patients, most, plan.config.seed)
    with threadpool_limits(1):
        return measure_range(bags[plan.found[0].encoder].vectors)
