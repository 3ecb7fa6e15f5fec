"""The estimate of mutual information and its ceiling over a run."""

from collections.abc import Mapping
from typing import Final

from framework.visualization.figures import Pixels, new_figure, to_pixels

ESTIMATES: Final = ("contrastive/estimate", "contrastive/estimate_no_bound")
CEILING: Final = "contrastive/ceiling"
Curve = tuple[list[int], list[float]]


def draw_estimates(curves: Mapping[str, Curve]) -> Pixels:
    """Estimate against ceiling in nats over the environment steps; `curves` has steps and values by metric."""
    figure = new_figure(900, 500)
    figure.set_layout_engine("constrained")
    axes = figure.add_subplot()
    styles = {
        ESTIMATES[0]: ("estimate, a lower bound on the mutual information", "#0f6fb0", "-"),
        ESTIMATES[1]: ("estimate, no bound with this choice of negatives or loss", "#b0500f", "-"),
        CEILING: ("ceiling: log of the number of candidates", "0.35", "--"),
    }
    for name, (label, color, dashes) in styles.items():
        if name in curves:
            axes.plot(*curves[name], color=color, linestyle=dashes, linewidth=1.8, label=label)
    axes.set_title("Mutual information of latent and observation", loc="left")
    axes.set(xlabel="environment steps", ylabel="nats")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.set_ylim(bottom=min(0.0, *(min(nats) for _, nats in curves.values())))
    axes.grid(alpha=0.25)
    axes.legend(loc="lower right")
    return to_pixels(figure)
