"""The estimate of mutual information and its ceiling over a run."""

from collections.abc import Mapping
from typing import Final

from framework.visualization.figures import Pixels, new_figure, to_pixels

ESTIMATE: Final = "contrastive/estimate"
IS_LOWER_BOUND: Final = "contrastive/is_lower_bound"
CEILING: Final = "contrastive/ceiling"
Curve = tuple[list[int], list[float]]


def draw_estimates(curves: Mapping[str, Curve]) -> Pixels:
    """Estimate against ceiling in nats over the environment steps; `curves` has steps and values by metric."""
    is_lower = all(curves[IS_LOWER_BOUND][1]) if IS_LOWER_BOUND in curves else True
    meaning = "a lower bound on the mutual information" if is_lower else "no bound with this choice of negatives or loss"
    figure = new_figure(900, 500)
    figure.set_layout_engine("constrained")
    axes = figure.add_subplot()
    styles = {
        ESTIMATE: (f"estimate, {meaning}", "#0f6fb0" if is_lower else "#b0500f", "-"),
        CEILING: ("ceiling: log of the number of candidates", "0.35", "--"),
    }
    for name, (label, color, dashes) in styles.items():
        if name in curves:
            axes.plot(*curves[name], color=color, linestyle=dashes, linewidth=1.8, label=label)
    axes.set_title("Mutual information of latent and observation", loc="left")
    axes.set(xlabel="environment steps", ylabel="nats")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.set_ylim(bottom=min(0.0, *(min(curves[name][1]) for name in styles if name in curves)))
    axes.grid(alpha=0.25)
    axes.legend(loc="lower right")
    return to_pixels(figure)
