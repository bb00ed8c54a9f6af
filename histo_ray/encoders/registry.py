"""From a request to a spec: the built-in table, users' tables, and timm's names. No torch."""

import difflib
import tomllib
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from histo_ray.config import parse_settings
from histo_ray.encoders.base import EncoderSpec
from histo_ray.encoders.plugins import describe_plugin, find_encoder_plugin
from histo_ray.encoders.published import find_published, list_published
from histo_ray.encoders.request import (
    TIMM_KEYS,
    EncoderRequest,
    check_suffix,
    parse_request,
    parse_value,
    slugify,
)
from histo_ray.encoders.timm_names import has_timm_name, list_timm_names
from histo_ray.errors import ConfigError
from histo_ray.plugins import Plugin
from histo_ray.types import JsonObject

BUILT_IN = Path(__file__).parent / "encoders.toml"
_NOT_IN_TABLES = {
    "name", "request", "source", "seed", "published", "published_name", "plugin", "plugin_package",
    "preprocessing", "code_revision",
}  # fmt: skip

Table = dict[str, EncoderSpec]


def resolve(request: str, tables: Sequence[str] = (), store: str | None = None) -> EncoderSpec:
    """Find what a request means. Quick: weights are not looked at, and only `store` is asked.

    Of a plugin the module is imported, and asked what it states.

    Args:
        request: As in `imgnet2048`, `resnet50.a1_in1k`, `hf-hub:org/name`,
            `random:resnet18?seed=1`, `/weights/x.safetensors?arch=resnet50` (or .pth, .pt, .bin),
            `my_module:make_encoder`, or the name of an installed plugin.
        tables: TOML files with encoders of the user's own.
        store: A feature store whose published encoders are known by their names.

    Returns:
        The spec; for names that only timm knows, timm fills in the rest when it is loaded.

    Raises:
        ConfigError: The request or a table cannot be understood.
    """
    parsed = parse_request(request)
    table = _merge_tables(tables)
    plugin = _find_plugin(parsed, table)
    if plugin is not None:
        return describe_plugin(plugin, slugify(parsed.text), parsed.text)
    if store is not None and parsed.kind == "named" and parsed.source not in table:
        published = find_published(store, parsed.source)
        table |= {} if published is None else {parsed.source: published}
    values = _source_values(parsed, table, store)
    values |= _own_values(parsed)
    kwargs = {key: parse_value(text) for key, text in parsed.keys.items() if key in TIMM_KEYS}
    values["timm_kwargs"] = values.get("timm_kwargs", {}) | kwargs
    values["request"] = parsed.text
    return parse_settings(EncoderSpec, values, f"encoder {request!r}")


def list_encoders(tables: Sequence[str] = (), store: str | None = None) -> list[EncoderSpec]:
    """All encoders known by name: the built-in ones, users' own, those published into `store`."""
    published = [] if store is None else list_published(store)
    return [*_merge_tables(tables).values(), *published]


def find_dim(spec: EncoderSpec) -> int | None:
    """Find the length of a vector without loading the encoder; None where nothing states it.

    An encoder that states none has that of a built-in one of the same timm network, if both are
    built and pooled alike.
    """
    if spec.dim is not None or spec.library != "timm" or spec.plugin is not None:
        return spec.dim
    alike = {
        entry.dim
        for entry in _built_in().values()
        if entry.library == spec.library
        and entry.architecture.partition(".")[0] == spec.architecture.partition(".")[0]
        and entry.pool == spec.pool
        and entry.timm_kwargs == spec.timm_kwargs
    }
    return alike.pop() if len(alike) == 1 else None


def _source_values(parsed: EncoderRequest, table: Table, store: str | None) -> JsonObject:
    """What the source alone says."""
    slug = slugify(parsed.text)
    if parsed.kind == "file":
        return _file_values(parsed, slug)
    entry = _find_entry(parsed, table)
    if entry is not None:
        plain = slug == slugify(parsed.text.partition("?")[0])
        own = {"name": entry.name if plain else slug, "sources": entry.sources}
        return entry.model_dump() | own
    if parsed.kind == "hub":
        if parsed.source.count("/") != 1:
            raise ConfigError(
                f"encoder {parsed.text!r}: a hub repository is named ORG/NAME, and "
                f"{parsed.source!r} is not; write hf-hub:ORG/NAME"
            )
        architecture = parsed.keys.get("arch", f"hf-hub:{parsed.source}")
        return {
            "name": slug, "source": "hub", "hub": parsed.source, "architecture": architecture,
        }  # fmt: skip
    _check_timm_name(parsed.text, parsed.source, table, store)
    values: JsonObject = {"name": slug, "source": "timm", "architecture": parsed.source}
    if parsed.kind == "random":
        values |= {"source": "random", "seed": 0}
    return values


