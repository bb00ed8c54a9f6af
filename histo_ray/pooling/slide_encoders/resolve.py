"""From what a user asks for to a slide encoder: ours, published in the store, of the table, plugin.

Names of ours and of the table win over published ones and plugins: no package that is installed by
chance changes what `titan` means.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple
from urllib.parse import parse_qsl

from safetensors.numpy import load as load_arrays

from histo_ray.encoders.request import slugify
from histo_ray.encoders.slide_plugin import GuardedPlugin, find_slide_plugin
from histo_ray.encoders.slide_protocol import SlideEncoderPlugin
from histo_ray.encoders.slide_table import (
    SlideEntry,
    find_slide_entry,
    list_slide_entries,
    open_slide_entry,
)
from histo_ray.errors import ConfigError, StoreError
from histo_ray.pooling.slide_encoders.attention import AttentionEncoder
from histo_ray.pooling.slide_encoders.base import SlideMethod
from histo_ray.pooling.slide_encoders.method_encoder import MethodEncoder, PublishedEncoder
from histo_ray.pooling.slide_encoders.registry import (
    ATTENTION,
    FITTED,
    METHODS,
    find_fitted,
    find_method,
)
from histo_ray.store.location import Location
from histo_ray.store.partition import first_line
from histo_ray.store.slide_cards import (
    SLIDE_ENCODERS,
    SlideEncoderCard,
    list_slide_encoders,
    read_slide_arrays,
    read_slide_card,
)
from histo_ray.text import did_you_mean

_KEYS = ("file", "name")


class Origin(StrEnum):
    """Where a slide encoder comes from."""

    BUILT_IN = "built in"
    PUBLISHED = "published"
    TABLE = "table"
    PLUGIN = "plugin"


class NamedSlideEncoder(NamedTuple):
    """A slide encoder, not loaded yet, and its name in the store."""

    name: str
    request: str
    origin: Origin
    encoder: SlideEncoderPlugin
    plugin: str = ""
    """The plugin in words; empty: none."""

    @property
    def is_quick(self) -> bool:
        """Whether it needs no code or weights but ours, so that pooling may encode by itself."""
        return self.origin in (Origin.BUILT_IN, Origin.PUBLISHED)


def find_slide_encoder(
    root: Location, request: str, trusted: Sequence[str] = ()
) -> NamedSlideEncoder | None:
    """Find the slide encoder that a request names; None if there is none. Loads nothing.

    Args:
        root: The store, which may have it published.
        request: A name, or `module:object`; `?name=NAME` gives another name in the store, and
            `?file=PATH` names the weights of one of the table.
        trusted: Commits of repositories whose code may run, as `--trust-remote-code` takes them.

    Raises:
        ConfigError: The request cannot be read, or code would run that nobody trusts.
        StoreError: A card is damaged.
    """
    source, keys = parse_slide_request(request)
    entry = find_slide_entry(source)
    if "file" in keys and entry is None:
        raise ConfigError(
            f"slide encoder {request}: ?file= is for weights of {_join(_table_names())}"
        )
    name = keys.get("name", slugify(source))
    if (method := find_method(source)) is not None:
        return NamedSlideEncoder(name, request, Origin.BUILT_IN, MethodEncoder(method()))
    if entry is not None:
        made = open_slide_entry(entry, keys.get("file"), trusted)
        return NamedSlideEncoder(name, request, Origin.TABLE, made)
    if trusted:
        raise ConfigError(
            f"--trust-remote-code {trusted[0]}: {source} runs no code of a repository; leave it out"
        )
    if (card := read_slide_card(root, source)) is not None:
        return NamedSlideEncoder(source, request, Origin.PUBLISHED, open_published(root, card))
    if (plugin := find_slide_plugin(source)) is not None:
        words = f"{plugin.target} of {plugin.package}" if plugin.package else plugin.target
        return NamedSlideEncoder(name, request, Origin.PLUGIN, GuardedPlugin(plugin), words)
    return None


def resolve_slide_encoder(
    root: Location, request: str, trusted: Sequence[str] = ()
) -> NamedSlideEncoder:
    """Find the slide encoder that a request names; arguments as `find_slide_encoder`.

    Raises:
        ConfigError: There is none; says what there is.
    """
    found = find_slide_encoder(root, request, trusted)
    if found is not None:
        return found
    source = parse_slide_request(request)[0]
    if source in {*(method.name for method in FITTED), ATTENTION}:
        raise ConfigError(
            f"slide encoder {source!r}: is a method that is fitted first, and the store has none "
            f"of that name: histo-ray fit-slide-encoder --method {source} --name {source} ..."
        )
    published = list_slide_encoders(root)
    names = [*(method.name for method in METHODS), *_table_names(), *published]
    raise ConfigError(
        f"slide encoder {source!r}: is unknown; there are {_join(names)}, plugins as "
        f"module:object, and what fit-slide-encoder publishes{did_you_mean(source, names)}"
    )


def open_published(root: Location, card: SlideEncoderCard) -> PublishedEncoder:
    """Open a slide encoder by its card; its arrays are read when it is loaded."""
    return PublishedEncoder(card, lambda: read_method(root, card))


def read_method(root: Location, card: SlideEncoderCard) -> SlideMethod:
    """Read the method of a card with its arrays.

    Raises:
        StoreError: They are missing or damaged, or do not fit the card.
    """
    origin = f"{SLIDE_ENCODERS}/{card.name}"
    data = read_slide_arrays(root, card)
    try:
        arrays = load_arrays(data)
        if card.method == ATTENTION:
            return AttentionEncoder.from_arrays(arrays, origin)
        return find_fitted(card.method).from_arrays(arrays)
    except (KeyError, ValueError, ConfigError) as error:
        raise StoreError(
            f"{origin}: its arrays do not fit its card ({first_line(error)}); fit it again under "
            "another name"
        ) from None


def check_free_name(name: str) -> None:
    """Refuse a name for a published slide encoder that means another one already.

    Raises:
        ConfigError: It is one of ours, or of the table.
    """
    if find_method(name) is not None or find_slide_entry(name) is not None:
        raise ConfigError(f"--name {name}: is the name of a slide encoder already; choose another")


def parse_slide_request(request: str) -> tuple[str, dict[str, str]]:
    """Take `SOURCE?key=value` apart.

    Raises:
        ConfigError: An unknown key, or one without a value.
    """
    source, _, query = request.strip().partition("?")
    keys = dict(parse_qsl(query, keep_blank_values=True))
    for key, value in keys.items():
        if key not in _KEYS or not value:
            raise ConfigError(
                f"slide encoder {request}: {key}={value} is no setting of it; it takes "
                "?name=NAME and ?file=PATH"
            )
    return source, keys


def describe_all(root: Location | None) -> list[tuple[str, Origin, SlideEntry | None, str]]:
    """List what can be asked for by name: name, origin, entry of the table, one line."""
    found: list[tuple[str, Origin, SlideEntry | None, str]] = [
        (method.name, Origin.BUILT_IN, None, method.about) for method in METHODS
    ]
    found += [(entry.name, Origin.TABLE, entry, entry.about) for entry in list_slide_entries()]
    for name in [] if root is None else list_slide_encoders(root):
        card = None if root is None else read_slide_card(root, name)
        if card is not None:
            about = f"{card.method} on {card.encoder}, fitted on {card.fitted_on.slides} slides"
            found.append((name, Origin.PUBLISHED, None, about))
    return found


def _table_names() -> list[str]:
    return [entry.name for entry in list_slide_entries()]


def _join(names: Sequence[str]) -> str:
    return ", ".join(names)
