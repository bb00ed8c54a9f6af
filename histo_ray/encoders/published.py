"""Encoders that fine-tuning has published into a store: `models/<name>/`. Quick, without torch."""

from histo_ray.encoder_spec import EncoderSpec
from histo_ray.errors import ConfigError, StoreError
from histo_ray.storage import locate
from histo_ray.store import models
from histo_ray.store.models import HEAD_PREFIX, Adapter, ModelCard

__all__ = [
    "HEAD_PREFIX",
    "Adapter",
    "ModelCard",
    "find_published",
    "list_published",
    "read_card",
    "read_weights_file",
]


def find_published(store: str, name: str) -> EncoderSpec | None:
    """Find the encoder that a store holds under `name`; None if it holds none.

    Raises:
        ConfigError: The store cannot be reached, or the card not be read.
    """
    card = read_card(store, name)
    return None if card is None else _spec_of(card, store)


def list_published(store: str) -> list[EncoderSpec]:
    """List all encoders published into a store, by name.

    Raises:
        ConfigError: The store cannot be reached, or a card not be read.
    """
    try:
        names = models.list_names(models.locate_models(store))
    except StoreError as error:
        raise ConfigError(str(error)) from None
    cards = [read_card(store, name) for name in names]
    return [_spec_of(card, store) for card in cards if card is not None]


def read_card(store: str, name: str) -> ModelCard | None:
    """Read the card of a published encoder; None if there is none.

    Raises:
        ConfigError: The store cannot be reached, or the card not be read.
    """
    try:
        return models.read_card(models.locate_models(store), name)
    except StoreError as error:
        raise ConfigError(str(error)) from None


def read_weights_file(store: str, name: str) -> bytes:
    """Read the weights of a published encoder and its head (safetensors), held against its card.

    Raises:
        ConfigError: Not there, damaged, or not what the card says.
    """
    card = read_card(store, name)
    if card is None:
        raise ConfigError(
            f"encoder {name!r}: {store}/{models.MODELS} holds no published encoder of that name; "
            "check --store, which every node must see"
        )
    try:
        return models.read_weights(models.locate_models(store), card)
    except StoreError as error:
        raise ConfigError(f"encoder {name!r}: {error}") from None


def _spec_of(card: ModelCard, store: str) -> EncoderSpec:
    """The card's spec, bound to where the weights are."""
    bases = () if card.adapter is None else (card.adapter.base,)
    for spec in (card.encoder, *bases):
        if spec.plugin is not None or spec.remote_code or spec.library != "timm":
            raise ConfigError(
                f"encoder {card.name!r}: its card in {store} names code that would run here "
                f"({spec.plugin or spec.hub}), and only networks of timm can be published; "
                "leave this encoder out, and find out who wrote that card"
            )
    where = store if "://" in store else locate(store)[1]  # absolute: workers run elsewhere
    update = {"published": where, "published_name": card.name, "request": card.name}
    return card.encoder.model_copy(update=update | {"weights_sha256": card.weights_sha256})
