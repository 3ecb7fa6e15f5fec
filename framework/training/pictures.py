"""Pictures of a finished run: of a batch of its replay, or of its metrics."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

import numpy as np
from jaxtyping import UInt8

from framework.data import Pictures
from framework.errors import UserError
from framework.tracking import jsonl
from framework.tracking.media import write_picture
from framework.training import checkpoints as saved
from framework.training.api import compose, find_checkpoint, find_run

Kind = Literal["which", "imagine", "scores", "estimate"]
GROUP: Final = "contrastive/"
ESTIMATES: Final = ("contrastive/estimate", "contrastive/estimate_no_bound")
CEILING: Final = "contrastive/ceiling"
BANK: Final = 1024
"""How many images beside the batch an imagined latent can find; they are not drawn for the others, whose candidates training's are."""
Curve = tuple[list[int], list[float]]


def picture(
    run: str,
    kind: Kind = "which",
    bindings: Sequence[str] = (),
    *,
    checkpoint: str = "latest",
    seed: int = 0,
    out: str | Path | None = None,
    folder: str | Path = "runs",
) -> Path:
    """Draw one picture of a run and return its file, by default `pictures/<kind>-<step>.png` in the run's folder.

    `which`, `imagine` and `scores` show a batch that the seed draws from the checkpoint's replay; `estimate` the estimates of
    mutual information over the whole run.
    """
    if kind == "estimate":
        home = find_run(run, folder)
        curves = read_curves(home)
        step, image = max(max(steps) for steps, _ in curves.values()), draw_estimate(curves)
    else:
        found = find_checkpoint(run, checkpoint, folder).absolute()
        home = found.parents[1]
        pictures = compose(home / "resolved.gin", bindings).pictures(found, seed=seed, extra=BANK if kind == "imagine" else 0)
        step, image = saved.read(found)[0], _chosen(pictures, kind, home)
    return write_picture(Path(out) if out else home / "pictures" / f"{kind}-{step}.png", image)


def read_curves(home: Path) -> dict[str, Curve]:
    """The estimates of a run and their ceiling: at which steps, and how many nats."""
    curves: dict[str, Curve] = {}
    for record in jsonl.read(home):
        if record["kind"] != "metrics":
            continue
        for name in (*ESTIMATES, CEILING):
            if name in record["values"]:
                steps, nats = curves.setdefault(name, ([], []))
                steps.append(record["step"])
                nats.append(float(record["values"][name]))
    if not any(name in curves for name in ESTIMATES):
        raise UserError(f"The metrics of {home} have no {ESTIMATES[0]}: only a run with the objective InfoNCE estimates anything.")
    return curves


def draw_estimate(curves: dict[str, Curve]) -> UInt8[np.ndarray, "Y X 3"]:
    """Estimate against ceiling over the environment steps."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5), dpi=100, layout="constrained")
    axes = figure.add_subplot()
    looks = {
        ESTIMATES[0]: ("estimate, a lower bound on the mutual information", "#0f6fb0", "-"),
        ESTIMATES[1]: ("estimate, no bound with this choice of negatives or loss", "#b0500f", "-"),
        CEILING: ("ceiling: log of the number of candidates", "0.35", "--"),
    }
    for name, (label, color, dashes) in looks.items():
        if name in curves:
            axes.plot(*curves[name], color=color, linestyle=dashes, linewidth=1.8, label=label)
    axes.set_title("How much latent and observation tell of each other", loc="left")
    axes.set_xlabel("environment steps")
    axes.set_ylabel("nats")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.set_ylim(bottom=min(0.0, *(min(nats) for _, nats in curves.values())))
    axes.grid(alpha=0.25)
    axes.legend(loc="lower right")
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.array(canvas.buffer_rgba())[..., :3].copy()


def _chosen(pictures: Pictures, kind: Kind, home: Path) -> UInt8[np.ndarray, "Y X 3"]:
    drawn = {name.removeprefix(GROUP): image for name, image in pictures.items() if name.startswith(GROUP)}
    if not drawn:
        raise UserError(f"The run {home} has no contrastive objective, and so nothing to draw; give a run whose recipe binds InfoNCE.")
    if kind not in drawn:
        reason = (
            "its sequences are too short, or its replay holds a single episode"
            if "which" in drawn
            else "its agent does not observe exactly one image"
        )
        raise UserError(f"The run {home} has no picture '{kind}', because {reason}; it has: {', '.join(sorted(drawn))}, estimate.")
    return drawn[kind].cpu().numpy()