def _find_plugin(parsed: EncoderRequest, table: Table) -> Plugin | None:
    """The plugin that is asked for; a table's and timm's names are theirs."""
    if parsed.kind not in ("plugin", "named"):
        return None
    if parsed.kind == "named" and (parsed.source in table or has_timm_name(parsed.source)):
        return None
    found = find_encoder_plugin(parsed.source)
    others = sorted(parsed.keys.keys() - {"name"})
    if found is not None and others:
        raise ConfigError(
            f"encoder {parsed.text!r}: a plugin prepares tiles and pools by itself, so "
            f"{others[0]}= has no meaning; leave it out (name= gives it another name)"
        )
    return found


def _find_entry(parsed: EncoderRequest, table: Table) -> EncoderSpec | None:
    if parsed.kind == "named":
        return table.get(parsed.source)
    if parsed.kind == "hub":  # the table knows more of a repository than its config file does
        asked = parsed.source.lower()
        return next((e for e in table.values() if (e.hub or "").lower() == asked), None)
    return None


def _file_values(parsed: EncoderRequest, slug: str) -> JsonObject:
    architecture = parsed.keys.get("arch")
    if architecture is None:
        raise ConfigError(
            f"encoder {parsed.text!r}: a file of weights does not say which network they belong "
            "to; add ?arch=<timm name>"
        )
    _check_timm_name(parsed.text, architecture, {}, None)
    return {
        "name": slug, "source": "file", "file": parsed.source, "architecture": architecture,
    }  # fmt: skip


def _own_values(parsed: EncoderRequest) -> JsonObject:
    """What the keys we read ourselves say."""
    values: JsonObject = {}
    keys = parsed.keys
    if "px" in keys:
        values["input_px"] = parse_value(keys["px"])
    if "seed" in keys:
        values["seed"] = parse_value(keys["seed"])
    if "rotations" in keys:
        values["rotations"] = parse_value(keys["rotations"])
    for key in ("mean", "std"):
        if key in keys:
            numbers = [parse_value(text) for text in keys[key].split(",")]
            values[key] = tuple(numbers * 3 if len(numbers) == 1 else numbers)
    for key in ("pool", "interpolation"):
        if key in keys:
            values[key] = keys[key].replace(" ", "+")  # a + in a URL may have become a blank
    if parsed.kind == "random" and "file" in keys:
        raise ConfigError(
            f"encoder {parsed.text!r}: random: and file= contradict each other; leave one out"
        )
    if parsed.kind != "file" and "file" in keys:
        values["file"] = keys["file"]
        values["source"] = "file"
    if "arch" in keys and parsed.kind in ("named", "random"):
        raise ConfigError(
            f"encoder {parsed.text!r}: arch= is for files and repositories, and a name already "
            "says which network it is; leave it out"
        )
    return values


def _check_timm_name(text: str, name: str, table: Table, store: str | None) -> None:
    if has_timm_name(name):
        return
    published = [] if store is None else [spec.name for spec in list_published(store)]
    known = dict.fromkeys([*published, *table, *list_timm_names()])
    near = difflib.get_close_matches(name.partition(".")[0], list(known), n=3)
    if near:
        remedy = f"did you mean {' or '.join(near)}?"
    else:
        there = f"published into the store: {', '.join(published)}; " if published else ""
        remedy = f"{there}ours: {', '.join(table) or 'none'}; timm.list_models() lists timm's"
    raise ConfigError(
        f"encoder {text!r}: {name!r} is neither in an encoder table nor in timm; {remedy}"
    )


def _merge_tables(tables: Sequence[str]) -> Table:
    merged = dict(_built_in())
    for file in tables:
        for name, spec in _read_table(Path(file).expanduser()).items():
            if name in merged:
                raise ConfigError(
                    f"{file}: there is an encoder {name!r} already, built in or in another table; "
                    "rename this one"
                )
            merged[name] = spec
    return merged


@cache
def _built_in() -> Table:
    return _read_table(BUILT_IN)


def _read_table(path: Path) -> Table:
    """The entries of one TOML file."""
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"{path}: the encoder table cannot be read ({error.strerror}); check --encoder-table"
        ) from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(
            f"{path}: the encoder table is no valid TOML ({error}); correct the file"
        ) from None
    return {name: _read_entry(path, name, entry) for name, entry in entries.items()}


def _read_entry(path: Path, name: str, entry: object) -> EncoderSpec:
    """One section; a relative `file` starts at the table's own folder."""
    origin = f"{path}: encoder {name!r}"
    if not isinstance(entry, dict):
        raise ConfigError(
            f"{origin} is {entry!r}, and each encoder is a section of the file that begins with "
            f"[{name}]"
        )
    refused = sorted(_NOT_IN_TABLES & entry.keys())
    if refused:
        raise ConfigError(
            f"{origin}: the key {refused[0]!r} has no meaning in an encoder table; leave it out"
        )
    values = entry | {"name": name, "request": name, "source": "timm"}
    if "file" in entry:
        check_suffix(name, str(entry["file"]))
        values["file"] = str(path.parent / Path(str(entry["file"])).expanduser())
        values["source"] = "file"
    elif "hub" in entry:
        values["source"] = "hub"
        of_hub = "AutoModel" if entry.get("library") == "transformers" else f"hf-hub:{entry['hub']}"
        values.setdefault("architecture", of_hub)
    return parse_settings(EncoderSpec, values, origin)
