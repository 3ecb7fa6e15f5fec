"""Agents of the recipes, small, for what is compared between equal ones."""

from collections.abc import Sequence
from functools import partial

import pytest

import framework
from framework.agent import Agent
from framework.data import Batch
from framework.training.policy import build_agent
from framework.training.runtime import Runtime
from tests.members import ROOT
from tests.test_recipes import NAMES, batch_of, composed, specs_of

SAMPLE = ("dreamer_v3_infonce", "quickstart", "r2dreamer", "tdmpc2_like")
SAMPLED = [pytest.param(name, marks=() if name in SAMPLE else pytest.mark.nightly) for name in NAMES]
"""Every recipe; outside the sample only at night."""


def agents(name: str, count: int, device: str = "cpu", bindings: Sequence[str] = ()) -> tuple[list[Agent], partial[Batch]]:
    """Equal agents of a recipe, made small, and what gives their batches by number."""
    path = ROOT / "recipes" / f"{name}.gin"
    run = framework.compose(path, [*composed(path).composed.overrides, "Agent.horizon=3", *bindings])
    shown, times = specs_of(run), 1 + int(run.composed.parameters().get("ActionConditionedCPC.steps", 3))
    factory = run.composed.root.keywords["agent"]
    return [build_agent(factory, shown, Runtime(device=device), seed=5) for _ in range(count)], partial(batch_of, shown, times=times)
