"""The style that plots share: colors, lines and markers that are told apart without color as well."""

from typing import Any, Final

from cycler import cycler

COLORS: Final = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#000000")
"""Okabe and Ito (2008), which color-blind readers tell apart."""
DASHES: Final = ("-", "--", "-.", (0, (1, 1.2)))
MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X", "*")
STYLE: Final[dict[str, Any]] = {
    "figure.constrained_layout.use": True,
    "figure.dpi": 150,
    "figure.titlesize": 10,
    "font.size": 9,
    "axes.prop_cycle": cycler(color=COLORS),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.markersize": 4,
}


def line_style(index: int) -> dict[str, Any]:
    """Color, dashes and marker of the method of this number; 56 differ in color and marker."""
    return {"color": COLORS[index % 7], "linestyle": DASHES[index % 4], "marker": MARKERS[index % 8]}
