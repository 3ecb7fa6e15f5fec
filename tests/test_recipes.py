"""Every shipped recipe: it is valid, its agent takes two updates, and it has the numbers of its paper."""

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
from framework.data import Batch
from framework.registry import components
from framework.specs import Specs
from framework.training.policy import build_agent
from framework.training.run import Run
from framework.training.runtime import Runtime
from tests.members import ROOT
from tests.tiny import normal, observe, seeded, update

RECIPES = sorted((ROOT / "recipes").rglob("*.gin"))
NAMES = [path.relative_to(ROOT / "recipes").with_suffix("").as_posix() for path in RECIPES]
every_recipe = pytest.mark.parametrize("recipe", RECIPES, ids=NAMES)


@cache
def composed(recipe: Path) -> Run:
    """At the smallest of its sizes, if it has sizes."""
    sized = any(line.startswith("include 'agents/dreamer_v3") for line in recipe.read_text().splitlines())
    return framework.compose(recipe, ["size='1M'"] if sized else [])


def specs_of(run: Run) -> Specs:
    """Pixels of the recipe's size, so that nothing needs to be rendered; anything else as the environment has it."""
    settings = run.composed.parameters()
    if settings.get("DMControl.observe") != "pixels":
        return run.specs()
    size = settings["DMControl.size"]
    pixels = specs.BoundedArray((size, size, 3), np.uint8, 0, 255, name="pixels")
    return Specs(observation={"pixels": pixels}, action=specs.BoundedArray((3,), np.float32, -1.0, 1.0))


def batch_of(shapes: Specs, seed: int, rows: int = 2, times: int = 4) -> Batch:
    is_first = torch.zeros(rows, times, dtype=torch.bool)
    is_first[:, 0] = True
    return Batch(
        observation=observe(shapes.observation, rows, times, seed=seed),
        action=normal(rows, times, shapes.action_size, seed=seed).tanh().masked_fill(is_first[..., None], 0.0),
        reward=normal(rows, times, seed=seed),
        is_first=is_first,
        is_terminal=torch.zeros(rows, times, dtype=torch.bool),
        episode=torch.arange(rows)[:, None].expand(rows, times).contiguous(),
    )


def agent_of(run: Run) -> Agent:
    return build_agent(run.composed.root.keywords["agent"], specs_of(run), Runtime(device="cpu"), seed=5)


def train(run: Run, agent: Agent, updates: int = 2) -> list[dict[str, float]]:
    """The metrics of updates on random batches."""
    shapes, generator = specs_of(run), seeded(7)
    times = 1 + int(run.composed.parameters().get("ActionConditionedCPC.steps", 3))
    results = [update(agent, batch_of(shapes, seed, times=times), generator) for seed in range(updates)]
    return [{name: value.item() for name, value in metrics.items()} for metrics in results]


def test_every_recipe_is_listed():
    """`tests/smoke` compares their names with its tasks."""
    assert len(NAMES) >= 30
    assert sorted(recipe.name for recipe in composition.list_recipes()) == NAMES


@every_recipe
def test_it_has_no_problem_and_its_header_every_entry(recipe):
    assert composition.check(recipe) == []
    header = next(each.header for each in composition.list_recipes() if each.path == recipe)
    assert header.split("\n")[0].endswith(".")
    for entry in ("Paper", "Command", "Hardware", "Expected"):
        assert f"\n{entry} " in header, entry
    assert f"dream train recipes/{recipe.relative_to(ROOT / 'recipes').as_posix()}" in header


@every_recipe
def test_two_updates_train_every_part_of_its_agent(recipe):
    run = composed(recipe)
    agent = agent_of(run)
    before = {name: value.detach().clone() for name, value in agent.named_parameters() if value.requires_grad}
    metrics = train(run, agent)
    assert all(np.isfinite(value) for each in metrics for value in each.values())
    moved = [name for name, value in agent.named_parameters() if value.requires_grad and not torch.equal(value, before[name])]
    assert {name.split(".")[0] for name in moved} == {name.split(".")[0] for name in before} >= {"world_model"}
    assert len(moved) > 0.8 * len(before)


@pytest.mark.parametrize("name", ["quickstart", "dreamer_pro", "dreamer_v3", "tdmpc2_like"])
def test_its_updates_are_reproducible(name):
    run = composed(ROOT / "recipes" / f"{name}.gin")
    assert train(run, agent_of(run)) == train(run, agent_of(run))


@every_recipe
def test_its_resolved_text_is_the_same_recipe(recipe, tmp_path):
    run = composed(recipe)
    run.composed.write(tmp_path)
    assert composition.load(tmp_path / "resolved.gin").parameters() == run.composed.parameters()


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
    assert f"{name}.py" in run.composed.modules
    assert not components(family)[component].builtin
    assert any(type(module).__name__ == component for module in agent_of(run).modules())


