"""Every recipe that is shipped: it is checked, builds its agent, learns two updates, and says the same twice."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

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
from tests.tiny import normal, observe, seeded, update

RECIPES = sorted((ROOT / "recipes").rglob("*.gin"))
NAMES = [path.relative_to(ROOT / "recipes").with_suffix("").as_posix() for path in RECIPES]
EXPECTED = {
    "planet",
    "dreamer_v1",
    "dreamer_v1_infonce",
    "dreamer_v1_reward_only",
    "dreamer_v1_cpc_window",
    "dreamer_v1_proprio",
    "dreamer_v1_infonce_proprio",
    "dreamer_v1_distractors",
    "dreamer_v1_infonce_distractors",
    "cvrl",
    "curl_in_latent",
    "plan2explore",
    "tpc",
    "tpc_distractors",
    "dreamer_v2",
    "dreamer_pro",
    "dreamer_pro_distractors",
    "dreamer_v3",
    "dreamer_v3_infonce",
    "dreamer_v3_proprio",
    "r2dreamer",
    "ne_dreamer",
    "twister_cpc",
    "tdmpc2_like",
    "quickstart",
    "quickstart_reconstruction",
    "quickstart_reward_only",
    "custom/patch_encoder",
    "custom/nearest_in_time",
    "custom/policy_gradient",
}
every_recipe = pytest.mark.parametrize("recipe", RECIPES, ids=NAMES)


@cache
def composed(recipe: Path) -> Run:
    """At the smallest of its sizes, if it has sizes."""
    sized = any(line.startswith("include 'agents/dreamer_v3") for line in recipe.read_text().splitlines())
    return framework.compose(recipe, ["size='1M'"] if sized else [])


def specs_of(run: Run) -> Specs:
    """Pixels of the recipe's size, so that nothing needs to be rendered; anything else as the environment shows it."""
    settings = run.composed.parameters()
    if settings.get("DMControl.observe") != "pixels":
        return run.specs()
    size = settings["DMControl.size"]
    pixels = specs.BoundedArray((size, size, 3), np.uint8, 0, 255, name="pixels")
    return Specs(observation={"pixels": pixels}, action=specs.BoundedArray((3,), np.float32, -1.0, 1.0))


def batch_of(shown: Specs, seed: int, rows: int = 2, times: int = 4) -> Batch:
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
    times = 1 + int(run.composed.parameters().get("ActionConditionedCPC.steps", 3))
    said = [update(agent, batch_of(shown, seed, times=times), generator) for seed in range(updates)]
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
    before = dict(fresh.named_parameters())
    trained = [name for name, value in agent.named_parameters() if value.requires_grad]
    moved = [name for name, value in agent.named_parameters() if value.requires_grad and not torch.equal(value, before[name])]
    assert {name.split(".")[0] for name in moved} == {name.split(".")[0] for name in trained} >= {"world_model"}
    assert len(moved) > 0.8 * len(trained)


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
        ("policy_gradient", "actor_critics", "PolicyGradient"),
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
        "DynamicsBackprop.return_lambda": 0.95,
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


def settings_of(name: str) -> Mapping[str, Any]:
    return framework.compose(ROOT / "recipes" / f"{name}.gin").composed.parameters()


def test_dreamer_v2_has_the_papers_numbers():
    settings = settings_of("dreamer_v2")
    paper = {
        "CategoricalRSSM.deterministic": 200,
        "CategoricalRSSM.hidden": 200,
        "CategoricalRSSM.groups": 32,
        "CategoricalRSSM.classes": 32,
        "CategoricalRSSM.balance": 0.8,
        "CategoricalRSSM.free_nats": 1.0,
        "CategoricalRSSM.norm": "none",
        "CategoricalRSSM.cell_norm": "layer",
        "CategoricalRSSM.unimix": 0.0,
        "ConvEncoder.channels": "(48, 96, 192, 384)",
        "ConvEncoder.activation": "elu",
        "ImageHead.channels": "(192, 96, 48)",
        "ImageHead.base": 1536,
        "RewardHead.layers": 4,
        "RewardHead.units": 400,
        "NormalValue.layers": 4,
        "NormalValue.slow_rate": 1.0,
        "NormalValue.slow_every": 100,
        "MixedGradient.discount": 0.99,
        "MixedGradient.return_lambda": 0.95,
        "MixedGradient.entropy": 1e-4,
        "Agent.horizon": 15,
        "Agent.imagination_starts": None,
        "AdamW.epsilon": 1e-5,
        "AdamW.clip": 100.0,
        "DMControl.action_repeat": 2,
        "Replay.batch": 16,
        "Replay.length": 50,
        "Trainer.pretrain": 100,
    }
    assert {key: settings.get(key, settings.get(f"model/{key}")) for key in paper} == paper
    for group, rate in (("model", 3e-4), ("actor", 8e-5), ("value", 8e-5)):
        assert settings[f"{group}/AdamW.learning_rate"] == rate
        assert settings[f"{group}/AdamW.learning_rate"] * settings[f"{group}/AdamW.decay"] == pytest.approx(1e-6, rel=1e-4)
    assert settings["Trainer.train_ratio"] / (16 * 50) * 1_000_000 == 100_000


