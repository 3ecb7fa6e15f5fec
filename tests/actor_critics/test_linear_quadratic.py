"""Both planners on a linear-quadratic problem, whose best plan a grid finds and whose best gain an equation gives.

x' = A x + B a,    reward -(x' Q x' + R a^2),    the future weighs `DISCOUNT` for each step
"""

import pytest
import torch
from torch import Tensor

from framework.actor_critics.cem_planner import CEMPlanner
from framework.actor_critics.mppi_planner import MPPIPlanner
from framework.data import ActionSpec, Imagination, LatentSpec
from framework.values.base import Value
from tests.actor_critics.worlds import belief, rollout
from tests.tiny import normal, seeded

A, B = torch.tensor([[1.0, 0.5], [0.0, 0.8]]), torch.tensor([0.1, 0.7])
Q, R = torch.tensor([[1.0, 0.0], [0.0, 0.1]]), 0.2
DISCOUNT, STARTS = 0.9, 0.5 * normal(5, 2, seed=1)
SIZES = {
    "latent": LatentSpec(deterministic=0, stochastic=2, kind="gaussian"),
    "action": ActionSpec(kind="continuous", sizes=(1,)),
    "embedding_size": 1,
}


def moved(place: Tensor, action: Tensor) -> Tensor:
    return place @ A.T + action * B


def paid(place: Tensor, action: Tensor) -> Tensor:
    """For where an action led, and for its effort."""
    return -((place @ Q) * place).sum(dim=-1) - R * action[..., 0].square()


def imagine(start, choose, noise: Tensor, generator: torch.Generator) -> Imagination:
    places, actions, rewards = [start.features], [], []
    for each in noise:
        actions.append(choose(places[-1], each))
        places.append(moved(places[-1], actions[-1]))
        rewards.append(paid(places[-1], actions[-1]))
    reward = torch.stack(rewards, dim=1)
    return rollout(torch.stack(actions, dim=1), torch.stack(places, dim=1), reward, torch.ones_like(reward))


def cost_to_go() -> Tensor:
    """P of the discounted problem, by its recursion: the value of a place is `-x P x`."""
    found = torch.zeros(2, 2)
    for _ in range(500):
        weight = Q + DISCOUNT * found
        push = B @ weight
        found = A.T @ (weight - torch.outer(push, push) / (R + push @ B)) @ A
    return found


def gain() -> Tensor:
    """The best action at x is `-K x`."""
    push = B @ (Q + DISCOUNT * cost_to_go())
    return push @ A / (R + push @ B)


def searched(horizon: int, discount: float, worth: Tensor) -> Tensor:
    """The first action of the best plan on a grid, from every start; what lies beyond is worth `-x worth x`."""
    grid = torch.linspace(-1, 1, 61)
    plans = torch.cartesian_prod(*[grid] * horizon).reshape(-1, horizon)
    best = []
    for start in STARTS:
        place, total, weight = start.expand(len(plans), 2), torch.zeros(len(plans)), 1.0
        for step in range(horizon):
            action = plans[:, step : step + 1]
            place = moved(place, action)
            total, weight = total + weight * paid(place, action), weight * discount
        best.append(plans[(total - weight * ((place @ worth) * place).sum(dim=-1)).argmax(), 0])
    return torch.stack(best)


class CostToGo(Value):
    """`-x P x`, whatever the action is that stands beside x."""

    def __init__(self, *, feature_size: int) -> None:
        super().__init__(feature_size=feature_size)

    def forward(self, features: Tensor) -> Tensor:
        place = features[..., :2]
        return -((place @ cost_to_go()) * place).sum(dim=-1)

    def loss(self, features: Tensor, target: Tensor) -> Tensor:
        raise NotImplementedError

    def bootstrap(self, features: Tensor) -> Tensor:
        return self(features)

    def after_update(self) -> None:
        return


def first_actions(planner: CEMPlanner | MPPIPlanner) -> Tensor:
    return planner.act(belief(STARTS), planner.initial(len(STARTS)), imagine, "mode", seeded(5))[0][:, 0]


def mppi(horizon: int, discount: float = DISCOUNT) -> MPPIPlanner:
    settings = {"layers": 1, "units": 8, "candidates": 300, "policy_plans": 0, "elites": 30, "iterations": 12, "temperature": 5.0}
    return MPPIPlanner(**SIZES, value=CostToGo, horizon=horizon, discount=discount, minimum_std=1e-3, **settings)


def test_the_problem_is_one_in_which_it_matters_to_look_ahead():
    greedy, far = searched(1, 1.0, torch.zeros(2, 2)), -STARTS @ gain()
    assert far.abs().max() < 1
    assert (greedy - far).abs().max() > 0.2
    assert torch.allclose(searched(2, DISCOUNT, cost_to_go()), far, atol=0.02), "a grid over two steps agrees with the equation"


@pytest.mark.parametrize("horizon", [1, 2, 3])
def test_cem_finds_what_the_grid_finds(horizon):
    planner = CEMPlanner(**SIZES, horizon=horizon, candidates=300, iterations=12, elites=30)
    assert torch.allclose(first_actions(planner), searched(horizon, 1.0, torch.zeros(2, 2)), atol=0.03)


@pytest.mark.parametrize("horizon", [1, 2, 3])
def test_mppi_finds_the_gain_however_short_its_plan_where_the_value_beyond_is_right(horizon):
    found = first_actions(mppi(horizon))
    assert torch.allclose(found, -STARTS @ gain(), atol=0.03)
    assert torch.allclose(found, searched(horizon, DISCOUNT, cost_to_go()), atol=0.04)


def test_mppi_discounts_what_lies_further():
    """All the weight on the first step leaves the greedy action."""
    assert torch.allclose(first_actions(mppi(3, discount=1e-6)), searched(1, 1.0, torch.zeros(2, 2)), atol=0.03)
