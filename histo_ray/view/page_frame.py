"""The frame of a page: the template that Bokeh's models are put into."""

from collections.abc import Mapping
from importlib.resources import files

from bokeh.document import Document
from bokeh.models import UIElement
from jinja2 import Environment

_PAGE = files("histo_ray.view").joinpath("templates/page.html")


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
    doc.template = Environment(autoescape=False).from_string(_PAGE.read_text(encoding="utf-8"))  # noqa: S701 - the page escapes, Bokeh's parts are HTML
    doc.template_variables.update({"kind": kind, "heading": heading, "parts": list(parts), **texts})
