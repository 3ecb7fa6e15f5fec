"""Equal agents of the recipes, small, and the comparison of what they became."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor

import framework
from framework.agent import Agent
from framework.data import Batch
from framework.training import checkpoints
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


def saved(checkpoint: Path | None) -> dict[str, Tensor]:
    """The agent in a checkpoint."""
    assert checkpoint is not None
    agent: dict[str, Tensor] = checkpoints.read(checkpoint)[1]["agent"]
    return agent


def differing(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> list[str]:
    """The names of the tensors that are not equal to the bit."""
    assert one.keys() == other.keys()
    return [name for name in one if not torch.equal(one[name], other[name])]