def test_dreamer_v3_has_the_papers_numbers():
    settings = settings_of("dreamer_v3")
    paper = {
        "BlockRSSM.deterministic": 2048,
        "BlockRSSM.hidden": 256,
        "BlockRSSM.groups": 32,
        "BlockRSSM.classes": 16,
        "BlockRSSM.blocks": 8,
        "BlockRSSM.unimix": 0.01,
        "BlockRSSM.free_nats": 1.0,
        "BlockRSSM.free_nats_on": "step",
        "MaxPoolConvEncoder.depth": 16,
        "MaxPoolConvEncoder.multipliers": "(2, 3, 4, 4)",
        "MaxPoolConvEncoder.kernel": 5,
        "UpsampleImageHead.depth": 16,
        "UpsampleImageHead.multipliers": "(2, 3, 4, 4)",
        "UpsampleImageHead.kernel": 5,
        "UpsampleImageHead.units": 256,
        "UpsampleImageHead.blocks": 8,
        "TwoHotRewardHead.layers": 1,
        "TwoHotRewardHead.bins": 255,
        "ContinuationHead.layers": 1,
        "ContinuationHead.units": 256,
        "TwoHotValue.layers": 3,
        "TwoHotValue.slow_rate": 0.02,
        "TwoHotValue.slow_weight": 1.0,
        "Reinforce.layers": 3,
        "Reinforce.units": 256,
        "Reinforce.return_lambda": 0.95,
        "Reinforce.entropy": 3e-4,
        "Reinforce.replay_value": 0.3,
        "LaProp.learning_rate": 4e-5,
        "LaProp.clip": 0.3,
        "LaProp.epsilon": 1e-20,
        "LaProp.warmup": 1000,
        "Agent.horizon": 15,
        "Agent.imagination_starts": None,
        "DMControl.action_repeat": 1,
        "Run.environments": 16,
        "Replay.batch": 16,
        "Replay.length": 64,
        "Trainer.pretrain": 0,
        "Trainer.train_ratio": 256.0,
    }
    assert {key: settings[key] for key in paper} == paper
    assert settings["Reinforce.discount"] * settings["ContinuationHead.discount"] == pytest.approx(1 - 1 / 333, abs=1e-6)
    assert 1.1 * settings["BlockRSSM.balance"] == pytest.approx(1.0, abs=1e-6)
    scales = {"BlockRSSM.kl_scale": 1.1, "TwoHotRewardHead.scale": 1.0, "ContinuationHead.scale": 1.0, "Reconstruction.scale": 1.0}
    assert {key: settings[key] for key in scales} == scales


def test_vectors_alone_are_decoded_by_one_head():
    settings = settings_of("dreamer_v3_proprio")
    assert (settings["BlockRSSM.deterministic"], settings["Trainer.train_ratio"]) == (512, 1024.0)
    assert (settings["MLPEncoder.squash"], settings["VectorHead.likelihood"]) == ("symlog", "symlog")
    agent, _ = learn(composed(ROOT / "recipes" / "dreamer_v3_proprio.gin"), updates=0)
    assert [decoder.names for decoder in agent.world_model.objectives[0].decoders] == [["height", "orientations", "velocity"]]


def test_an_encoding_costs_nothing_in_the_manner_of_tdmpc2():
    """Where it did, beside a reward of little weight, the latent came to be empty, and no plan was better than another."""
    run = composed(ROOT / "recipes" / "tdmpc2_like.gin")
    shown = specs_of(run)
    model = build_agent(run.composed.root.keywords["agent"], shown, Runtime(device="cpu"), seed=5).world_model
    data = batch_of(shown, 0, times=1)
    seen = model.observe(data, model.dynamics.draw_noise(*data.reward.shape, generator=seeded(7)))
    charged = model.dynamics.kl_loss(seen.posterior, seen.prior)[0]["kl"].mean()
    told = model.each_head["reward"].loss(seen.posterior.features, data).mean()
    encoder = list(model.encoder.parameters())
    assert charged > 0
    assert not any(gradient.any() for gradient in torch.autograd.grad(charged, encoder, retain_graph=True))
    assert all(gradient.any() for gradient in torch.autograd.grad(told, encoder))
