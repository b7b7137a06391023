"""HTML and Markdown pages from templates, and figures as inline SVG."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import jinja2
from markupsafe import Markup

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_TEMPLATES = Path(__file__).with_name("templates")


def html_page(name: str) -> jinja2.Template:
    """The template of an HTML page, such as ``run.html``. Rendering it escapes all text."""
    return _environment(autoescape=True).get_template(name)


def markdown_page(name: str) -> jinja2.Template:
    """The template of a Markdown page, such as ``report.md``. Its filter ``cell`` escapes text."""
    environment = _environment(autoescape=False)
    environment.filters["cell"] = _markdown_cell
    return environment.get_template(name)


def _markdown_cell(text: str) -> str:
    for character in "\\`*_{}[]<>|&~":
        text = text.replace(character, "\\" + character)
    return " ".join(text.split())


def _environment(*, autoescape: bool) -> jinja2.Environment:
    """A Jinja environment over the templates of this package.

    Rendering raises ``jinja2.UndefinedError`` if a value of the template is missing.

    Args:
        autoescape: whether text is escaped for HTML.
    """
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=autoescape,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )


def figure_svg(figure: Figure) -> Markup:
    """A figure as inline SVG. Equal figures give equal bytes.

    The result is not escaped, so a figure must contain only numbers and our own labels.
    """
    import matplotlib as mpl  # takes half a second, and not every page has figures

    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.3)
    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "lingo", "svg.fonttype": "path"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    return Markup(svg[svg.index("<svg") :])
