"""The plot of `dream lab derivation`."""

import math
from collections.abc import Sequence
from typing import Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from framework.errors import UserError
from framework.lab.report import Report, Row, shown

TITLES: Final = {
    "noisy": "A latent that tells\nsomething of the observation",
    "collapsed": "Collapse: a latent that\nignores the observation",
    "one-to-one": "A latent that names\nthe observation: I = H(o)",
}
TICKS: Final = (2, 16, 128, 1024, 4096)
BLUE, ORANGE, GREEN, GRAY = "#0072B2", "#D55E00", "#009E73", "#777777"
"""Of Okabe and Ito (2008), which color-blind readers tell apart."""


def plot(report: Report) -> Figure:
    """Eq. 15 against the number of candidates: for each representation, between the true information and the ceiling."""
    rows = [row for row in report.rows if row.name == "Eq. 15"]
    if not rows:
        raise UserError("The plot shows Eq. 15, and --only leaves it out; add --only 'Eq. 15'.")
    latents = list(dict.fromkeys(str(row.under["latent"]) for row in rows))
    figure = Figure(figsize=(3.4 * len(latents), 4.0), dpi=150, layout="constrained")
    panels = figure.subplots(1, len(latents), sharex=True, sharey=True, squeeze=False)[0]
    highest = max(row.truth or 0.0 for row in rows)
    for panel, latent in zip(panels, latents, strict=True):
        _panel(panel, [row for row in rows if row.under["latent"] == latent], TITLES[latent])
        panel.set_ylim(-0.08 * (highest + 0.5), highest + 0.5)
    figure.suptitle("Eq. 15, which tells K observations apart, comes to the information from below as K grows", fontsize=10)
    panels[0].set_ylabel("nats")
    handles = {str(handle.get_label()): handle for panel in panels for handle in panel.get_legend_handles_labels()[0]}
    figure.legend(handles=[*handles.values()], loc="outside lower center", ncols=len(handles), frameon=False, fontsize=8)
    return figure


def _panel(panel: Axes, rows: Sequence[Row], title: str) -> None:
    counts, truth = [int(row.under["K"] or 0) for row in rows], rows[0].truth or 0.0
    sampled = [(count, row.also) for count, row in zip(counts, rows, strict=True) if "sampled" in row.also]
    panel.axhline(truth, color=ORANGE, linewidth=1.5, label="true I(s; o)")
    panel.plot(counts, [math.log(count) for count in counts], color=GRAY, linestyle="--", linewidth=1.2, label="ceiling log K")
    panel.plot(counts, [row.mean or 0.0 for row in rows], color=BLUE, marker="o", markersize=4, linewidth=1.5, label="Eq. 15, exact")
    if sampled:
        means, errors = ([float(also[name] or 0.0) for _, also in sampled] for name in ("sampled", "sampled_stderr"))
        panel.errorbar(
            [count for count, _ in sampled], means, errors, color=GREEN, fmt="x", markersize=7, capsize=3, label="Eq. 15, sampled batches"
        )
    panel.set_xscale("log", base=2)
    panel.set_xticks(TICKS, [f"{tick:,}" for tick in TICKS])
    panel.set_xlabel("candidates K")
    panel.set_title(title, fontsize=9)
    panel.annotate(f"I = {shown(round(truth, 3) + 0.0)}", (counts[-1], truth), (0, 4), textcoords="offset points", ha="right", fontsize=8)
    panel.grid(alpha=0.25)
