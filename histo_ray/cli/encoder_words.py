"""Encoders in words: the list, the page and all that is known of one. Pure."""

import textwrap
from collections.abc import Iterable, Mapping, Sequence

from histo_ray.cli.printable import one_line
from histo_ray.encoder_spec import EncoderSpec

FOOT = (
    "Also: any timm name, hf-hub:ORG/NAME, PATH?arch=NAME (.safetensors, .pth, .pt or .bin), "
    "random:NAME?seed=0, MODULE:OBJECT (Python), and entries of your own (--encoder-table "
    "FILE.toml). `histo-ray encoders show NAME` says all of one."
)
_WIDEST = 100
"""Columns of prose below a table."""
_SPARED = ("pool", "sees", "gated")
"""Columns that a narrow terminal goes without, the first first; `show` has them."""
_HEAD = ("name", "dim", "tile px", "mpp", "sees", "pool", "gated", "licence")
_RIGHT = frozenset({"dim"})
PAGE_HEAD = """\
# Encoders

The encoders known by name, each with the tiles it was made for. The list is made from the entries
(`histo_ray/encoders/encoders.toml`); `histo-ray encoders` prints it for a terminal, `histo-ray
encoders show NAME` all of one, and [extend/encoder.md](extend/encoder.md) says how to add your own.

*tile px* and *mpp* are the contract: other tiles are refused unless `--allow-contract-break` waives
it, which receipts then say. *sees* is what becomes of a tile: resized as a whole, or its centre cut
out. A *gated* repository wants an account, an accepted licence and `HF_TOKEN`. Licences are those
of the weights as their authors name them; what they allow you, you must read there.

"""


def draw_table(specs: Sequence[EncoderSpec], width: int | None = None) -> str:
    """A table for a terminal, one row an encoder.

    Args:
        specs: The encoders.
        width: Columns of the terminal: what `_SPARED` names is left out until the table fits, and
            said below; None: all of it.
    """
    rows = [dict(zip(_HEAD, cells, strict=True)) for cells in (_HEAD, *map(_row, specs))]
    widths = {name: max(len(row[name]) for row in rows) for name in _HEAD}
    shown, spared = list(_HEAD), list[str]()
    while width is not None and _total(widths, shown) > width and len(spared) < len(_SPARED):
        spared.append(_SPARED[len(spared)])
        shown.remove(spared[-1])
    lines = [
        "  ".join(
            row[name].rjust(widths[name]) if name in _RIGHT else row[name].ljust(widths[name])
            for name in shown
        ).rstrip()
        for row in rows
    ]
    if spared:
        what = " and ".join(filter(None, (", ".join(spared[:-1]), spared[-1])))
        lines += ["", f"Left out for the width of this terminal: {what}."]
    return "\n".join(lines)


def _total(widths: Mapping[str, int], names: Sequence[str]) -> int:
    return sum(widths[name] + 2 for name in names) - 2


def wrap_foot(count: str, width: int | None = None) -> str:
    """What stands below a table: how many encoders it has, and what else may be asked for."""
    return textwrap.fill(f"{count} {FOOT}", min(width or _WIDEST, _WIDEST), break_on_hyphens=False)


def draw_page(specs: Sequence[EncoderSpec]) -> str:
    """A page in Markdown: the table, then normalisation and sources of each encoder."""
    head = [name for name in _HEAD if name != "pool"]  # for width; it stands below
    lines = [f"| {' | '.join(head)} |", "|" + "|".join("---" for _ in head) + "|"]
    for spec in specs:
        cells = dict(zip(_HEAD, _row(spec), strict=True))
        cells["name"] = f"[{spec.name}](#{spec.name.replace('.', '')})"
        lines.append(f"| {' | '.join(cells[name] for name in head)} |")
    for spec in specs:
        lines += ["", f"## {spec.name}", "", f"{spec.about}."]
        lines += ["", *(f"* {key}: {value}" for key, value in _facts(spec))]
        lines += [f"* source of {key}: {_linked(value)}" for key, value in spec.sources.items()]
    return PAGE_HEAD + "\n".join(lines) + "\n"


def describe_encoder(spec: EncoderSpec, tiles: str = "") -> str:
    """All that is known of an encoder, one fact a line.

    Args:
        spec: The encoder.
        tiles: From `describe_tiles`, where its request asks for tiles.
    """
    facts = [("name", spec.name), ("about", spec.about), ("request", spec.request)]
    facts += [("tiles asked for", tiles), *_facts(spec)]
    known = [(key, one_line(value)) for key, value in facts if value]
    width = max(len(key) for key, _ in known)
    lines = [f"{key:<{width}}  {value}" for key, value in known]
    for key, value in spec.sources.items():  # what a source says is long: it has its own line
        lines += [f"source of {one_line(key)}", f"  {one_line(value)}"]
    return "\n".join(lines)


