"""Encoders of a run: loaded, checked against the store, described for receipts."""

import logging
import platform
from collections.abc import Sequence

from histo_ray.config import RunSettings, TileSetConfig, TilingConfig
from histo_ray.encoders.base import Encoder, EncoderSpec, check_contract
from histo_ray.encoders.load import LoadedEncoder, load_encoder
from histo_ray.encoders.stored_name import stored_name as stored_name
from histo_ray.errors import ConfigError
from histo_ray.extract.encoder_plan import EncoderPlan
from histo_ray.store.store import Store
from histo_ray.types import EncoderFacts

_log = logging.getLogger(__name__)


def encoder_facts(
    encoder: Encoder,
    tiling: TilingConfig | TileSetConfig,
    config_dtype: str,
    *,
    allow_contract_break: bool,
) -> EncoderFacts:
    """Describe a loaded encoder for receipts, and check its tile contract.

    Raises:
        ConfigError: The encoder was made for other tiles and the caller did not waive that.
    """
    spec = encoder.spec
    if spec.mean is None or spec.std is None or spec.input_px is None:
        raise ConfigError(
            f"encoder {spec.name}: its input size, mean or standard deviation is not known; "
            "add px=, mean= and std= to the request"
        )
    return EncoderFacts(
        name=stored_name(spec.name, config_dtype),
        request=spec.request,
        architecture=spec.architecture,
        weights_sha256=encoder.weights_sha256,
        dim=encoder.dim,
        input_px=spec.input_px,
        mean=spec.mean,
        std=spec.std,
        interpolation=spec.interpolation or "none",
        pool=spec.pool,
        dtype="float32" if config_dtype == "float32" else "float16",
        precision=encoder.precision,
        device=f"{encoder.device} ({platform.machine()})",
        batch_norm_folded=encoder.batch_norm_folded,
        contract_broken=check_contract(
            spec, tiling.mpp, tiling.tile_px, allow_contract_break, tiling.stain
        ),
        resize_px=spec.resize_px,
        rotations=spec.rotations,
        pos_embed_resampled=spec.pos_embed_resampled,
        config_differs=spec.config_differs,
        plugin=" of ".join(filter(None, (spec.plugin, spec.plugin_package))),
        preprocessing=spec.preprocessing,
        licence=spec.licence if spec.plugin else "",
        code_revision=spec.code_revision or "",
    )


def load_run_encoders(
    config: RunSettings, specs: Sequence[EncoderSpec], plan: EncoderPlan
) -> list[tuple[LoadedEncoder, EncoderFacts]]:
    """Load the encoders of a run, and describe each for receipts, in the order given.

    Args:
        config: Engine and element type.
        specs: The encoders.
        plan: Device, precision and CPU threads of each, whatever else this process sees.

    Raises:
        ConfigError: Weights that cannot be had, a broken tile contract, or a device or precision
            that this process cannot give.
        DeviceError: The GPU failed.
    """
    loaded = []
    for spec in specs:
        encoder = load_encoder(
            spec,
            device=plan.device,
            precision=plan.precision,
            threads=plan.threads,
            engine=config.engine,
        )
        allow = config.allow_contract_break
        about = encoder_facts(encoder, config, config.dtype, allow_contract_break=allow)
        loaded.append((encoder, about))
    return loaded


def check_alike(expected: EncoderFacts, found: EncoderFacts) -> None:
    """Check that two processes compute the same vectors with an encoder, up to rounding.

    Another card of the same kind of device is no difference here: partitions name theirs.

    Raises:
        ConfigError: Other weights, precision, folding of batch norms, or engine.
    """
    compared = (
        ("weights", expected.weights_sha256[:12], found.weights_sha256[:12], "the same file"),
        ("precision", expected.precision, found.precision, "GPUs that all have it"),
        (
            "folding of batch norms",
            _folding(expected),
            _folding(found),
            "the same versions of timm and histo_ray",
        ),
        ("engine", expected.engine, found.engine, "the same kind of device"),
    )
    for what, a, b, remedy in compared:
        if a != b:
            raise ConfigError(
                f"encoder {expected.name}: processes of one run differ in {what} ({a}, {b}), and "
                f"their vectors must not be mixed; give all nodes {remedy}"
            )


def _folding(facts: EncoderFacts) -> str:
    return "folded" if facts.batch_norm_folded else "not folded"


def check_loaded(store: Store, facts: Sequence[EncoderFacts]) -> None:
    """Check that the store knows no other weights by these names; warn where a config differs.

    Raises:
        StoreError: It does.
    """
    for about in facts:
        store.check_encoder(about)
        if about.config_differs:
            _log.warning("encoder %s: %s", about.name, about.config_differs)
