"""Both planners on a linear-quadratic problem: x' = A x + B a, with reward -(x' Q x' + R a^2), discounted by `DISCOUNT`."""

from functools import cache

import pytest
import torch
from torch import Tensor

from framework.actor_critics.cem_planner import CEMPlanner
from framework.actor_critics.mppi_planner import MPPIPlanner
from framework.data import ActionSpec, LatentSpec
from framework.values.base import Value
from tests.actor_critics.worlds import latent_at, moving
from tests.tiny import normal, seeded

A, B = torch.tensor([[1.0, 0.5], [0.0, 0.8]]), torch.tensor([0.1, 0.7])
Q, R = torch.tensor([[1.0, 0.0], [0.0, 0.1]]), 0.2
DISCOUNT, STARTS = 0.9, 0.5 * normal(5, 2, seed=1)
SIZES = {
    "latent": LatentSpec(deterministic=0, stochastic=2, kind="gaussian"),
    "action": ActionSpec(kind="continuous", sizes=(1,)),
    "embedding_size": 1,
}


def step(x: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
    """The next state and its reward."""
    following = x @ A.T + action * B
    return following, -quadratic(Q, following) - R * action[..., 0].square()


def quadratic(matrix: Tensor, x: Tensor) -> Tensor:
    return ((x @ matrix) * x).sum(dim=-1)


@cache
def cost_to_go() -> Tensor:
    """P of the discounted problem by the Riccati recursion: the value is `-x P x`."""
    cost = torch.zeros(2, 2)
    for _ in range(500):
        weight = Q + DISCOUNT * cost
        push = B @ weight
        cost = A.T @ (weight - torch.outer(push, push) / (R + push @ B)) @ A
    return cost


def gain() -> Tensor:
    """K of the optimal action `-K x`."""
    push = B @ (Q + DISCOUNT * cost_to_go())
    return push @ A / (R + push @ B)


def grid_search(horizon: int, discount: float, cost: Tensor) -> Tensor:
    """The first action of the best plan on a grid, from every start, with `-x cost x` as the value beyond the horizon."""
    grid = torch.linspace(-1, 1, 61)
    plans = torch.cartesian_prod(*[grid] * horizon).reshape(-1, horizon)
    best = []
    for start in STARTS:
        x, total, weight = start.expand(len(plans), 2), torch.zeros(len(plans)), 1.0
        for action in plans.split(1, dim=-1):
            x, reward = step(x, action)
            total, weight = total + weight * reward, weight * discount
        best.append(plans[(total - weight * quadratic(cost, x)).argmax(), 0])
    return torch.stack(best)


class CostToGo(Value):
    """`-x P x`, whatever the action."""

    def __init__(self, *, feature_size: int) -> None:
        super().__init__(feature_size=feature_size)

    def forward(self, features: Tensor) -> Tensor:
        return -quadratic(cost_to_go(), features[..., :2])

    def loss(self, features: Tensor, target: Tensor) -> Tensor:
        raise NotImplementedError


def first_actions(planner: CEMPlanner | MPPIPlanner) -> Tensor:
    return planner.act(latent_at(STARTS), planner.initial(len(STARTS)), moving(step), "mode", seeded(5))[0][:, 0]


def mppi(horizon: int, discount: float = DISCOUNT) -> MPPIPlanner:
    settings = {"layers": 1, "units": 8, "candidates": 300, "policy_plans": 0, "elites": 30, "iterations": 12, "temperature": 5.0}
    return MPPIPlanner(**SIZES, value=CostToGo, horizon=horizon, discount=discount, minimum_std=1e-3, **settings)


def test_the_optimal_action_differs_from_the_greedy_one():
    greedy, optimal = grid_search(1, 1.0, torch.zeros(2, 2)), -STARTS @ gain()
    assert optimal.abs().max() < 1
    assert (greedy - optimal).abs().max() > 0.2
    assert torch.allclose(grid_search(2, DISCOUNT, cost_to_go()), optimal, atol=0.02), "the grid agrees with the equation"


@pytest.mark.parametrize("horizon", [1, 3])
def test_cem_agrees_with_a_grid_search(horizon):
    planner = CEMPlanner(**SIZES, horizon=horizon, candidates=300, iterations=12, elites=30)
    assert torch.allclose(first_actions(planner), grid_search(horizon, 1.0, torch.zeros(2, 2)), atol=0.03)


@pytest.mark.parametrize("horizon", [1, 3])
def test_mppi_with_the_exact_value_is_optimal_at_any_horizon(horizon):
    assert torch.allclose(first_actions(mppi(horizon)), -STARTS @ gain(), atol=0.03)


def test_mppi_without_a_future_is_greedy():
    assert torch.allclose(first_actions(mppi(3, discount=1e-6)), grid_search(1, 1.0, torch.zeros(2, 2)), atol=0.03)