def describe_tiles(asked: Mapping[str, float], broken: str) -> str:
    """The tiles that a request asks for, and what of the encoder's contract they break."""
    units = {"tile_px": "{:g} px", "mpp": "{:g} mpp", "stride_px": "a step of {:g} px"}
    told = ", ".join(units[name].format(value) for name, value in asked.items())
    return f"{told}; not what it was made for ({broken})" if broken else told


def describe_filters(mpp: float | None, licence: str | None, gated: bool | None) -> str:
    """The filters of a list, in brackets after its number; empty without any."""
    said = [] if mpp is None else [f"mpp {mpp:g} or any"]
    said += [] if licence is None else [f"licence with {licence!r}"]
    said += [] if gated is None else ["gated" if gated else "not gated"]
    return f" ({', '.join(said)})" if said else ""


def describe_fit(spec: EncoderSpec) -> str:
    """What becomes of a tile before the network sees it."""
    if spec.plugin is not None:
        return f"own, {spec.input_px} px"
    if spec.input_px is None:
        return "what timm states"
    if spec.resize_px is None:
        return f"all, {spec.input_px} px"
    return f"centre {spec.input_px} of {spec.resize_px} px"


def _row(spec: EncoderSpec) -> tuple[str, ...]:
    return (
        spec.name,
        str(spec.dim or ""),
        _list_choice(spec.tile_px),
        _list_choice(spec.mpp),
        describe_fit(spec),
        spec.pool if spec.plugin is None else "own",
        "yes" if spec.gated else "no",
        spec.licence,
    )


def _facts(spec: EncoderSpec) -> list[tuple[str, str]]:
    """What a row leaves out, and what it holds, in words."""
    where = spec.hub or spec.file or (spec.published and f"store {spec.published}") or ""
    where = f"random, seed {spec.seed}" if spec.source == "random" else where
    facts = [
        ("dim", str(spec.dim or "")),
        ("tile px", _list_choice(spec.tile_px)),
        ("mpp", _list_choice(spec.mpp)),
        ("resize or crop", _describe_resize(spec)),
        ("mean of pixels 0..1", _list_numbers(spec.mean) or _unstated(spec)),
        ("std", _list_numbers(spec.std) or _unstated(spec)),
        ("preprocessing", spec.preprocessing),
        ("pool", "" if spec.plugin else _POOLS[spec.pool]),
        ("network", _describe_network(spec)),
        ("weights", where if spec.plugin is None else f"of the plugin {spec.plugin_package}"),
        ("weights SHA-256", spec.weights_sha256 or ""),
        ("licence", spec.licence),
        ("gated", _describe_gate(spec)),
    ]
    return [(key, value) for key, value in facts if value]


def _describe_gate(spec: EncoderSpec) -> str:
    if spec.source == "hub" and not spec.licence:
        return "not known here; the repository's page says so"
    return "yes, a token and an accepted licence are needed" if spec.gated else "no"


def _unstated(spec: EncoderSpec) -> str:
    """Where a normalisation stands that an entry leaves out."""
    return "" if spec.plugin else "what the network's own configuration states, when it is loaded"


def _describe_network(spec: EncoderSpec) -> str:
    if spec.remote_code:
        return (
            f"Python code of {spec.hub}, which runs only at a commit that --trust-remote-code names"
        )
    of = "" if spec.library == "timm" else f" of {spec.library}, as {spec.hub} configures it"
    return f"{spec.architecture}{of}{_list_arguments(spec)}"


_POOLS = {
    "timm": "the network's own",
    "avg": "mean of the patch tokens, or of the map",
    "token": "class token",
    "cls+mean": "class token beside the mean of the patch tokens",
}


def _describe_resize(spec: EncoderSpec) -> str:
    if spec.plugin is not None:
        return "the plugin's own"
    if spec.input_px is None:
        return "what the repository's configuration states, when it is loaded"
    if spec.resize_px is None:
        mode = f" ({spec.interpolation})" if spec.interpolation else ""
        return f"resized whole to {spec.input_px} px{mode}; nothing is cropped"
    return (
        f"resized to {spec.resize_px} px ({spec.interpolation}), of which the centre "
        f"{spec.input_px} px are cropped; a tile of {spec.input_px} px goes in as it is"
    )


def _list_choice(values: float | tuple[float, ...] | None) -> str:
    """Format the numbers that a tile contract allows: "0.25,0.5,1", or "any"."""
    if values is None:
        return "any"
    return ",".join(f"{value:g}" for value in (values if isinstance(values, tuple) else (values,)))


def _list_numbers(values: Iterable[float] | None) -> str:
    return " ".join(f"{value:g}" for value in values or ())


def _list_arguments(spec: EncoderSpec) -> str:
    said = ", ".join(f"{key}={value}" for key, value in spec.timm_kwargs.items())
    return f" ({said})" if said else ""


def _linked(source: str) -> str:
    """URLs as links, all else as it is."""
    return " ".join(
        f"<{word}>" if word.startswith("https://") else word for word in source.split(" ")
    )
