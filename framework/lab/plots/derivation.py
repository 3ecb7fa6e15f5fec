"""The picture of `dream lab derivation`."""

from typing import Final

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from framework.errors import UserError
from framework.lab.plots.style import BLUE, GRAY, GREEN, RED, STYLE, numbers
from framework.measurement.report import Report, Row, shown

TITLES: Final = {
    "noisy": "A latent with a part of the\nobservation's information",
    "collapsed": "Collapse: a latent that\nignores the observation",
    "one-to-one": "A latent that names\nthe observation: I = H(o)",
}
TICKS: Final = (2, 16, 128, 1024, 4096)


@rc_context(STYLE)
def plot(report: Report) -> Figure:
    """Eq. 15 against the number of candidates: for each representation, between the true information and the ceiling."""
    rows = [row for row in report.rows if row.name == "Eq. 15"]
    if not rows:
        raise UserError("The plot shows Eq. 15, and --only leaves it out; add --only 'Eq. 15'.")
    latents = list(dict.fromkeys(str(row["latent"]) for row in rows))
    figure = Figure(figsize=(3.4 * len(latents), 4.0))
    panels = figure.subplots(1, len(latents), sharex=True, sharey=True, squeeze=False)[0]
    for panel, latent in zip(panels, latents, strict=True):
        _panel(panel, [row for row in rows if row["latent"] == latent], TITLES[latent])
    top = numbers(rows, "truth").max() + 0.5
    panels[0].set_ylim(-0.08 * top, top)
    panels[0].set_ylabel("nats")
    figure.suptitle("Eq. 15, which tells K observations apart, approaches the information from below as K grows")
    handles = {label: handle for panel in panels for handle, label in zip(*panel.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles, loc="outside lower center", ncols=len(handles))
    return figure


def _panel(panel: Axes, rows: list[Row], title: str) -> None:
    counts, exact, truth = numbers(rows, "K"), numbers(rows, "mean"), rows[0].number("truth")
    sampled, errors = numbers(rows, "sampled"), numbers(rows, "sampled_stderr")
    panel.axhline(truth, color=RED, linewidth=1.5, label="true I(s; o)")
    panel.plot(counts, np.log(counts), color=GRAY, linestyle="--", linewidth=1.2, label="ceiling log K")
    panel.plot(counts, exact, color=BLUE, marker="o", linewidth=1.5, label="Eq. 15, exact")
    if np.isfinite(sampled).any():
        panel.errorbar(counts, sampled, errors, color=GREEN, fmt="x", markersize=7, capsize=3, label="Eq. 15, sampled batches")
    panel.set_xscale("log", base=2)
    panel.set_xticks(TICKS, [f"{tick:,}" for tick in TICKS])
    panel.set_xlabel("candidates K")
    panel.set_title(title, loc="center", fontsize=9)
    panel.annotate(f"I = {shown(round(truth, 3))}", (counts[-1], truth), (0, 4), textcoords="offset points", ha="right", fontsize=8)
