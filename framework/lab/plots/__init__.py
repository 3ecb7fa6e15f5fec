"""The pictures of the laboratory, one module for each kind."""

from matplotlib.figure import Figure

from framework.lab.plots import bounds, cost, derivation, rows
from framework.measurement.report import Report


def draw(report: Report) -> Figure:
    """The picture of a report."""
    plots = {
        "bounds": bounds.plot,
        "negatives": rows.plot_negatives,
        "critics": rows.plot_critics,
        "derivation": derivation.plot,
        "cost": cost.plot,
    }
    return plots[report.command](report)
