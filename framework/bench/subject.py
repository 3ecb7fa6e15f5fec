"""The agent and the replay of a recipe, built without an environment, a simulator or a tracker."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, cast, final

import numpy as np
import torch
from dm_env import specs

from framework.agent import Agent
from framework.composition import Plan
from framework.composition import plan as planned
from framework.composition.factory import freeze
from framework.composition.tree import Node
from framework.data import Factory, Specs
from framework.environments.base import Environment
from framework.errors import UserError
from framework.replay.replay import Replay
from framework.training.policy import build_agent
from framework.training.runtime import Runtime
from framework.vector_environments.base import random_steps, specs_of

SEED: Final = 0
ACTIONS: Final = 6
"""The size of an action of walker and cheetah, on which the cost of an update hardly depends."""


@final
@dataclass(frozen=True)
class Subject:
    """A checked recipe with its bindings, the specs of its environment and its runtime."""

    plan: Plan
    specs: Specs
    runtime: Runtime

    @property
    def settings(self) -> dict[str, Any]:
        """Every value by its key, such as `Agent.horizon`."""
        return dict(self.plan.parameters())

    @property
    def dtype(self) -> torch.dtype:
        """The type of matrix products."""
        return {"float32": torch.float32, "bfloat16": torch.bfloat16}[self.runtime.precision]

    def facts(self) -> dict[str, Any]:
        """The recipe, its specs and its runtime, on which every number depends."""
        return {
            "recipe": self.plan.recipe.stem,
            "bindings": list(self.plan.overrides),
            "observation": {name: list(spec.shape) for name, spec in self.specs.observation.items()},
            "action": list(self.specs.model_action.sizes),
            "precision": self.runtime.precision,
            "compile": self.runtime.compile,
            "capture": self.runtime.capture,
        }

    def agent(self) -> Agent:
        return build_agent(cast("Factory[Agent]", freeze(_part(self.plan, "agent"))), self.specs, self.runtime, SEED)

    def replay(self, *, steps: int, streams: int = 1, **settings: Any) -> Replay:
        """The recipe's replay, of `steps` random steps in episodes of a thousand."""
        factory = freeze(_part(self.plan, "replay"))
        derived = {"capacity": steps, "specs": self.specs, "streams": streams, "device": self.runtime.device, "seed": SEED} | settings
        replay: Replay = factory(**derived)
        random = np.random.default_rng(SEED)
        for number in range(steps // streams):
            replay.add(random_steps(self.specs, streams, number, random))
        return replay


def read(recipe: str, bindings: Sequence[str] = (), imports: Sequence[str] = (), actions: int | None = None) -> Subject:
    """Check a recipe; the `UserError` lists everything that is wrong with it."""
    plan = planned(recipe, bindings, imports=imports)
    if plan.problems or plan.root is None:
        raise UserError("\n".join(str(problem) for problem in plan.problems))
    runtime: Runtime = freeze(_part(plan, "runtime"))()
    return Subject(plan=plan, specs=_specs(plan, actions), runtime=runtime)


def _part(plan: Plan, parameter: str) -> Node:
    assert plan.root is not None
    return plan.root.child(parameter)


def _specs(plan: Plan, actions: int | None) -> Specs:
    """For images of the control suite from the recipe's settings alone, with `actions` numbers; any other environment is built."""
    node = _part(plan, "environment")
    value = {name: setting.value for name, setting in node.settings.items()}
    if node.name == "DMControl" and value["observe"] == "pixels":
        size = value["size"]
        height, width = (size, size) if isinstance(size, int) else size
        pixels = specs.BoundedArray((height, width, 3), np.uint8, 0, 255, name="pixels")
        return Specs(
            observation={"pixels": pixels},
            action=specs.BoundedArray((actions or ACTIONS,), np.float32, -1.0, 1.0, name="action"),
        )
    if actions is not None:
        raise UserError(f"--actions {actions}: {node.name} is built here, and says itself what it takes; leave the option out.")
    return specs_of(cast("Factory[Environment]", freeze(node)))
