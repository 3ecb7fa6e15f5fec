"""Operators and waits of an update, for each recipe. A change that passes a bound moves it, and its commit names the reason."""

import pytest

import framework
from framework.bench.counting import OperatorCounts, count
from framework.testing.samples import seeded
from framework.training.policy import build_agent
from framework.training.runtime import Runtime
from tests.members import ROOT
from tests.test_recipes import NAMES, batch_of, composed, specs_of

MOST = {
    "curl_in_latent": 1990,
    "custom/nearest_in_time": 2030,
    "custom/patch_encoder": 2060,
    "custom/policy_gradient": 1710,
    "cvrl": 2160,
    "dreamer_pro": 3200,
    "dreamer_pro_distractors": 3200,
    "dreamer_v1": 2010,
    "dreamer_v1_cpc_window": 2250,
    "dreamer_v1_distractors": 2010,
    "dreamer_v1_infonce": 2230,
    "dreamer_v1_infonce_distractors": 2230,
    "dreamer_v1_infonce_proprio": 2250,
    "dreamer_v1_proprio": 2050,
    "dreamer_v1_reward_only": 1890,
    "dreamer_v2": 2630,
    "dreamer_v3": 3990,
    "dreamer_v3_infonce": 3880,
    "dreamer_v3_proprio": 3850,
    "ne_dreamer": 4250,
    "plan2explore": 4080,
    "planet": 1080,
    "quickstart": 2010,
    "quickstart_reconstruction": 1910,
    "quickstart_reward_only": 1810,
    "r2dreamer": 3830,
    "tdmpc2_like": 1960,
    "tpc": 2350,
    "tpc_distractors": 2350,
    "twister_cpc": 7480,
}
"""Operators that one update dispatches, views among them: 2 sequences of 4 steps (11 for `ActionConditionedCPC`), rollouts of 3 steps."""


def counted(name: str) -> OperatorCounts:
    path = ROOT / "recipes" / f"{name}.gin"
    run = framework.compose(path, [*composed(path).composed.overrides, "Agent.horizon=3"])
    specs = specs_of(run)
    agent = build_agent(run.composed.root.keywords["agent"], specs, Runtime(device="cpu"), seed=5)
    batch, generator = batch_of(specs, 0, times=1 + int(run.composed.parameters().get("ActionConditionedCPC.steps", 3))), seeded(7)
    return count(lambda: agent.update(batch, agent.draw_noise(batch, generator)))


def test_every_recipe_has_a_bound():
    assert sorted(MOST) == NAMES


SAMPLE = ("dreamer_v2", "dreamer_v3_infonce", "planet", "quickstart", "tdmpc2_like")


@pytest.mark.parametrize("name", [pytest.param(name, marks=() if name in SAMPLE else pytest.mark.nightly) for name in MOST])
def test_an_update_dispatches_few_operators_and_never_waits_for_the_device(name):
    counts = counted(name)
    assert counts.waits == 0, {each: number for each, number in counts.by_name.items() if "scalar" in each or "nonzero" in each}
    assert 0.7 * MOST[name] < counts.operators <= MOST[name], "a bound is a tenth above the count"
