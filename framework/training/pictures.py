"""Pictures of a finished run: of a batch of its replay, or of its metrics."""

from pathlib import Path
from typing import Final, Literal

import numpy as np
from jaxtyping import UInt8

from framework.composition import Overrides
from framework.data import Pictures
from framework.errors import UserError
from framework.tracking import jsonl
from framework.tracking.media import write_picture
from framework.training import checkpoints
from framework.training.api import compose, find_checkpoint, find_run
from framework.visualization.estimates import CEILING, ESTIMATE, IS_LOWER_BOUND, Curve, draw_estimates

Kind = Literal["which", "imagine", "scores", "estimate"]
GROUP: Final = "contrastive/"
BANK: Final = 1024
"""Images beside the batch that can be retrieved for an imagined latent; the other pictures have the candidates of training."""


def picture(
    run: str,
    kind: Kind = "which",
    bindings: Overrides = (),
    *,
    checkpoint: str = "latest",
    seed: int = 0,
    out: str | Path | None = None,
    folder: str | Path = "runs",
    trust: bool = False,
) -> Path:
    """Draw one picture of a run and return its file, by default `pictures/<kind>-<step>.png` in the run's folder.

    `which`, `imagine` and `scores` show a batch that the seed draws from the checkpoint's replay; `estimate` the estimates of
    mutual information over the whole run.
    """
    if kind == "estimate":
        home = find_run(run, folder)
        curves = read_curves(home)
        step, image = max(max(steps) for steps, _ in curves.values()), draw_estimates(curves)
    else:
        saved = find_checkpoint(run, checkpoint, folder).absolute()
        home = saved.parents[1]
        run_of_home = compose(home / "resolved.gin", bindings, trust=trust)
        pictures = run_of_home.pictures(saved, seed=seed, extra_candidates=BANK if kind == "imagine" else 0)
        step, image = checkpoints.read(saved)[0], _chosen(pictures, kind, home)
    return write_picture(Path(out) if out else home / "pictures" / f"{kind}-{step}.png", image)


def read_curves(home: Path) -> dict[str, Curve]:
    """The estimate of a run, whether it bounds, and its ceiling: steps and values by metric."""
    curves: dict[str, Curve] = {}
    for record in jsonl.read(home):
        if record["kind"] != "metrics":
            continue
        for name in (ESTIMATE, IS_LOWER_BOUND, CEILING):
            if name in record["values"]:
                steps, nats = curves.setdefault(name, ([], []))
                steps.append(record["step"])
                nats.append(float(record["values"][name]))
    if ESTIMATE not in curves:
        raise UserError(f"The metrics of {home} have no {ESTIMATE}: only a run with the objective InfoNCE estimates anything.")
    return curves


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
