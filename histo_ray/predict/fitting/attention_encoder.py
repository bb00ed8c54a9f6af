"""A slide encoder from the attention heads of a fitted predictor, published into its store."""

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
from safetensors.numpy import save

from histo_ray._version import __version__
from histo_ray.config import digest
from histo_ray.errors import ConfigError
from histo_ray.learn.mil.networks.registry import check_attends
from histo_ray.pooling.slide_encoders.attention import AttentionEncoder
from histo_ray.pooling.slide_encoders.fit import find_published
from histo_ray.pooling.slide_encoders.method_encoder import digest_arrays
from histo_ray.pooling.slide_encoders.registry import ATTENTION
from histo_ray.pooling.slide_encoders.resolve import check_free_name
from histo_ray.pooling.slide_encoders.slide_settings import FitSlideEncoderConfig
from histo_ray.predict.card import PredictorCard
from histo_ray.predict.files import load_predictor
from histo_ray.predict.predictor import BagPart, FittedPredictor
from histo_ray.store.location import location_of
from histo_ray.store.slide_cards import FittedOn, SlideEncoderCard, publish_slide_encoder
from histo_ray.text import count_of


def publish_attention(
    config: FitSlideEncoderConfig, tell: Callable[[str], None]
) -> SlideEncoderCard:
    """Publish the attention of a predictor's heads as a slide encoder.

    The heads were trained by `fit` on all of its patients, with their labels: the slide encoder
    must not be evaluated on these, and its card keeps the hashes by which they are found.

    Args:
        config: Names the predictor.
        tell: Called with lines on what is done.

    Raises:
        ConfigError: No such predictor, one without attention heads, or a name that is in use.
        StoreError: The predictor is damaged, or the store cannot be written.
    """
    check_free_name(config.name)
    if not config.predictor:
        raise ConfigError(
            "--method attention: needs --predictor NAME, a predictor of this store with attention "
            "heads: histo-ray fit TASK --head mil --name NAME ..."
        )
    if config.patients:
        raise ConfigError(
            "--patients: the heads of a predictor were trained already; leave it out, and choose "
            "patients as the predictor is fitted"
        )
    root = location_of(config.store)
    predictor = load_predictor(config.predictor, config.store)
    part = _choose_part(predictor)
    fingerprint = digest(["attention", predictor.card.fingerprint, predictor.card.file_sha256])
    known = find_published(root, config.name, fingerprint)
    if known is not None:
        tell(f"{config.name} is in the store, as the same predictor gave it")
        return known
    encoder = AttentionEncoder(part.members)
    arrays = encoder.list_arrays()
    data = save({name: np.ascontiguousarray(values) for name, values in arrays.items()})
    card = _describe(
        config, predictor.card, part, fingerprint, data, digest_arrays(ATTENTION, arrays)
    )
    tell(f"{count_of(len(part.members), 'head')} of predictor {config.predictor}")
    if publish_slide_encoder(root, card, data):
        return card
    return find_published(root, config.name, fingerprint) or card


def _choose_part(predictor: FittedPredictor) -> BagPart:
    """Choose the attention heads of the first target that has some.

    Raises:
        ConfigError: None has.
    """
    if not predictor.parts.bags:
        raise ConfigError(
            f"predictor {predictor.card.name}: has no attention heads, but heads on vectors of "
            f"{', '.join(predictor.card.poolings) or 'tiles'}; fit one with --head mil"
        )
    part = predictor.parts.bags[0]
    for member in part.members:
        check_attends(member.settings.network)
    return part


def _describe(
    config: FitSlideEncoderConfig,
    card: PredictorCard,
    part: BagPart,
    fingerprint: str,
    data: bytes,
    weights_sha256: str,
) -> SlideEncoderCard:
    px, mpp = card.tiling.settings.get("tile_px"), card.tiling.settings.get("mpp")
    return SlideEncoderCard(
        name=config.name,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        fingerprint=fingerprint,
        file_sha256=hashlib.sha256(data).hexdigest(),
        weights_sha256=weights_sha256,
        method=ATTENTION,
        published_as=AttentionEncoder.published_as,
        encoder=card.encoder.name,
        encoder_weights_sha256=card.encoder.weights_sha256,
        tile_dim=card.encoder.dim,
        dim=card.encoder.dim,
        tile_px=px if isinstance(px, int) else None,
        mpp=float(mpp) if isinstance(mpp, int | float) else None,
        fitted_on=FittedOn(
            supervised=True,
            labels=f"{card.task}: {', '.join(part.targets)}",
            patients=card.cohort.n_patients,
            slides=card.cohort.n_slides,
            tiles=0,
            salt=card.cohort.salt,
            patient_hashes=card.cohort.patient_hashes,
            snapshot_sha256=card.fingerprint,
            synthetic=card.synthetic,
        ),
        settings={"predictor": card.name, "predictor_sha256": card.file_sha256},
        seed=card.seed,
        library_version=__version__,
    )
