"""Predictors of a store, `predictors/<name>/`: published whole, and held against their digests."""

from histo_ray.predict.card import PredictorCard
from histo_ray.predict.predictor import FittedPredictor, PredictorParts

PREDICTORS = "predictors"
CARD, ARRAYS = "predictor.json", "predictor.safetensors"


def load_predictor(predictor: str, store: str = "") -> FittedPredictor:
    """Load a predictor and hold it against its digests.

    Args:
        predictor: Name in `store`, or path or URI of its folder (which may have been copied out of
            its store).
        store: Path or URI of the store; empty: `predictor` is a folder.

    Raises:
        ConfigError: There is no such predictor; names those that there are.
        StoreError: It is damaged, was changed, or is of a newer version.
    """
    raise NotImplementedError


def read_predictor_card(predictor: str, store: str = "") -> PredictorCard:
    """Read the card alone; arguments and errors as `load_predictor`."""
    raise NotImplementedError


def list_predictors(store: str) -> list[str]:
    """Names of the predictors of a store, sorted; cards are not read."""
    raise NotImplementedError


def publish_predictor(store: str, card: PredictorCard, parts: PredictorParts) -> PredictorCard:
    """Put a predictor into a store: whole or not at all, and never over another.

    Args:
        store: Path or URI of the store.
        card: Without `file_sha256`, which is filled in.
        parts: Its arrays.

    Returns:
        The card that is in the store now.

    Raises:
        ConfigError: The name is in use by another predictor.
    """
    raise NotImplementedError