PAPERS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "dreamer_v1": {
        "GaussianRSSM": {"deterministic": 200, "stochastic": 30, "hidden": 200, "free_nats": 3.0, "balance": None},
        "RewardHead": {"layers": 2, "units": 400},
        "NormalValue": {"layers": 3, "slow_rate": 1.0},
        "DynamicsBackprop": {"layers": 4, "discount": 0.99, "return_lambda": 0.95, "entropy": 0.0, "action_noise": 0.3},
        "Agent": {"horizon": 15, "imagination_starts": None},
        "model/Adam": {"learning_rate": 6e-4},
        "actor/Adam": {"learning_rate": 8e-5},
        "value/Adam": {"learning_rate": 8e-5},
        "DMControl": {"action_repeat": 2, "size": 64},
        "Replay": {"batch": 50, "length": 50},
        "Trainer": {"prefill": 5000, "train_ratio": 250.0},
    },
    "dreamer_v1_infonce": {"InfoNCE": {"axis": "row"}, "GaussianCritic": {"density": "stochastic"}},
    "dreamer_v1_cpc_window": {
        "InfoNCE": {"axis": "column_as_released"},
        "GaussianCritic": {"density": "feature"},
        "RollingWindow": {"rows": 10, "times": 30},
    },
    "dreamer_v2": {
        "CategoricalRSSM": {"deterministic": 200, "hidden": 200, "groups": 32, "classes": 32, "balance": 0.8, "free_nats": 1.0}
        | {"norm": "none", "cell_norm": "layer", "unimix": 0.0},
        "ConvEncoder": {"channels": "(48, 96, 192, 384)", "activation": "elu"},
        "ImageHead": {"channels": "(192, 96, 48)", "base": 1536},
        "RewardHead": {"layers": 4, "units": 400},
        "NormalValue": {"layers": 4, "slow_rate": 1.0, "slow_every": 100},
        "MixedGradient": {"discount": 0.99, "return_lambda": 0.95, "entropy": 1e-4},
        "Agent": {"horizon": 15, "imagination_starts": None},
        "model/AdamW": {"epsilon": 1e-5, "clip": 100.0},
        "DMControl": {"action_repeat": 2},
        "Replay": {"batch": 16, "length": 50},
        "Trainer": {"pretrain": 100},
    },
    "dreamer_pro": {
        "GaussianRSSM": {"deterministic": 200, "hidden": 200, "stochastic": 32, "balance": 0.8, "free_nats": 1.0, "free_nats_on": "mean"}
        | {"std_function": "sigmoid2", "minimum_std": 0.1, "cell_norm": "layer"},
        "ConvEncoder": {"channels": "(48, 96, 192, 384)", "activation": "elu"},
        "RandomShift": {"pixels": 3, "across": "sequence", "interpolation": "bilinear"},
        "Prototypes": {"prototypes": 2500, "size": 32, "temperature": 0.1, "epsilon": 0.0125, "warm_up": 1, "frozen_updates": 10_000},
        "MixedGradient": {"distribution": "tanh_normal", "minimum_std": 0.1, "mix": None, "entropy": 1e-4},
        "NormalValue": {"layers": 4, "slow_rate": 1.0, "slow_every": 100},
        "DMControl": {"action_repeat": 2},
        "Replay": {"batch": 50, "length": 51},
        "Trainer": {"prefill": 5000, "pretrain": 100, "train_ratio": 50 * 51 / (5 * 2), "train_every": 5 * 2},
    },
    "norm_off": {"Prototypes": {"norm_scale": 0.0}, "RewardHead": {"scale": 1.0}},
    "reward_1000": {"Prototypes": {"norm_scale": 1.0}, "RewardHead": {"scale": 1000.0}},
    "dreamer_v3": {
        "BlockRSSM": {"deterministic": 2048, "hidden": 256, "groups": 32, "classes": 16, "blocks": 8, "unimix": 0.01}
        | {"free_nats": 1.0, "free_nats_on": "step", "kl_scale": 1.1},
        "MaxPoolConvEncoder": {"depth": 16, "multipliers": "(2, 3, 4, 4)", "kernel": 5},
        "UpsampleImageHead": {"depth": 16, "multipliers": "(2, 3, 4, 4)", "kernel": 5, "units": 256, "blocks": 8},
        "TwoHotRewardHead": {"layers": 1, "bins": 255, "scale": 1.0},
        "ContinuationHead": {"layers": 1, "units": 256, "scale": 1.0},
        "TwoHotValue": {"layers": 3, "slow_rate": 0.02, "slow_weight": 1.0},
        "Reinforce": {"layers": 3, "units": 256, "return_lambda": 0.95, "entropy": 3e-4, "replay_value": 0.3},
        "LaProp": {"learning_rate": 4e-5, "clip": 0.3, "epsilon": 1e-20, "warmup": 1000},
        "Agent": {"horizon": 15, "imagination_starts": None},
        "DMControl": {"action_repeat": 1},
        "Run": {"environments": 16},
        "Replay": {"batch": 16, "length": 64},
        "Trainer": {"pretrain": 0, "train_ratio": 256.0},
        "Reconstruction": {"scale": 1.0},
    },
}
"""The settings of each paper, by component; InfoNCE of the paper is on rows, the released one on columns; DreamerPro's code names two."""


