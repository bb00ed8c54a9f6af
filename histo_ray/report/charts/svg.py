"""A matplotlib figure as inline SVG: small, accessible, the same text for the same figure."""

import io
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from xml.etree import ElementTree

from markupsafe import Markup
from matplotlib import style
from matplotlib.figure import Figure

from histo_ray.report.charts.chart_style import CHART_STYLE

SVG = "{http://www.w3.org/2000/svg}"
HREF = "{http://www.w3.org/1999/xlink}href"
_NUMBER = re.compile(r"-?\d+\.\d+")
_REFERENCE = re.compile(r"url\(#([^)]+)\)")
_FONT = re.compile(r"\s*font-family:[^;]*;?")
_STILL = re.compile(r"^rotate\(-?0 ")
_UNPRINTABLE = re.compile(r"[^\t\n\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that a page cannot hold: control characters, and what XML 1.0 (2.2) excludes."""
_NOTHING_SAID = dict.fromkeys(("Date", "Creator", "Format", "Type"))

Draw = Callable[[Figure], None]


@contextmanager
def _chart_style() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # browsers have it
        with style.context(["default", CHART_STYLE]):
            yield


def draw_svg(
    draw: Draw,
    size_px: tuple[float, float],
    name: str,
    title: str,
    text: str,
    points: Mapping[str, Sequence[str]] | None = None,
) -> Markup:
    """Draw a chart and give it as an `<svg>` element for a page.

    Args:
        draw: Draws into an empty figure with a constrained layout.
        size_px: (width, height) of the chart at its natural size; the page may scale it.
        name: Of the chart, unique in the page; ids inside begin with it.
        title: What the chart shows, for those who cannot see it.
        text: What it says, likewise.
        points: By the gid of a scatter, the name of each of its points.

    Returns:
        The element, without any reference to something outside of it.
    """
    sink = io.StringIO()
    with _chart_style():
        figure = Figure(figsize=(size_px[0] / 72, size_px[1] / 72), layout="constrained")
        draw(figure)
        figure.savefig(sink, format="svg", metadata=_NOTHING_SAID)
    root = ElementTree.fromstring(sink.getvalue())  # noqa: S314 - matplotlib wrote it just now
    _name_points(root, points or {})
    _drop_ballast(root)
    _shorten(root)
    _rename_ids(root, name)
    _describe(root, name, title, text)
    for node in root.iter():
        node.tag = node.tag.removeprefix(SVG)
    return Markup(ElementTree.tostring(root, encoding="unicode"))  # noqa: S704 - escaped by it


def printable(text: str) -> str:
    """Set `text` on one line, without characters that XML or a line of type cannot hold."""
    return " ".join(replace_unprintable(text, " ").split())


def replace_unprintable(text: str, by: str) -> str:
    """Replace control characters (but tab and line feed) and non-characters of `text` by `by`."""
    return _UNPRINTABLE.sub(by, text)


def _name_points(root: ElementTree.Element, points: Mapping[str, Sequence[str]]) -> None:
    groups = {node.get("id"): node for node in root.iter(f"{SVG}g")}
    for gid, names in points.items():
        uses = list(groups[gid].iter(f"{SVG}use")) if gid in groups else []
        for use, name in zip(uses, names, strict=True):
            ElementTree.SubElement(use, f"{SVG}title").text = printable(name)


def _drop_ballast(root: ElementTree.Element) -> None:
    """Remove metadata, the style sheet (it would act on the whole page) and the background."""
    for parent in list(root.iter()):
        for child in list(parent):
            dropped = child.tag in (f"{SVG}metadata", f"{SVG}style")
            background = parent.get("id") == "figure_1" and child.get("id") == "patch_1"
            if dropped or background:
                parent.remove(child)
        if parent.tag != f"{SVG}text" and parent.text is not None and not parent.text.strip():
            parent.text = None
        parent.tail = None


def _shorten(root: ElementTree.Element) -> None:
    """Round coordinates to a hundredth of a px, and state a group's common attributes once."""
    for node in root.iter():
        for key in ("d", "x", "y", "width", "height", "points", "transform"):
            value = node.get(key)
            if value is not None and node is not root:
                node.set(key, " ".join(_NUMBER.sub(_round, value).split()))
        if _STILL.match(node.get("transform", "")):
            del node.attrib["transform"]
        if "style" in node.attrib:
            node.set("style", _FONT.sub("", node.attrib["style"]).strip(" ;"))
        styles = {child.get("style") for child in node}
        if len(styles) == 1 and all(child.tag == f"{SVG}use" for child in node):
            (common,) = styles
            if common and "style" not in node.attrib:
                node.set("style", common)
                for child in node:
                    del child.attrib["style"]


def _round(found: re.Match[str]) -> str:
    return f"{float(found[0]):.2f}".rstrip("0").rstrip(".")


def _rename_ids(root: ElementTree.Element, name: str) -> None:
    """Keep the ids that are referred to, under names that no other chart of the page has."""
    renamed: dict[str, str] = {}
    for node in root.iter():
        if HREF in node.attrib:
            old = node.attrib.pop(HREF).removeprefix("#")
            node.set("href", f"#{renamed.setdefault(old, f'{name}-{len(renamed)}')}")
        for key in ("clip-path", "style"):
            found = _REFERENCE.search(node.get(key, ""))
            if found:
                new = renamed.setdefault(found[1], f"{name}-{len(renamed)}")
                node.set(key, node.attrib[key].replace(found[0], f"url(#{new})"))
    for node in root.iter():
        old_id = node.attrib.pop("id", None)
        if old_id in renamed:
            node.set("id", renamed[old_id])


def _describe(root: ElementTree.Element, name: str, title: str, text: str) -> None:
    """Make it an image with a name and a description, of a size that the page decides."""
    width, height = root.get("viewBox", "").split()[2:]
    root.attrib.clear()
    root.attrib |= {
        "viewBox": f"0 0 {float(width):g} {float(height):g}",
        "width": f"{float(width):g}",
        "height": f"{float(height):g}",
        "role": "img",
        "aria-labelledby": f"{name}-title {name}-text",
    }
    for place, (part, words) in enumerate((("title", title), ("text", text))):
        tag = {"title": "title", "text": "desc"}[part]
        node = ElementTree.Element(f"{SVG}{tag}", {"id": f"{name}-{part}"})
        node.text = printable(words)
        root.insert(place, node)
