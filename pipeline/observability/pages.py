"""HTML pages from templates, and figures as inline SVG."""

from __future__ import annotations

import io
from pathlib import Path

import jinja2
import matplotlib as mpl
from markupsafe import Markup
from matplotlib.figure import Figure

_TEMPLATES = Path(__file__).with_name("templates")


def html_page(name: str) -> jinja2.Template:
    """The template of an HTML page, such as ``run.html``. Rendering it escapes all text."""
    return template_environment(autoescape=True).get_template(name)


def template_environment(*, autoescape: bool) -> jinja2.Environment:
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
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.3)
    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "lingo", "svg.fonttype": "path"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    return Markup(svg[svg.index("<svg") :])
