"""Small instances of every registered component, built-in or in `recipes/custom`."""

import importlib
import sys
from collections.abc import Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any

from framework.data import Factory
from framework.lab.members import Member, member_of
from framework.registry import registry_of
from framework.specs import ActionKind
from framework.testing.samples import LATENT, behavior_sizes

ROOT = Path(__file__).parents[1]
CUSTOM = ROOT / "recipes" / "custom"
TASKS = {"DMControl": "cartpole_swingup", "Gymnasium": "MountainCar-v0", "BatchedGymnasium": "CartPole-v1"}

SMALL: Mapping[str, Any] = {
    "action_repeat": 10,
    "activation": "tanh",
    "attention_heads": 1,
    "base": 8,
    "blocks": 2,
    "candidates": 3,
    "channels": (4,),
    "classes": 4,
    "depth": 4,
    "elites": 2,
    "count": 3,
    "deterministic": 6,
    "free_nats": 0.0,
    "frozen_updates": 0,
    "groups": 3,
    "hardest": 3,
    "hidden": 8,
    "iterations": 2,
    "kernels": (2, 6),
    "layers": 1,
    "mixed": 3,
    "learning_rate": 1e-2,
    "multipliers": (1, 2),
    "patch": 4,
    "policy_plans": 1,
    "prototypes": 7,
    "quality": "fast",
    "size": 5,
    "steps": 3,
    "stochastic": 4,
    "units": 8,
    "warm_up": 0,
    "warmup": 2,
    "with_anchor": 2,
}
"""The value of a setting in the tests, whichever component has it."""


def load_plugins() -> list[str]:
    """Import the custom components as their recipes do."""
    if str(CUSTOM) not in sys.path:
        sys.path.append(str(CUSTOM))
    modules = sorted(path.stem for path in CUSTOM.glob("*.py"))
    for module in modules:
        importlib.import_module(module)
    return modules


PLUGINS = load_plugins()


def members(family: str) -> list[str]:
    """The members of a family, without those that tests register."""
    registry = registry_of(family)
    return [name for name in registry.list() if registry.describe(name).builtin or registry.describe(name).module in PLUGINS]


PARTS = (
    "MultiEncoder.encoders={'pixels': @encoders.ConvEncoder, '*': @encoders.MLPEncoder}",
    "Reconstruction.decoders={'pixels': @heads.ImageHead, 'position': @heads.VectorHead}",
    "Distractors.of=@environments.DMControl",
    *(f"{name}.task={task!r}" for name, task in TASKS.items()),
)
"""Components that others need, and the tasks of environments, as bindings."""


HELD = {
    "encoders": ("ConvEncoder", "MLPEncoder"),
    "heads": ("ImageHead", "VectorHead"),
    "values": ("NormalValue",),
    "actor_critics": ("DynamicsBackprop",),
    "environments": ("DMControl",),
}
"""The components that others hold in these tests."""


@cache
def contract_members(family: str) -> list[Member]:
    """The members of a family with small settings, bound as a user binds them."""
    held = [registry_of(of).describe(name) for of, names in HELD.items() for name in names]
    made = []
    for name in members(family):
        parts = [registry_of(family).describe(name), *(each for each in held if each.name != name)]
        small = [f"{part.selector}.{each.name}={SMALL[each.name]!r}" for part in parts for each in part.settings if each.name in SMALL]
        made.append(member_of(family, name, [*small, *PARTS]))
    return made


def factory(family: str, name: str, **settings: Any) -> Factory[Any]:
    """A member with small settings, and with the components that it needs."""
    settable = {each.name for each in registry_of(family).describe(name).settings}
    parts = {
        "critic": lambda: factory("critics", "BilinearCritic"),
        "negatives": lambda: factory("negatives", "InBatch"),
        "bound": lambda: factory("bounds", "InfoNCEBound"),
        "value": lambda: factory("values", "NormalValue"),
        "encoder": lambda: factory("encoders", "ConvEncoder"),
        "encoders": lambda: {"pixels": factory("encoders", "ConvEncoder"), "*": factory("encoders", "MLPEncoder")},
        "decoders": lambda: {"pixels": factory("heads", "ImageHead"), "position": factory("heads", "VectorHead")},
    }
    if family in ("environments", "vector_environments"):
        parts |= {"task": lambda: TASKS[name], "of": lambda: factory("environments", "DMControl")}
    if family in ("bounds", "actor_critics"):
        parts["of"] = lambda: factory(family, {"bounds": "InfoNCEBound", "actor_critics": "DynamicsBackprop"}[family])
    small = {key: value for key, value in SMALL.items() if key in settable}
    bound = {key: make() for key, make in parts.items() if key in settable}
    return partial(registry_of(family).get(name), **(small | bound | settings))


def build(family: str, name: str, **sizes: Any) -> Any:
    return factory(family, name)(**sizes)


def behaviors() -> list[tuple[str, ActionKind]]:
    """Every actor-critic with every kind of action that it takes."""
    built = {name: build("actor_critics", name, **behavior_sizes(LATENT)) for name in members("actor_critics")}
    return [(name, kind) for name, behavior in built.items() for kind in behavior.action_kinds]


def agent_factory(**changes: Any) -> Factory[Any]:
    """A small agent: InfoNCE, reward and continuation, Dreamer V1's behavior."""
    settings: dict[str, Any] = {
        "encoder": factory("encoders", "MultiEncoder"),
        "dynamics": factory("dynamics", "GaussianRSSM"),
        "heads": {"reward": factory("heads", "RewardHead"), "continuation": factory("heads", "ContinuationHead")},
        "objectives": [factory("objectives", "InfoNCE")],
        "actor_critic": factory("actor_critics", "DynamicsBackprop"),
        "horizon": 4,
    } | changes
    groups = ("model", *settings["actor_critic"](**behavior_sizes(LATENT)).groups)
    optimizers = {"optimizers": {name: factory("optimizers", "Adam") for name in groups}}
    return partial(registry_of("parts").get("Agent"), **(optimizers | settings))
