"""The page of a report: one HTML file with its pictures inside, which needs no network and no script."""

import base64
import math
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, SupportsFloat, SupportsInt

from framework import __version__
from framework.visualization.comparison import encode

if TYPE_CHECKING:
    from pandas import DataFrame

    from framework.reports.report import RunReport


def render(report: "RunReport") -> str:
    """The page as HTML."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"number": number, "interval": interval, "counted": counted}
    return environment.get_template("page.html").render(
        report=report,
        version=__version__,
        written=f"{datetime.now().astimezone():%Y-%m-%d %H:%M %Z}",
        pictures={
            name: f"data:image/svg+xml;base64,{base64.b64encode(encode(draw(), 'svg')).decode()}" for name, draw in report.figures.items()
        },
        tasks={task: pivot(rows) for task, rows in report.table.groupby("task", sort=False)},
        **report.tables,
    )


def number(value: SupportsFloat, digits: int = 0) -> str:
    """A number with so many digits; a dash for nan."""
    return "-" if math.isnan(float(value)) else f"{float(value):,.{digits}f}"


def counted(count: SupportsInt, noun: str) -> str:
    """`1 run`, `2 runs`."""
    return f"{int(count)} {noun}{'' if int(count) == 1 else 's'}"


def interval(row: Any, digits: int = 0) -> str:
    """The interval of a row; empty where it has none."""
    return "" if math.isnan(row.low) else f"{row.low:,.{digits}f} to {row.high:,.{digits}f}"


def pivot(rows: "DataFrame") -> dict[str, Any]:
    """The budgets of a task in order, and a line for each method and source: its cells by budget."""
    lines = rows.groupby(["source", "method"], sort=False)
    return {
        "budgets": sorted(rows["budget"].unique()),
        "lines": [(method, source, {row.budget: row for row in own.itertuples()}) for (source, method), own in lines],
    }
