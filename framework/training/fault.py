"""The update that ended a run, kept in a file from which it is made again."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, final

import torch
from torch import Tensor

from framework import files
from framework.data import Batch, UpdateNoise
from framework.errors import UserError
from framework.training.learner import Learner, not_finite
from framework.training.policy import PolicyRecipe, build_agent
from framework.training.runtime import Runtime

FAULT: Final = "diverged.pt"


@final
@dataclass(frozen=True)
class Fault:
    """An update whose loss or gradient is not finite, as it was in the run and as it is here."""

    step: int
    update: int
    then: Mapping[str, float]
    here: Mapping[str, float]
    """The same metrics, made again."""
    not_finite: Mapping[str, int]
    """How many numbers of each parameter and of each entry of the batch are not finite before the update."""

    @property
    def again(self) -> bool:
        """Whether a metric is not finite here too."""
        return any(not torch.tensor(value).isfinite() for value in self.here.values())


def save_fault(file: Path, *, learner: Learner, recipe: PolicyRecipe, metrics: Mapping[str, float]) -> None:
    """Write the last update of a run: parameters before it, batch, noise, seed, and the recipe of the agent."""
    progress = {"step": learner.progress.step, "update": learner.progress.updates, "seed": learner.seed}
    contents = learner.last_update() | progress | {"metrics": metrics, "recipe": asdict(recipe), "precision": learner.runtime.precision}
    files.save(file, files.plain(contents, "fault"))


def replay_fault(file: str | Path, *, device: str = "auto", trust: bool = False) -> Fault:
    """Make the update in a `diverged.pt` again, with nothing but this file, on any machine.

    `trust` lets the file of another user run the modules that it holds.
    """
    try:
        content = files.load(Path(file))
    except UserError:
        content = None
    if not isinstance(content, Mapping) or not {"agent", "batch", "noise", "recipe"} <= content.keys():
        raise UserError(f"{file} is missing, damaged, or holds no update that diverged; give the `{FAULT}` of a run.")
    recipe = PolicyRecipe.read({"policy": content["recipe"]}, Path(file))
    runtime = Runtime(device=device, precision=content["precision"])
    agent = build_agent(recipe.compose(trust=trust).root, recipe.specs(), runtime, recipe.seed)
    agent.load_state_dict(content["agent"])
    batch, noise = Batch.of(content["batch"]).to(runtime.device), UpdateNoise(**content["noise"])
    counts = _not_finite(content["agent"]) | _not_finite(content["batch"], "batch.")
    with runtime.autocast():
        metrics = agent.update(batch, noise.map(lambda tensor: tensor.to(runtime.device)))
    then = content["metrics"]
    here = {name: float(metrics[name]) for name in {**then, **not_finite(metrics)}}
    return Fault(step=content["step"], update=content["update"], then=then, here=here, not_finite=counts)


def _not_finite(values: Mapping[str, Any], prefix: str = "") -> dict[str, int]:
    counts = {f"{prefix}{name}": int((~value.isfinite()).sum()) for name, value in values.items() if isinstance(value, Tensor)}
    return {name: count for name, count in counts.items() if count}
