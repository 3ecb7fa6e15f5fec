"""A trained policy outside training: `reset()` and `act(observation)`."""

import atexit
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, final

import dm_env
import numpy as np
import torch

from framework import composition
from framework.agent import Agent
from framework.data import Factory
from framework.environments.actions import action_form
from framework.environments.gymnasium_spaces import array_spec
from framework.errors import UserError
from framework.specs import Specs
from framework.tracking.provenance import requirements
from framework.training import checkpoints
from framework.training.actor import Actor
from framework.training.manifest import Manifest
from framework.training.runtime import Runtime

FILES = ("agent", "policy")
MODULE: Final = re.compile(r"(\w+/)*\w+\.py")
"""The path of a module: names of Python, and so inside of its folder."""


@final
@dataclass(frozen=True)
class PolicyRecipe:
    """The part of a checkpoint from which its agent is built, without an environment.

    `resolved` is a recipe of the agent alone, whose root `agent` is; `modules` are the texts of the user's own modules that it needs, by
    their paths, and `requirements` the packages to be installed.
    """

    agent: str
    resolved: str
    modules: dict[str, str]
    requirements: list[str]
    observation: dict[str, dict[str, Any]]
    action: dict[str, Any]
    seed: int

    @staticmethod
    def read(contents: Mapping[str, Any], checkpoint: Path) -> "PolicyRecipe":
        """The recipe among the contents of a checkpoint. Raises `UserError` where it is damaged."""
        values = contents.get("policy")
        try:
            recipe = PolicyRecipe(**values)  # type: ignore[arg-type]
            recipe.specs()
            if wrong := [name for name in recipe.modules if not MODULE.fullmatch(name)]:
                raise ValueError(f"{wrong[0]!r} is no name of a module")
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise UserError(f"The policy in {checkpoint} is damaged ({error}); load another checkpoint.") from error
        return recipe

    @staticmethod
    def of(composed: composition.Composition, specs: Specs, seed: int) -> "PolicyRecipe":
        action = specs.action
        bounds = {"minimum": np.asarray(action.minimum).tolist(), "maximum": np.asarray(action.maximum).tolist()}
        link, part = composed.root.node.settings["agent"].links[0], composed.part("agent")
        return PolicyRecipe(
            agent=f"{link.scope}/{link.node.component.selector}".removeprefix("/"),
            resolved=part.resolved,
            modules={name: path.read_text(encoding="utf-8") for name, path in part.modules.items()},
            requirements=requirements(part.distributions()),
            observation={name: {"shape": list(spec.shape), "dtype": str(spec.dtype)} for name, spec in specs.observation.items()},
            action={"shape": list(action.shape), "dtype": str(action.dtype), **bounds},
            seed=seed,
        )

    def specs(self) -> Specs:
        """The specs, without an environment; an integer action without a shape is a discrete one."""
        shape, dtype = tuple(self.action["shape"]), np.dtype(self.action["dtype"])
        low, high = self.action["minimum"], self.action["maximum"]
        action = dm_env.specs.BoundedArray(shape, dtype, low, high, name="action")
        if not shape and np.issubdtype(dtype, np.integer):
            action = dm_env.specs.DiscreteArray(high + 1, dtype, "action")
        observation = {
            name: dm_env.specs.Array(tuple(spec["shape"]), np.dtype(spec["dtype"]), name=name) for name, spec in self.observation.items()
        }
        return Specs(observation=observation, action=action)

    def compose(self, *, trust: bool = False) -> composition.Composition:
        """The agent's recipe, composed again from its own text. Its modules stay until the process ends, since they may import later.

        They run only if this user's trainings wrote them, or with `trust`.
        """
        folder = Path(tempfile.mkdtemp(prefix="dream-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        for name, text in self.modules.items() | {("resolved.gin", self.resolved)}:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return composition.load(folder / "resolved.gin", root=self.agent, trust=trust)


@final
class Policy:
    """A trained agent that takes the mode of its policy. Its carry passes from one call of `act` to the next; `reset` begins an episode.

    `act` takes the named arrays of one observation, as the environment returned them, or of several at once with a leading axis, and
    returns actions in the same way: numbers in [-1, 1], or a one-hot group for each choice. With the `action_spec` of an environment of
    dm_env, or the `action_space` of one of Gymnasium, they are as that declares them: type, shape and range.
    """

    def __init__(self, *, agent: Agent, runtime: Runtime, seed: int) -> None:
        self.agent, self.runtime, self.seed = agent.eval(), runtime, seed
        self._actor: Actor | None = None
        self._first = True

    def reset(self) -> None:
        """Begin an episode: the next observation is its first."""
        self._first = True

    def act(self, observation: Mapping[str, np.ndarray], action_spec: Any = None) -> Any:
        """The action for an observation: an array, or a Python number where `action_spec` declares a lone choice."""
        expected = self.agent.specs.observation
        if set(observation) != set(expected):
            raise UserError(f"The policy observes {sorted(expected)} and was given {sorted(observation)}.")
        name = next(iter(expected))
        single = np.ndim(observation[name]) == len(expected[name].shape)
        rows = {key: _array(value, expected[key].dtype)[None if single else ...] for key, value in observation.items()}
        count = len(rows[name])
        if self._first or self._actor is None:
            self._actor = Actor(
                agent=self.agent, runtime=self.runtime, count=count, mode="mode", generator=self.runtime.generator(self.seed, 902)
            )
        action = self._actor.act(rows, np.full(count, self._first))
        self._first = False
        action = action[0] if single else action
        return action if action_spec is None else _native(action, action_spec)


def _array(value: Any, dtype: np.dtype[Any]) -> np.ndarray:
    """An array; numbers of another precision than the agent observes are converted, and an image stays what it is."""
    array = np.asarray(value)
    return array.astype(dtype, copy=False) if dtype.kind == "f" else array


def _native(action: np.ndarray, declared: Any) -> Any:
    """An action as an environment declares it."""
    spec = declared if isinstance(declared, dm_env.specs.Array) else array_spec("The environment", "action", declared)
    return action_form("The environment", spec).native(action)


def read_policy(folder: Path, runtime: Runtime, *, trust: bool = False) -> Policy:
    """The policy in the folder of one checkpoint."""
    _, contents = checkpoints.read(folder)
    recipe = PolicyRecipe.read(contents, folder)
    agent = build_agent(recipe.compose(trust=trust).root, recipe.specs(), runtime, recipe.seed)
    agent.load_state_dict(contents["agent"])
    return Policy(agent=agent, runtime=runtime, seed=recipe.seed)


def build_agent(factory: Factory[Agent], specs: Specs, runtime: Runtime, seed: int) -> Agent:
    """An agent on the runtime's device, its parameters drawn from the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        agent: Agent = factory(specs=specs)
    return agent.to(runtime.device)


def export_policy(checkpoint: Path, target: Path) -> Path:
    """Copy the policy in a checkpoint, without replay and optimizers."""
    target.mkdir(parents=True, exist_ok=True)
    manifest, names = Manifest.read(checkpoint), [f"{name}.pt" for name in FILES]
    for name in names:
        shutil.copy2(checkpoint / name, target / name)
    replace(manifest, sha256={name: manifest.sha256[name] for name in names}).write(target)
    return target
