"""What `register` refuses: a class without a part of its family's contract, in one sentence with file and line."""

import re
import textwrap
from pathlib import Path

import pytest

from framework.composition.modules import import_module
from framework.errors import UserError
from framework.registration import check_class
from framework.registry import registry_of
from framework.signatures import FAMILIES
from framework.training.checks import check
from tests.members import members

OBJECTIVE = """
from framework import objectives

@objectives.register
class Refused(objectives.Objective):
    losses = ("refused",)

    def __init__(self, *, model: "ModelSpecs", scale: float = 1.0) -> None:
        super().__init__(model=model, scale=scale)

    def forward(self, inferred, dynamics, key): ...
"""
CRITIC = """
from framework import critics

@critics.register
class Refused(critics.Critic):
    cost = "N M E"

    def __init__(self, *, latent: "LatentSpec", embedding_size: int) -> None:
        super().__init__(latent=latent, embedding_size=embedding_size)

    def score(self, latents, embeddings): ...
"""
BOUND = """
from framework import bounds

@bounds.register
class Refused(bounds.Bound):
    def estimate(self, contrast): ...
"""
BEHAVIOR = """
from framework import actor_critics

@actor_critics.register
class Refused(actor_critics.ActorCritic):
    action_kinds = ("continuous",)
    needs_dynamics_gradient = False

    def __init__(self, *, model: "ModelSpecs") -> None:
        super().__init__(model=model)
        self.groups = ("actor",)

    def sample(self, features, noise): ...
    def act(self, latent, plan, imagine, mode, generator): ...
    def losses(self, imagination, inferred, noise): ...
"""
ENVIRONMENT = """
from framework import environments

@environments.register
class Refused(environments.Environment):
    derived = ("seed",)

    def __init__(self, *, seed: int) -> None: ...
    def reset(self): ...
    def step(self, action): ...
    def observation_spec(self): ...
    def action_spec(self): ...
"""
CASES = {
    "an objective that names no loss": (
        OBJECTIVE,
        'losses = ("refused",)',
        "",
        "does not set `losses`: write `losses: ClassVar[tuple[str, ...]] = ...`",
    ),
    "a critic without its cost": (
        CRITIC,
        'cost = "N M E"',
        "",
        "does not set `cost`: write `cost: ClassVar[str] = ...` in the class, as in its contract",
    ),
    "a method that is missing": (
        OBJECTIVE,
        "def forward(self, inferred, dynamics, key): ...",
        "",
        "has no `forward`: write `def forward(self, inferred: InferredBatch, dynamics: Dynamics, key: Key) -> tuple[Losses, Metrics]`, as "
        "in its contract, Objective (",
    ),
    "a constructor that is missing": (
        CRITIC,
        CRITIC[CRITIC.index("    def __init__") : CRITIC.index("    def score")],
        "",
        "has no `__init__`: write `def __init__(self, *, latent: LatentSpec, embedding_size: int) -> None`",
    ),
    "a method of dm_env that is missing": (ENVIRONMENT, "    def reset(self): ...\n", "", "has no `reset`: write `def reset(self)"),
    "a parameter of Python's without its type": (
        OBJECTIVE,
        'model: "ModelSpecs",',
        "model,",
        "parameter `model` needs a type annotation: write `model: ModelSpecs`",
    ),
    "a size without its type": (CRITIC, "embedding_size: int", "embedding_size", "write `embedding_size: int`"),
    "a setting without its type": (
        OBJECTIVE,
        "scale: float = 1.0",
        "scale=1.0",
        "parameter `scale` needs a type annotation: write its type, as in `scale: int`",
    ),
    "a constructor without what Python passes": (
        OBJECTIVE,
        'model: "ModelSpecs", ',
        "",
        "has a constructor without `model`, which Python passes: write `model: ModelSpecs`",
    ),
    "an environment without its seed": (
        ENVIRONMENT,
        ", *, seed: int",
        "",
        "has a constructor without `seed`, which Python passes: write `seed: int`",
    ),
    "an environment whose seed a recipe would bind": (
        ENVIRONMENT,
        'derived = ("seed",)',
        "",
        "does not say that Python passes `seed`: write `derived = ('seed',)` in the class",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_register_refuses(name: str, tmp_path: Path) -> None:
    source, part, replacement, words = CASES[name]
    assert source.count(part) == 1
    module = f"refused_{list(CASES).index(name)}"
    (tmp_path / f"{module}.py").write_text(source.replace(part, replacement))
    with pytest.raises(UserError) as error:
        import_module(module, tmp_path / "recipe.gin")
    text = str(error.value)
    assert re.search(rf"\w+\.Refused \(\S*{module}\.py:\d+\) ", text), text
    assert words in text
    assert "\n" not in text


def test_a_check_refuses_a_constructor_that_does_not_set_what_the_contract_declares(tmp_path: Path) -> None:
    (tmp_path / "unset.py").write_text(BEHAVIOR.replace("Refused", "Unset").replace("self.groups = ", "groups = "))
    (tmp_path / "unset.gin").write_text("import unset\ninclude 'recipes/quickstart.gin'\nAgent.actor_critic = @actor_critics.Unset\n")
    (problem,) = check(tmp_path / "unset.gin")
    assert (Path(problem.file).name, problem.line) == ("unset.gin", 3)
    assert re.search(
        r"actor_critics\.Unset \(\S*unset\.py:4\) does not set `groups`: write `self\.groups: tuple\[str, \.\.\.\] = \.\.\.`",
        problem.message,
    )


@pytest.mark.parametrize("source", [OBJECTIVE, CRITIC, BOUND, BEHAVIOR, ENVIRONMENT])
def test_register_takes_a_class_with_its_whole_contract(source: str, tmp_path: Path) -> None:
    namespace: dict[str, type] = {}
    (tmp_path / "whole.py").write_text(textwrap.dedent(source))
    exec(compile(re.sub(r"@\w+\.register\n", "", source), str(tmp_path / "whole.py"), "exec"), namespace)
    base = namespace["Refused"].__mro__[1]
    (family,) = [name for name in FAMILIES if name != "parts" and registry_of(name).base is base]
    check_class(namespace["Refused"], base, family)


def test_every_member_has_the_contract_of_its_family() -> None:
    families = [family for family in FAMILIES if family != "parts"]
    assert len(families) == 12
    for family in families:
        registry = registry_of(family)
        assert members(family)
        for name in members(family):
            check_class(registry.get(name), registry.base, family)
