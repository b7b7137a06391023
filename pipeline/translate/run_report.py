"""A translation run on one page, for people. Reads a run's manifest; writes ``_report.html``."""

from __future__ import annotations

from markupsafe import Markup
from matplotlib.figure import Figure

from pipeline.observability.pages import figure_svg, html_page
from pipeline.storage.files import write_bytes
from pipeline.storage.location import Location
from pipeline.table.distributions import Distribution
from pipeline.table.manifest import RunManifest

_LABELS = {
    "score": "score (nats per token)",
    "length_ratio": "length ratio (characters)",
    "repetition": "repetition",
    "copy_rate": "copy rate",
    "unknown_rate": "unknown rate",
}


def write_run_report(path: Location, manifest: RunManifest) -> None:
    """Write the page of a run; every text in it is escaped."""
    template = html_page("run.html")
    deferred = sorted({unit.path for unit in manifest.units_deferred})
    page = template.render(
        run=manifest,
        deferred=deferred,
        curves=_histograms(manifest.quality_signals) if manifest.quality_signals else None,
        rate=manifest.rows_per_second,
    )
    write_bytes(path, page.encode())


def _histograms(measures: dict[str, Distribution]) -> Markup:
    figure = Figure(figsize=(11, 2.4), layout="constrained")
    for axes, (name, found) in zip(
        figure.subplots(1, len(measures), squeeze=False)[0], measures.items(), strict=True
    ):
        width = (found.high - found.low) / len(found.counts)
        lefts = [found.low + width * i for i in range(len(found.counts))]
        axes.bar(lefts, found.counts, width=width, align="edge", color="#3b76af")
        axes.set(xlabel=_LABELS[name], xlim=(found.low, found.high), yscale="log")
        axes.set_ylim(bottom=0.8)
        axes.set_title(f"mean {found.mean:.3g}", fontsize=9)
    return figure_svg(figure)
