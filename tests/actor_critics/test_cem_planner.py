"""PlaNet's planner, in worlds of closed form, and against a loop."""

import pytest
import torch
from torch import Tensor

from framework.actor_critics.cem_planner import CEMPlanner
from framework.data import Imagination, Latent
from framework.testing.samples import LATENT, behavior_sizes, normal, seeded
from tests.actor_critics.worlds import latent_at, rollout, still

SIZE, ACTION = 4, 2
GOALS = normal(SIZE, ACTION, seed=3).tanh()
"""The best action of each environment, which its latent holds."""


def make(**settings) -> CEMPlanner:
    return CEMPlanner(**behavior_sizes(LATENT), **({"horizon": 3, "candidates": 100, "iterations": 8, "elites": 10} | settings))


def toward(features: Tensor, action: Tensor) -> Tensor:
    return -(action - features).square().sum(dim=-1)


def acted(planner: CEMPlanner, imagine, mode: str = "mode", goals: Tensor = GOALS) -> Tensor:
    return planner.act(latent_at(goals), planner.initial(len(goals)), imagine, mode, seeded(5))[0]


def test_it_finds_the_best_action_of_every_environment():
    assert torch.allclose(acted(make(), still(toward)), GOALS, atol=0.05)


def test_a_reward_beyond_the_end_of_an_episode_does_not_count():
    """A positive first action has a slightly larger reward, and ends the episode before the large rewards."""

    def imagine(start: Latent, choose, noise: Tensor, generator: torch.Generator) -> Imagination:
        actions = torch.stack([choose(start.features, each) for each in noise], dim=1)
        rewards = torch.ones(actions.shape[:2])
        rewards[:, 0] = 0.1 * actions[:, 0, 0]
        continuation = torch.ones_like(rewards)
        continuation[:, 0] = (actions[:, 0, 0] <= 0).float()
        return rollout(actions, start.features[:, None].expand(-1, 4, -1), rewards, continuation)

    assert (acted(make(), imagine)[:, 0] < 0).all()


@pytest.mark.parametrize("iterations", [1, 2])
def test_it_draws_each_iteration_around_the_best_candidates_of_the_one_before(iterations):
    planner, generator = make(iterations=iterations, candidates=20, elites=5, horizon=1), seeded(5)
    draws = [torch.randn(1, SIZE, 20, ACTION, generator=generator) for _ in range(iterations)]
    actions = acted(planner, still(toward))
    for n in range(SIZE):
        mean, std = torch.zeros(ACTION), torch.ones(ACTION)
        for noise in draws:
            plans = (mean + std * noise[0, n]).clamp(-1, 1)
            chosen = plans[toward(GOALS[n], plans).topk(5).indices]
            mean, std = chosen.mean(dim=0), chosen.std(dim=0, unbiased=False)
        assert torch.allclose(actions[n], mean, atol=1e-5)


def test_exploring_adds_noise_to_the_action_and_stays_in_bounds():
    planner, goals = make(candidates=10, elites=2, action_noise=0.3), torch.zeros(2000, ACTION)
    noisy, calm = (acted(planner, still(toward), mode, goals) for mode in ("explore", "mode"))
    assert (noisy - calm).std().item() == pytest.approx(0.3, abs=0.02)
    assert acted(make(candidates=10, elites=2, action_noise=50.0), still(toward), "explore").abs().max() == 1.0
