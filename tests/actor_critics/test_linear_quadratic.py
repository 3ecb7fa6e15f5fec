"""Both planners on a linear-quadratic problem: x' = A x + B a, with reward -(x' Q x' + R a^2), discounted by `DISCOUNT`."""

from functools import cache

import pytest
import torch
from torch import Tensor

from framework.actor_critics.cem_planner import CEMPlanner
from framework.actor_critics.mppi_planner import MPPIPlanner
from framework.specs import ActionSpec, LatentSpec, ModelSpecs
from framework.testing.samples import normal, seeded
from framework.values.base import Value
from tests.actor_critics.worlds import latent_at, moving

A, B = torch.tensor([[1.0, 0.5], [0.0, 0.8]]), torch.tensor([0.1, 0.7])
Q, R = torch.tensor([[1.0, 0.0], [0.0, 0.1]]), 0.2
DISCOUNT, STARTS = 0.9, 0.5 * normal(5, 2, seed=1)
MODEL = ModelSpecs(LatentSpec(deterministic=0, stochastic=2, kind="gaussian"), 1, {}, ActionSpec(kind="continuous", sizes=(1,)))


def step(x: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
    """The next state and its reward."""
    following = x @ A.T + action * B
    return following, -quadratic(Q, following) - R * action[..., 0].square()


def quadratic(matrix: Tensor, x: Tensor) -> Tensor:
    return ((x @ matrix) * x).sum(dim=-1)


@cache
def cost_to_go(discount: float = DISCOUNT) -> Tensor:
    """P of the discounted problem by the Riccati recursion: the value is `-x P x`."""
    cost = torch.zeros(2, 2)
    for _ in range(500):
        weight = Q + discount * cost
        push = B @ weight
        cost = A.T @ (weight - torch.outer(push, push) / (R + push @ B)) @ A
    return cost


def gain(discount: float = DISCOUNT) -> Tensor:
    """K of the optimal action `-K x`."""
    push = B @ (Q + discount * cost_to_go(discount))
    return push @ A / (R + push @ B)


class CostToGo(Value):
    """`-x P x`, whatever the action."""

    def __init__(self, *, feature_size: int) -> None:
        super().__init__(feature_size=feature_size)

    def forward(self, features: Tensor) -> Tensor:
        return -quadratic(cost_to_go(), features[..., :2])

    def loss(self, features: Tensor, target: Tensor) -> Tensor:
        raise NotImplementedError


@pytest.mark.parametrize("horizon", [1, 3])
def test_mppi_with_the_exact_value_is_optimal_at_any_horizon(horizon):
    settings = {"layers": 1, "units": 8, "candidates": 300, "policy_plans": 0, "elites": 30, "iterations": 12, "temperature": 5.0}
    planner = MPPIPlanner(model=MODEL, value=CostToGo, horizon=horizon, discount=DISCOUNT, minimum_std=1e-3, **settings)
    actions, _ = planner.act(latent_at(STARTS), planner.initial(len(STARTS)), moving(step), "mode", seeded(5))
    assert torch.allclose(actions[:, 0], -STARTS @ gain(), atol=0.03)


def test_cem_with_a_long_horizon_is_optimal_without_a_discount():
    """Its actions are those of the undiscounted problem, whose cost beyond ten steps is small."""
    planner = CEMPlanner(model=MODEL, horizon=10, candidates=300, iterations=20, elites=30)
    actions, _ = planner.act(latent_at(STARTS), planner.initial(len(STARTS)), moving(step), "mode", seeded(5))
    assert (gain(1.0) - gain()).abs().max() > 0.01
    assert torch.allclose(actions[:, 0], -STARTS @ gain(1.0), atol=0.06)
