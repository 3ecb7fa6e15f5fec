"""Every recipe that is shipped: it is checked, builds its agent, learns two updates, and says the same twice."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from dm_env import specs

import framework
from framework import composition
from framework.agent import Agent
from framework.data import Batch, Specs
from framework.registry import components
from framework.training.policy import build_agent
from framework.training.run import Run
from framework.training.runtime import Runtime
from tests.members import ROOT
from tests.tiny import normal, observe, seeded

RECIPES = sorted((ROOT / "recipes").rglob("*.gin"))
NAMES = [path.relative_to(ROOT / "recipes").with_suffix("").as_posix() for path in RECIPES]
EXPECTED = {
    "dreamer_v1",
    "dreamer_v1_infonce",
    "dreamer_v1_reward_only",
    "dreamer_v1_cpc_window",
    "quickstart",
    "custom/patch_encoder",
    "custom/nearest_in_time",
    "custom/reinforce",
}
every_recipe = pytest.mark.parametrize("recipe", RECIPES, ids=NAMES)


@cache
def composed(recipe: Path) -> Run:
    return framework.compose(recipe)


def specs_of(run: Run) -> Specs:
    """Pixels of the recipe's size, so that nothing needs to be rendered; anything else as the environment shows it."""
    settings = run.composed.parameters()
    if settings.get("DMControl.observe") != "pixels":
        return run.specs()
    size = settings["DMControl.size"]
    pixels = specs.BoundedArray((size, size, 3), np.uint8, 0, 255, name="pixels")
    return Specs(observation={"pixels": pixels}, action=specs.BoundedArray((3,), np.float32, -1.0, 1.0))


def batch_of(shown: Specs, seed: int, rows: int = 2, times: int = 3) -> Batch:
    is_first = torch.zeros(rows, times, dtype=torch.bool)
    is_first[:, 0] = True
    return Batch(
        observation=observe(shown.observation, rows, times, seed=seed),
        action=normal(rows, times, shown.action_size, seed=seed).tanh().masked_fill(is_first[..., None], 0.0),
        reward=normal(rows, times, seed=seed),
        is_first=is_first,
        is_terminal=torch.zeros(rows, times, dtype=torch.bool),
        episode=torch.arange(rows)[:, None].expand(rows, times).contiguous(),
    )


def learn(run: Run, updates: int = 2) -> tuple[Agent, list[dict[str, float]]]:
    shown = specs_of(run)
    agent = build_agent(run.composed.root.keywords["agent"], shown, Runtime(device="cpu"), seed=5)
    generator = seeded(7)
    said = [agent.update(batch_of(shown, seed), generator) for seed in range(updates)]
    return agent, [{name: value.item() for name, value in metrics.items()} for metrics in said]


def test_no_recipe_is_missed():
    assert {*NAMES} >= EXPECTED
    assert sorted(recipe.name for recipe in composition.list_recipes()) == NAMES


@every_recipe
def test_it_is_checked_without_a_problem(recipe):
    assert composition.check(recipe) == []


@every_recipe
def test_its_header_says_what_to_expect(recipe):
    header = next(each.header for each in composition.list_recipes() if each.path == recipe)
    assert header.split("\n")[0].endswith(".")
    for entry in ("Paper", "Command", "Hardware", "Expected"):
        assert f"\n{entry} " in header, entry
    assert f"dream train recipes/{recipe.relative_to(ROOT / 'recipes').as_posix()}" in header


@every_recipe
def test_it_learns_two_updates_and_the_same_twice(recipe):
    run = composed(recipe)
    fresh = build_agent(run.composed.root.keywords["agent"], specs_of(run), Runtime(device="cpu"), seed=5)
    (agent, said), (_, again) = learn(run), learn(run)
    assert said == again
    assert all(np.isfinite(value) for metrics in said for value in metrics.values())
    moved = [name for name, value in agent.named_parameters() if not torch.equal(value, dict(fresh.named_parameters())[name])]
    groups = {name.split(".")[0] for name in moved}
    assert groups == {"world_model", "behaviour"}
    assert len(moved) > 0.8 * len(list(agent.parameters()))


@every_recipe
def test_its_resolved_text_is_the_same_recipe(recipe, tmp_path):
    run = composed(recipe)
    run.composed.write(tmp_path)
    again = composition.load(tmp_path / "resolved.gin")
    assert again.parameters() == run.composed.parameters()


@pytest.mark.parametrize(
    ("name", "family", "component"),
    [
        ("patch_encoder", "encoders", "PatchEncoder"),
        ("nearest_in_time", "negatives", "NearestInTime"),
        ("reinforce", "actor_critics", "Reinforce"),
    ],
)
def test_a_custom_recipe_uses_the_component_beside_it(name, family, component):
    run = composed(ROOT / "recipes" / "custom" / f"{name}.gin")
    assert [path.name for path in run.composed.plugins if path.stem == name] == [f"{name}.py"]
    assert not components(family)[component].builtin
    agent, _ = learn(run, updates=0)
    assert any(type(module).__name__ == component for module in agent.modules())


def test_the_seeds_objective_is_on_rows_and_the_released_one_on_columns():
    shown = {name: composed(ROOT / "recipes" / f"{name}.gin").composed.parameters() for name in sorted(EXPECTED) if "/" not in name}
    assert shown["dreamer_v1_infonce"]["InfoNCE.axis"] == "row"
    assert shown["dreamer_v1_infonce"]["GaussianCritic.density"] == "stochastic"
    assert shown["dreamer_v1_cpc_window"]["InfoNCE.axis"] == "column_as_released"
    assert shown["dreamer_v1_cpc_window"]["GaussianCritic.density"] == "feature"
    assert (shown["dreamer_v1_cpc_window"]["RollingWindow.rows"], shown["dreamer_v1_cpc_window"]["RollingWindow.times"]) == (10, 30)


@pytest.mark.parametrize("name", ["dreamer_v1", "dreamer_v1_infonce", "dreamer_v1_reward_only", "dreamer_v1_cpc_window"])
def test_dreamer_v1_has_the_papers_numbers(name):
    settings = composed(ROOT / "recipes" / f"{name}.gin").composed.parameters()
    paper = {
        "GaussianRSSM.deterministic": 200,
        "GaussianRSSM.stochastic": 30,
        "GaussianRSSM.hidden": 200,
        "GaussianRSSM.free_nats": 3.0,
        "GaussianRSSM.balance": None,
        "RewardHead.layers": 2,
        "RewardHead.units": 400,
        "NormalValue.layers": 3,
        "NormalValue.slow_rate": 1.0,
        "DynamicsBackprop.layers": 4,
        "DynamicsBackprop.discount": 0.99,
        "DynamicsBackprop.mixing": 0.95,
        "DynamicsBackprop.entropy": 0.0,
        "DynamicsBackprop.action_noise": 0.3,
        "Agent.horizon": 15,
        "Agent.imagination_starts": None,
        "model/Adam.learning_rate": 6e-4,
        "actor/Adam.learning_rate": 8e-5,
        "value/Adam.learning_rate": 8e-5,
        "DMControl.action_repeat": 2,
        "DMControl.size": 64,
        "Replay.batch": 50,
        "Replay.length": 50,
        "Trainer.prefill": 5000,
        "Trainer.train_ratio": 250.0,
    }
    assert {key: settings[key] for key in paper} == paper
