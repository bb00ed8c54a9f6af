"""`hr.predict`: predictors applied to a store that they were not fitted on."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, Unpack

from histo_ray.deferred import deferred
from histo_ray.errors import ConfigError
from histo_ray.labels.label_settings import LayoutName
from histo_ray.predict.external.predict_settings import PredictConfig

if TYPE_CHECKING:
    from histo_ray.predict.external.prediction_result import PredictionResult

_make_config = deferred("histo_ray.predict.external.apply:make_config")
_predict_all = deferred("histo_ray.predict.external.apply:predict_all")


class PredictSettings(TypedDict, total=False):
    """Settings of `hr.predict`; see `PredictConfig`."""

    from_store: str | Path
    tiling: str | None
    tiles: bool
    target: str | Sequence[str]
    labels: str | Path
    labels_layout: LayoutName
    id_column: str | None
    sequenced: str | Path | None
    subgroup: str | Sequence[str]
    threshold: str
    resamples: int
    seed: int
    check: bool


def predict(
    predictor: str | Path | Sequence[str | Path] | PredictConfig,
    store: str | Path | None = None,
    *,
    say: Callable[[str], None] = lambda text: None,
    **settings: Unpack[PredictSettings],
) -> "PredictionResult":
    """Apply predictors to the slides of a store, and hold them against labels if there are any.

    Patients that a predictor was fitted on are left out. What is done already is found.

    Args:
        predictor: Folder or URI of a predictor, as `STORE_A/predictors/NAME`, or its name with
            `from_store="STORE_A"`; or several, which are compared on the same patients where there
            are labels; or a config object that holds all settings.
        store: Folder or URI of the store to predict in.
        say: Called with lines that are worth knowing.
        **settings: As the flags of `histo-ray predict`, with underscores: `labels`, `subgroup`,
            `tiles`, `threshold`, ...

    Returns:
        `.patients` (DataFrame, a row a patient and target), `.tiles` with `tiles=True`, `.shares`
        of a predictor of classes of tiles; with labels `.validation`, `.subgroups`, `.curves`, and
        `.comparisons` of several predictors; `.record`. `.problems` says of which predictors the
        labels are of one class alone, so that they are predicted but not validated.

    Raises:
        ConfigError: A predictor, the labels or the settings cannot be used.
        StoreError: The store lacks what the predictor needs; says which command extracts it.
    """
    config = _read_config(predictor, store, settings)
    result: PredictionResult = _predict_all(config, say)
    return result


def _read_config(
    predictor: str | Path | Sequence[str | Path] | PredictConfig,
    store: str | Path | None,
    settings: PredictSettings,
) -> PredictConfig:
    if isinstance(predictor, PredictConfig):
        if store is not None or settings:
            raise ConfigError(
                "hr.predict: a config object holds all settings; change it with "
                "config.model_copy(update={...}) in place of further arguments"
            )
        return predictor
    if store is None:
        raise ConfigError("hr.predict: store is missing; name the store to predict in")
    config: PredictConfig = _make_config(predictor, store, settings)
    return config