def settings_of(name: str) -> Mapping[str, Any]:
    return framework.compose(ROOT / "recipes" / f"{name}.gin").composed.parameters()


@pytest.mark.parametrize(
    ("name", "paper"),
    [
        ("dreamer_v1", "dreamer_v1"),
        ("dreamer_v1_infonce", "dreamer_v1"),
        ("dreamer_v1_infonce", "dreamer_v1_infonce"),
        ("dreamer_v1_reward_only", "dreamer_v1"),
        ("dreamer_v1_cpc_window", "dreamer_v1"),
        ("dreamer_v1_cpc_window", "dreamer_v1_cpc_window"),
        ("dreamer_v2", "dreamer_v2"),
        ("dreamer_pro", "dreamer_pro"),
        ("dreamer_pro", "norm_off"),
        ("dreamer_pro_distractors", "dreamer_pro"),
        ("dreamer_pro_distractors", "reward_1000"),
        ("dreamer_v3", "dreamer_v3"),
    ],
)
def test_it_has_the_numbers_of_its_paper(name, paper):
    settings = settings_of(name)
    for component, numbers in PAPERS[paper].items():
        assert {key: settings[f"{component}.{key}"] for key in numbers} == numbers, component


def test_the_learning_rates_and_the_training_ratio_of_dreamer_v2_are_those_of_the_paper():
    settings = settings_of("dreamer_v2")
    for group, rate in (("model", 3e-4), ("actor", 8e-5), ("value", 8e-5)):
        assert settings[f"{group}/AdamW.learning_rate"] == rate
        assert settings[f"{group}/AdamW.learning_rate"] * settings[f"{group}/AdamW.decay"] == pytest.approx(1e-6, rel=1e-4)
    assert settings["Trainer.train_ratio"] / (16 * 50) * 1_000_000 == 100_000


def test_the_discount_and_the_kl_scales_of_dreamer_v3_are_those_of_the_paper():
    settings = settings_of("dreamer_v3")
    assert settings["Reinforce.discount"] * settings["ContinuationHead.discount"] == pytest.approx(1 - 1 / 333, abs=1e-6)
    assert settings["BlockRSSM.kl_scale"] * settings["BlockRSSM.balance"] == pytest.approx(1.0, abs=1e-6)


def test_vectors_alone_are_decoded_by_one_head():
    settings = settings_of("dreamer_v3_proprio")
    assert (settings["BlockRSSM.deterministic"], settings["Trainer.train_ratio"]) == (512, 1024.0)
    assert (settings["MLPEncoder.squash"], settings["VectorHead.likelihood"]) == ("symlog", "symlog")
    agent = agent_of(composed(ROOT / "recipes" / "dreamer_v3_proprio.gin"))
    assert [decoder.names for decoder in agent.world_model.objectives[0].decoders] == [["height", "orientations", "velocity"]]


def test_the_kl_does_not_train_the_encoder_of_tdmpc2_like():
    """Where it did, with a reward of little weight, the latent collapsed, and all plans had the same return."""
    run = composed(ROOT / "recipes" / "tdmpc2_like.gin")
    model, data = agent_of(run).world_model, batch_of(specs_of(run), 0, times=1)
    inferred = model.observe(data, model.dynamics.draw_noise(*data.reward.shape, generator=seeded(7)))
    kl = model.dynamics.kl_loss(inferred.posterior, inferred.prior)[0]["kl"].mean()
    reward = model.each_head["reward"].loss(inferred.features, data).mean()
    encoder = list(model.encoder.parameters())
    assert kl > 0
    assert not any(gradient.any() for gradient in torch.autograd.grad(kl, encoder, retain_graph=True))
    assert all(gradient.any() for gradient in torch.autograd.grad(reward, encoder))


@pytest.mark.parametrize(
    "fragment",
    [
        "actor_critics/action_noise.gin",
        "actor_critics/plan2explore.gin",
        "encoders/random_shift.gin",
        "environments/distractors.gin",
        "values/ensemble_value.gin",
    ],
)
def test_a_fragment_that_wraps_a_part_of_the_agent_keeps_the_settings_of_that_part(fragment: str, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.gin"
    recipe.write_text(f"include '{ROOT / 'recipes' / 'quickstart.gin'}'\ninclude '{fragment}'\n")
    own = {line.split(" =")[0] for line in (ROOT / "gin" / fragment).read_text().splitlines()}
    before, after = settings_of("quickstart"), framework.compose(recipe).composed.parameters()
    changed = {name for name, value in before.items() if str(after.get(name)) != str(value)}
    assert changed <= own
    assert len(after) > len(before)
