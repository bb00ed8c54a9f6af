"""The frame of a page: the template that Bokeh's models are put into."""

from collections.abc import Mapping
from functools import cache
from importlib.resources import files

from bokeh.document import Document
from bokeh.models import UIElement
from jinja2 import Environment, Template


def fill_page(
    doc: Document, kind: str, heading: str, parts: Mapping[str, UIElement], **texts: str | bool
) -> None:
    """Put models into a document, and the document into the viewer's page.

    Args:
        doc: Of a session.
        kind: `cohort` or `slide`: how parts are arranged.
        heading: First line, and the window's title.
        parts: Models by the names of their places.
        texts: `about`, `cohort` (an address), `back` and `back_text`, `synthetic`.
    """
    for name, part in parts.items():
        part.name = name
        doc.add_root(part)
    doc.title = f"{heading} - histo-ray"
    doc.template = _load_page()
    doc.template_variables.update({"kind": kind, "heading": heading, "parts": list(parts), **texts})


@cache
def _load_page() -> Template:
    """Compile the template, which escapes texts itself, as Bokeh's parts are HTML."""
    text = files("histo_ray.view").joinpath("templates/page.html").read_text(encoding="utf-8")
    return Environment(autoescape=False).from_string(text)  # noqa: S701
