"""The life of `predict`: apply predictors, hold them against labels, compare them."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import get_origin

from histo_ray.config import parse_settings
from histo_ray.encoder_spec import NAME_PATTERN
from histo_ray.errors import ConfigError
from histo_ray.predict.external.applied import AppliedPredictor, apply_predictor
from histo_ray.predict.external.predict_settings import PredictConfig
from histo_ray.predict.external.prediction_result import PredictionResult
from histo_ray.predict.external.validation import (
    OneClassError,
    Validation,
    compare_predictors,
    validate_predictor,
)
from histo_ray.predict.files import PREDICTORS, is_predictor, list_predictors, load_predictor
from histo_ray.predict.made_once import Say
from histo_ray.predict.predictor import FittedPredictor
from histo_ray.storage.shipped import check_shipped
from histo_ray.store.store import open_store


def predict_all(config: PredictConfig, say: Say = lambda text: None) -> PredictionResult:
    """Predict with the predictors of a config, and validate and compare them where it has labels.

    What is done already is found. Predictions stay in the store whatever becomes of the labels.

    Args:
        config: What is applied to what.
        say: Called with lines that are worth knowing.

    Raises:
        ConfigError: A predictor, the labels or settings cannot be used.
        StoreError: The store lacks what a predictor needs, or something is damaged.
    """
    return apply_all([_load(name, config) for name in config.predictor], config, say)


def predict(predictor: FittedPredictor, store: str | Path, **settings: object) -> PredictionResult:
    """Predict with a loaded predictor; see `predict_all`.

    Args:
        predictor: From `load_predictor`.
        store: Folder or URI of the store.
        **settings: As the flags of `histo-ray predict`, with underscores.
    """
    config = make_config(predictor.card.name, store, settings)
    return apply_all([predictor], config)


def make_config(
    predictor: str | Path | Sequence[str | Path], store: str | Path, settings: Mapping[str, object]
) -> PredictConfig:
    """Make a config of keywords; a path may be a `Path`, and one text stands for a list of one.

    Raises:
        ConfigError: All problems, in one line.
    """
    given = {"predictor": predictor, "store": store, **settings}
    plain = {name: _to_plain(name, value) for name, value in given.items()}
    return parse_settings(PredictConfig, plain, "hr.predict")


def apply_all(
    predictors: Sequence[FittedPredictor], config: PredictConfig, say: Say = lambda text: None
) -> PredictionResult:
    """Apply loaded predictors; arguments and errors as `predict_all`."""
    check_shipped(config)
    store = open_store(config.store)
    applied = tuple(apply_predictor(store, one, config, say) for one in predictors)
    if not config.labels:
        return PredictionResult(config.store, applied)
    validations, problems = _validate_all(applied, config, say)
    comparison = None
    if len(validations) > 1:
        comparison = compare_predictors(validations, config, say)
    return PredictionResult(config.store, applied, validations, comparison, problems)


def _validate_all(
    applied: Sequence[AppliedPredictor], config: PredictConfig, say: Say
) -> tuple[tuple[Validation, ...], tuple[str, ...]]:
    """Validate each predictor; of those whose labels are of one class, why that is impossible."""
    said: set[str] = set()

    def say_once(text: str) -> None:
        """Say what is true of labels once, not for every predictor."""
        if text not in said:
            said.add(text)
            say(text)

    validations, problems = [], []
    for one in applied:
        try:
            validations.append(validate_predictor(one, config, say_once))
        except OneClassError as error:
            problems.append(str(error))
    return tuple(validations), tuple(problems)


def _load(name: str, config: PredictConfig) -> FittedPredictor:
    """Load a predictor by its folder, or by its name in a store.

    Raises:
        ConfigError: There is none; says what to give.
        StoreError: It is damaged.
    """
    if config.from_store:
        return load_predictor(name, config.from_store)
    if not re.fullmatch(NAME_PATTERN, name) or is_predictor(name):
        return load_predictor(name)
    if name in list_predictors(config.store):
        return load_predictor(name, config.store)
    raise ConfigError(
        f"predictor {name!r}: neither a folder of a predictor nor a name in store {config.store}; "
        f"give its folder, as in STORE/{PREDICTORS}/{name}, or the store that it was fitted in "
        "with --from-store"
    )


def _to_plain(name: str, value: object) -> object:
    """Turn a keyword into what the settings take."""
    field = PredictConfig.model_fields.get(name)
    several = field is not None and get_origin(field.annotation) is tuple
    if isinstance(value, Path):
        value = str(value)
    if several and isinstance(value, str):
        return (value,)
    if several and isinstance(value, Sequence):
        return tuple(str(one) if isinstance(one, Path) else one for one in value)
    return value
