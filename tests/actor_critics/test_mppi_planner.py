"""TD-MPC2's planner, in worlds of closed form, and its losses."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from torch import Tensor

from framework.actor_critics.mppi_planner import MPPIPlanner
from framework.specs import LatentSpec
from framework.testing.samples import LATENT, ROWS, batch, behavior_sizes, normal, replayed, replayed_noise, seeded, specs_of
from framework.values.base import Value
from tests.actor_critics.worlds import latent_at, moving, nothing_imagined, still, temporal_difference_loss
from tests.members import agent_factory, factory

SIZE, ACTION = 4, 2
GOALS = normal(SIZE, ACTION, seed=3).tanh()
PLANE = LatentSpec(deterministic=0, stochastic=ACTION, kind="gaussian")
SMALL = {"layers": 1, "units": 8, "candidates": 100, "policy_plans": 4, "elites": 10}


class Distance(Value):
    """Largest where the features are `goal`, whatever the action."""

    def __init__(self, *, feature_size: int, goal: float) -> None:
        super().__init__(feature_size=feature_size)
        self.goal = goal

    def forward(self, features: Tensor) -> Tensor:
        return -(features[..., :ACTION] - self.goal).square().sum(dim=-1)

    def loss(self, features: Tensor, target: Tensor) -> Tensor:
        return (self(features) - target).square()


def make(spec: LatentSpec = PLANE, **settings) -> MPPIPlanner:
    return MPPIPlanner(**behavior_sizes(spec), **(SMALL | {"value": factory("values", "NormalValue")} | settings))


def acted(planner: MPPIPlanner, goals: Tensor, imagine, plan: Tensor | None = None, mode: str = "mode") -> tuple[Tensor, Tensor]:
    return planner.act(latent_at(goals), planner.initial(len(goals)) if plan is None else plan, imagine, mode, seeded(5))


def adding(features: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
    """A world in which actions add up in the features, and rewards are zero."""
    return features + action, features.new_zeros(len(features))


def toward(features: Tensor, action: Tensor) -> Tensor:
    return -10 * (action - features).square().sum(dim=-1)


def test_it_finds_the_best_action_of_every_environment():
    assert torch.allclose(acted(make(candidates=500, elites=50), GOALS, still(toward))[0], GOALS, atol=0.1)


@pytest.mark.parametrize("goal", [-1.2, 1.2])
def test_it_plans_toward_the_largest_value_beyond_the_horizon(goal):
    """Rewards are zero, and three actions add up to the goal."""
    planner = make(value=partial(Distance, goal=goal), temperature=20.0)
    action, plan = acted(planner, torch.zeros(SIZE, ACTION), moving(adding))
    assert plan.shape == (SIZE, 3 * ACTION)
    total = action + plan.reshape(SIZE, 3, ACTION).sum(dim=1)
    assert torch.allclose(total, torch.full_like(total, goal), atol=0.3)


def test_the_next_plan_starts_from_the_last_one_shifted_by_a_step():
    """Without spread a plan stays as it was."""
    plan = normal(SIZE, 3 * ACTION, seed=4).tanh()
    action, after = acted(make(minimum_std=1e-4, maximum_std=1e-4, policy_plans=0), GOALS, still(toward), plan)
    assert torch.allclose(action, plan[:, :ACTION], atol=1e-2)
    assert torch.allclose(after, torch.cat([plan[:, ACTION:], torch.zeros(SIZE, ACTION)], dim=1), atol=1e-2)


def test_the_best_of_the_policys_plans_is_taken_where_there_are_no_others():
    planner = make(value=partial(Distance, goal=0.0), horizon=1, candidates=6, policy_plans=6, elites=2, temperature=1e6)
    samples = planner.sample(GOALS[:, None].expand(-1, 6, -1), torch.randn(1, SIZE, 6, ACTION, generator=seeded(5))[0])
    best = toward(GOALS[:, None], samples).argmax(dim=1)
    assert torch.allclose(acted(planner, GOALS, still(toward))[0], samples[torch.arange(SIZE), best], atol=1e-6)


def test_exploring_adds_the_last_spread():
    planner = make(candidates=6, policy_plans=0, elites=3, minimum_std=0.2, maximum_std=0.2)
    noisy, calm = (acted(planner, torch.zeros(1000, ACTION), still(toward), mode=mode)[0] for mode in ("explore", "mode"))
    assert (noisy - calm).std().item() == pytest.approx(0.2, abs=0.02)


def test_an_agent_carries_the_plan_within_an_episode():
    agent = agent_factory(actor_critic=factory("actor_critics", "MPPIPlanner"))(specs=specs_of("both"))
    observation = {name: value[:, 0] for name, value in batch().observation.items()}
    carry = agent.initial(ROWS)
    first, later = torch.ones(ROWS, dtype=torch.bool), torch.tensor([True, False, False])
    _, after = agent.act(carry, observation, first, "mode", seeded(1))
    assert after.plan.abs().sum() > 0
    _, continued = agent.act(after, observation, later, "mode", seeded(2))
    restarted = agent.act(replace(after, plan=torch.zeros_like(after.plan)), observation, later, "mode", seeded(2))[1].plan
    assert torch.equal(continued.plan[0], restarted[0])
    assert not torch.equal(continued.plan[1:], restarted[1:])


def test_its_losses_are_those_of_the_paper_without_first_and_terminal_steps():
    planner, inferred = make(LATENT, discount=0.9, entropy=0.1), replayed()
    losses, _ = planner.losses(nothing_imagined(inferred), inferred, replayed_noise())
    policy = planner.policy(inferred.features)
    action = policy.sample(replayed_noise())
    values = planner.value(torch.cat([inferred.features, action], dim=-1))
    low, high = torch.quantile(values.flatten(), torch.tensor([0.05, 0.95]))
    actor = (0.1 * policy.log_density(action) - values / max(1.0, (high - low).item()))[~inferred.batch.is_terminal].mean()
    assert torch.allclose(losses["actor"].mean(), actor, atol=1e-3)
    assert torch.allclose(losses["value"].mean(), temporal_difference_loss(planner.value, inferred, values, 0.9), atol=1e-5)
