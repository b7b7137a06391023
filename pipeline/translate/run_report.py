"""Shows a translation run on one page.

Reads: the run's manifest.
Writes: ``_report.html`` beside it.
"""

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
    """Write the page of a run. Every text in it is escaped.

    Args:
        path: the file to write.
        manifest: the run's manifest.
    """
    template = html_page("run.html")
    deferred = sorted({unit.path for unit in manifest.units_deferred})
    page = template.render(
        run=manifest,
        deferred=deferred,
        curves=_histograms(manifest.quality_signals) if manifest.quality_signals else None,
        rate=manifest.rows_per_second,
    )
    write_bytes(path, page.encode())


def _histograms(quality_signals: dict[str, Distribution]) -> Markup:
    figure = Figure(figsize=(11, 2.4), layout="constrained")
    axes_row = figure.subplots(1, len(quality_signals), squeeze=False)[0]
    for axes, (name, signal) in zip(axes_row, quality_signals.items(), strict=True):
        low, high = signal.range_low, signal.range_high
        width = (high - low) / len(signal.counts)
        left_edges = [low + width * i for i in range(len(signal.counts))]
        axes.bar(left_edges, signal.counts, width=width, align="edge", color="#3b76af")
        axes.set(xlabel=_LABELS[name], xlim=(low, high), yscale="log")
        axes.set_ylim(bottom=0.8)
        axes.set_title(f"mean {signal.mean:.3g}", fontsize=9)
    return figure_svg(figure)
