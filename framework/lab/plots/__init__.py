"""The pictures of the laboratory."""

from matplotlib import rc_context
from matplotlib.figure import Figure

from framework.lab.plots.panels import plot_bounds, plot_cost, plot_derivation
from framework.lab.plots.rows import plot_critics, plot_negatives
from framework.measurement.report import Report
from framework.visualization.style import STYLE


@rc_context(STYLE)
def draw(report: Report) -> Figure:
    """The picture of a report."""
    plots = {
        "bounds": plot_bounds,
        "negatives": plot_negatives,
        "critics": plot_critics,
        "derivation": plot_derivation,
        "cost": plot_cost,
    }
    return plots[report.command](report)
