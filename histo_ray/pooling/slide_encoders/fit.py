"""Fit a slide encoder without labels on the tiles of a store, and publish it there."""

import hashlib
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save

from histo_ray._version import __version__
from histo_ray.config import digest
from histo_ray.errors import ConfigError
from histo_ray.labels.name_list import read_names
from histo_ray.pooling.pooled_cache import digest_snapshot
from histo_ray.pooling.slide_encoders.base import FittedMethod, SlideSettings
from histo_ray.pooling.slide_encoders.method_encoder import digest_arrays
from histo_ray.pooling.slide_encoders.registry import find_fitted
from histo_ray.pooling.slide_encoders.resolve import check_free_name
from histo_ray.pooling.slide_encoders.slide_settings import FitSlideEncoderConfig
from histo_ray.pooling.slide_encoders.tile_input import read_mpp, read_tile_px
from histo_ray.store.catalog import Partitions, list_partitions
from histo_ray.store.find import choose_slides
from histo_ray.store.half_floats import Float32s, widen
from histo_ray.store.layout import is_given
from histo_ray.store.location import Location
from histo_ray.store.partition_vectors import CountedPartition, read_vectors
from histo_ray.store.receipt_cache import read_receipts
from histo_ray.store.slide_cards import (
    FittedOn,
    SlideEncoderCard,
    hash_person,
    publish_slide_encoder,
    read_slide_card,
)
from histo_ray.store.stated import correct_receipts, read_stated
from histo_ray.store.tilings import find_tiling, one_of_each_tiling
from histo_ray.text import count_of, name_some
from histo_ray.types import Floats, PartitionKey, Receipt

FIT_VERSION = 1
"""Raised whenever the code fits other arrays to the same tiles and settings."""
MOST_TILES = 100_000
"""Tiles that are held for a fit; of more slides fewer tiles are drawn each."""
LEAST_TILES = 16
"""Tiles a slide at least."""

_COLUMNS = ("patientid", "patient", "caseid")

Tell = Callable[[str], None]
Receipts = dict[PartitionKey, Receipt]


def fit_slide_encoder(
    root: Location, config: FitSlideEncoderConfig, tell: Tell
) -> SlideEncoderCard:
    """Fit and publish, or find what the same fit has published.

    Args:
        root: The store.
        config: With a method that is fitted without labels.
        tell: Called with lines on what is done.

    Raises:
        ConfigError: An unknown method, a name that is in use, or too few tiles.
        StoreError: The store lacks the slides, or cannot be read or written.
    """
    method = find_fitted(config.method)
    check_free_name(config.name)
    if not config.encoder:
        raise ConfigError("--encoder is missing; name the tile encoder whose embeddings are read")
    partitions, receipts = list_tiles(root, config.encoder, config.tiling, config.patients)
    settings = SlideSettings(**{n: getattr(config, n) for n in SlideSettings.model_fields})
    fingerprint = _fingerprint(config, settings, receipts)
    known = find_published(root, config.name, fingerprint)
    if known is not None:
        tell(f"{config.name} is in the store, as the same fit published it")
        return known
    tiles = draw_tiles(root, partitions, receipts, settings)
    people = {receipt.slide.patient_id for receipt in receipts.values()}
    tell(
        f"fitting {method.name} on {count_of(len(tiles), 'tile')} of "
        f"{count_of(len(receipts), 'slide')} of {count_of(len(people), 'patient')}"
    )
    fitted = method.fit(tiles, settings)
    facts = _describe_cohort(root, config, receipts, people, len(tiles), fingerprint)
    return publish(root, config, settings, fitted, receipts, facts, fingerprint)


def list_tiles(
    root: Location, encoder: str, tiling: str | None, patients: str
) -> tuple[Partitions, Receipts]:
    """List the slides with tiles that are fitted on, with the patients as they are stated now.

    Raises:
        ConfigError: The file of patients cannot be read, or names nobody here.
        StoreError: Nothing of this encoder, or several tilings and none is named.
    """
    chosen = choose_slides(root, encoder, find_named_tiling(root, encoder, tiling))
    receipts = correct_receipts(read_receipts(root, chosen), read_stated(root))
    full = {key: receipt for key, receipt in receipts.items() if receipt.tile_count}
    if patients:
        asked = set(read_names(patients, "--patients", _COLUMNS))
        full = {key: r for key, r in full.items() if r.slide.patient_id in asked}
        missing = asked - {receipt.slide.patient_id for receipt in full.values()}
        if missing:
            raise ConfigError(
                f"--patients {patients}: {count_of(len(missing), 'patient')} of it without a slide "
                f"with tiles in the store ({name_some(sorted(missing))}); correct the list"
            )
    if not full:
        raise ConfigError(f"encoder {encoder}: no slide with tiles to fit on; extract some first")
    return {key: chosen[key] for key in full}, full


