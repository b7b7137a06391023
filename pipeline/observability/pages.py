"""HTML pages and figures. Every text in a page is escaped."""

from __future__ import annotations

import io
from pathlib import Path

import jinja2
import matplotlib as mpl
from markupsafe import Markup
from matplotlib.figure import Figure

_TEMPLATES = Path(__file__).with_name("templates")


def html_template(name: str) -> jinja2.Template:
    """A page's template, in which every text is escaped."""
    return template_environment(autoescape=True).get_template(name)


def template_environment(*, autoescape: bool) -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=autoescape,
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
    )


def figure_svg(figure: Figure) -> Markup:
    """A figure as inline SVG, the same bytes for the same figure."""
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.3)
    content = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "lingo", "svg.fonttype": "path"}):
        figure.savefig(content, format="svg", metadata={"Date": None, "Creator": None})
    # Drawn by matplotlib from numbers and our own labels: the one thing that is not escaped.
    return Markup(content.getvalue()[content.getvalue().index("<svg") :])
