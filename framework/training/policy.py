"""The policy, for use outside training: `reset()` and `act(observation)`."""

import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from dm_env import specs

from framework import composition
from framework.agent import Agent
from framework.data import Factory, Specs
from framework.errors import UserError
from framework.training import checkpoints
from framework.training.actor import Actor
from framework.training.runtime import Runtime

FILES = ("agent", "policy")


@final
@dataclass(frozen=True)
class PolicyRecipe:
    """What a checkpoint needs to become an agent again: the resolved recipe, the user's own modules, the specs, the seed."""

    resolved: str
    modules: dict[str, str]
    observation: dict[str, dict[str, Any]]
    action: dict[str, Any]
    seed: int

    @staticmethod
    def of(composed: composition.Composition, shown: Specs, seed: int) -> "PolicyRecipe":
        action = shown.action
        bounds = {"minimum": np.asarray(action.minimum).tolist(), "maximum": np.asarray(action.maximum).tolist()}
        return PolicyRecipe(
            resolved=composed.resolved,
            modules={path.name: path.read_text() for path in composed.plugins},
            observation={name: {"shape": list(spec.shape), "dtype": str(spec.dtype)} for name, spec in shown.observation.items()},
            action={"shape": list(action.shape), "dtype": str(action.dtype), **bounds},
            seed=seed,
        )

    def specs(self) -> Specs:
        """The specs, without an environment; a lone integer is a discrete action."""
        action, dtype = self.action, np.dtype(self.action["dtype"])
        shape, low, high = tuple(action["shape"]), action["minimum"], action["maximum"]
        lone = not shape and np.issubdtype(dtype, np.integer)
        return Specs(
            observation={
                name: specs.Array(tuple(spec["shape"]), np.dtype(spec["dtype"]), name=name) for name, spec in self.observation.items()
            },
            action=specs.DiscreteArray(high + 1, dtype, "action") if lone else specs.BoundedArray(shape, dtype, low, high, name="action"),
        )

    def compose(self) -> composition.Composition:
        """The recipe, composed again from its own text."""
        with tempfile.TemporaryDirectory(prefix="dream-") as folder:
            for name, text in self.modules.items():
                (Path(folder) / name).write_text(text)
            recipe = Path(folder) / "resolved.gin"
            recipe.write_text(self.resolved)
            return composition.load(recipe)


@final
class Policy:
    """A trained agent that acts with its best action. It remembers between calls of `act`; `reset` begins a new episode.

    `act` takes the named arrays of one observation, as the environment gave them, or of several at once with a leading axis, and
    answers with actions to match, as the agent gives them: numbers in [-1, 1], or a one-hot group for each choice.
    """

    def __init__(self, *, agent: Agent, runtime: Runtime, seed: int) -> None:
        self.agent, self.runtime, self.seed = agent.eval(), runtime, seed
        self._actor: Actor | None = None
        self._first = True

    def reset(self) -> None:
        """Forget what was seen: the next observation is the first of an episode."""
        self._first = True

    def act(self, observation: Mapping[str, np.ndarray]) -> np.ndarray:
        """The action for an observation."""
        wanted = self.agent.specs.observation
        if set(observation) != set(wanted):
            raise UserError(f"The policy observes {sorted(wanted)} and was given {sorted(observation)}.")
        name = next(iter(wanted))
        single = np.ndim(observation[name]) == len(wanted[name].shape)
        rows = {key: np.asarray(value)[None] if single else np.asarray(value) for key, value in observation.items()}
        count = len(rows[name])
        if self._first or self._actor is None:
            self._actor = Actor(
                agent=self.agent, runtime=self.runtime, count=count, mode="mode", generator=self.runtime.generator(self.seed, 902)
            )
        action = self._actor.act(rows, np.full(count, self._first))
        self._first = False
        return action[0] if single else action


def read_policy(folder: Path, runtime: Runtime) -> Policy:
    """The policy in the folder of one checkpoint."""
    _, contents = checkpoints.read(folder)
    recipe = PolicyRecipe(**contents["policy"])
    agent = build_agent(recipe.compose().root.keywords["agent"], recipe.specs(), runtime, recipe.seed)
    agent.load_state_dict(contents["agent"])
    return Policy(agent=agent, runtime=runtime, seed=recipe.seed)


def build_agent(factory: Factory[Agent], shown: Specs, runtime: Runtime, seed: int) -> Agent:
    """An agent on the runtime's device, its parameters drawn from the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        agent: Agent = factory(specs=shown)
    return agent.to(runtime.device)


def export_policy(checkpoint: Path, target: Path) -> Path:
    """Copy what a policy needs of a checkpoint, and neither the replay nor the optimizers."""
    target.mkdir(parents=True, exist_ok=True)
    progress = json.loads((checkpoint / checkpoints.PROGRESS).read_text())
    names = [f"{name}.pt" for name in FILES]
    for name in names:
        shutil.copy2(checkpoint / name, target / name)
    kept = progress | {"sha256": {name: progress["sha256"][name] for name in names}}
    (target / checkpoints.PROGRESS).write_text(json.dumps(kept, indent=2))
    return target