def draw_tiles(
    root: Location, partitions: Partitions, receipts: Receipts, settings: SlideSettings
) -> Float32s:
    """Draw tiles of each slide, (M, D); the same ones for the same seed, slides and tiles."""
    fair = max(LEAST_TILES, MOST_TILES // len(receipts))
    count = min(settings.tiles_per_slide, fair)
    drawn = []
    for key, receipt in receipts.items():
        partition = CountedPartition(key, partitions[key], receipt.tile_count)
        vectors = read_vectors(root, partition)
        rows = _draw_rows(key.slide_id, len(vectors), count, settings.seed)
        chosen: Floats = vectors[rows]
        some = widen(chosen)
        drawn.append(some[np.isfinite(some).all(axis=1)])
    return np.concatenate(drawn)


def publish(
    root: Location,
    config: FitSlideEncoderConfig,
    settings: SlideSettings,
    fitted: FittedMethod,
    receipts: Mapping[PartitionKey, Receipt],
    facts: FittedOn,
    fingerprint: str,
) -> SlideEncoderCard:
    """Publish a fitted method; what another process published meanwhile by the same fit stands."""
    key, receipt = next(iter(receipts.items()))
    arrays = fitted.list_arrays()
    data = save({name: np.ascontiguousarray(values) for name, values in arrays.items()})
    blank = np.zeros((1, receipt.encoder.dim), np.float32)
    card = SlideEncoderCard(
        name=config.name,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        fingerprint=fingerprint,
        file_sha256=hashlib.sha256(data).hexdigest(),
        weights_sha256=digest_arrays(fitted.name, arrays),
        method=fitted.name,
        published_as=fitted.published_as,
        encoder=key.encoder,
        encoder_weights_sha256=receipt.encoder.weights_sha256,
        tile_dim=receipt.encoder.dim,
        dim=len(fitted.encode(blank)),
        tile_px=read_tile_px(receipt),
        mpp=read_mpp(receipt),
        fitted_on=facts,
        settings=settings.model_dump(mode="json"),
        seed=settings.seed,
        library_version=__version__,
    )
    if publish_slide_encoder(root, card, data):
        return card
    return find_published(root, config.name, fingerprint) or card


def find_published(root: Location, name: str, fingerprint: str) -> SlideEncoderCard | None:
    """Find what the same fit has published under a name; None if the name is free.

    Raises:
        ConfigError: The name is in use by another.
        StoreError: Its card is damaged.
    """
    card = read_slide_card(root, name)
    if card is None or card.fingerprint == fingerprint:
        return card
    raise ConfigError(
        f"--name {name}: is in use in {root.path}: {card.method} on {card.encoder}, fitted "
        f"{card.created[:10]} on other slides or settings; choose another"
    )


def find_named_tiling(root: Location, encoder: str, asked: str | None) -> str | None:
    """Find the tiling that a fingerprint, its first letters or an mpp names; None: none is named.

    Raises:
        StoreError: No such one, or several.
    """
    if asked is None:
        return None
    keys = {k: f for k, f in list_partitions(root, encoder).items() if not is_given(k.tiling)}
    firsts = {key: keys[key] for key in one_of_each_tiling(keys)}
    return find_tiling(asked, read_receipts(root, firsts))


def _draw_rows(slide_id: str, total: int, count: int, seed: int) -> npt.NDArray[np.int64]:
    if total <= count:
        return np.arange(total)
    own = int.from_bytes(hashlib.sha256(slide_id.encode()).digest()[:8], "little")
    return np.sort(np.random.default_rng([seed, own]).choice(total, count, replace=False))


def _fingerprint(config: FitSlideEncoderConfig, settings: SlideSettings, receipts: Receipts) -> str:
    whose = {key.slide_id: receipt.slide.patient_id for key, receipt in receipts.items()}
    return digest(
        {
            "version": FIT_VERSION,
            "method": config.method,
            "settings": settings.model_dump(mode="json"),
            "snapshot": digest_snapshot(receipts.items()),
            "patients": whose if config.patient_hashes else None,
        }
    )


def _describe_cohort(
    root: Location,
    config: FitSlideEncoderConfig,
    receipts: Receipts,
    people: Collection[str],
    tiles: int,
    fingerprint: str,
) -> FittedOn:
    salt = digest({"salt of": fingerprint})[:32]
    hashes = tuple(sorted({hash_person(salt, person) for person in people}))
    stated = read_stated(root)
    marked = (stated[key.slide_id].synthetic for key in receipts if key.slide_id in stated)
    return FittedOn(
        supervised=False,
        patients=len(people),
        slides=len(receipts),
        tiles=tiles,
        salt=salt,
        patient_hashes=hashes if config.patient_hashes else None,
        snapshot_sha256=digest_snapshot(receipts.items()),
        synthetic=any(marked),
    )
