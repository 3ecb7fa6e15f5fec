"""The style that all pictures of the laboratory share."""

from collections.abc import Iterable
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from framework.errors import UserError
from framework.measurement.report import Report, Row
from framework.visualization.style import COLORS

BLUE, ORANGE, GREEN, RED, *_ = COLORS
TRUTH: Final = "#444444"
GRAY: Final = "#666666"


def measured_rows(report: Report, key: str) -> list[Row]:
    """The rows with a value of that name."""
    rows = [row for row in report.rows if row[key] is not None]
    if not rows:
        raise UserError(f"--plot: there is nothing to plot, since no row of this table has a value for {key}; the notes below it say why.")
    return rows


def numbers(rows: list[Row], key: str) -> np.ndarray:
    """nan, which is not drawn, where a row has no such number."""
    return np.array([row.number(key) for row in rows])


def legend(figure: Figure, panels: Iterable[Axes], place: str, title: str = "") -> None:
    """One legend of all panels, each label once."""
    handles = {label: handle for panel in panels for handle, label in zip(*panel.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles, title=title, loc=f"outside {place}", ncols=len(handles))
