"""Dreamer V3's behavior, beyond its losses, which `tests/reference` compares with the paper's."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from framework.actor_critics.reinforce import Reinforce, ReturnScale
from framework.data import Imagination, InferredBatch
from framework.errors import UserError
from framework.specs import ActionKind
from framework.testing.samples import LATENT, ROWS, TIMES, acted, behavior_sizes, normal, replayed, replayed_noise, seeded
from tests.actor_critics.worlds import random_rollout
from tests.members import factory

FEATURES, STARTS, HORIZON = LATENT.feature_size, ROWS * TIMES, 4


def make(kind: ActionKind = "continuous", **settings) -> Reinforce:
    torch.manual_seed(0)
    small = {"layers": 1, "units": 8, "value": factory("values", "NormalValue")}
    return Reinforce(**behavior_sizes(LATENT, kind), **(small | settings))


def rollout(starts: int = STARTS) -> Imagination:
    """With large rewards."""
    imagination = random_rollout(starts, HORIZON)
    return replace(imagination, reward=100 * imagination.reward)


def losses_of(behavior: Reinforce, imagination: Imagination, inferred: InferredBatch | None = None) -> dict[str, Tensor]:
    return behavior.losses(imagination, replayed() if inferred is None else inferred, replayed_noise())[0]


def test_the_replayed_value_trains_the_model_but_at_the_last_steps_of_episodes():
    inferred = replayed()
    inferred.batch.is_first[:] = torch.tensor([[1, 0, 0, 1, 0], [0, 0, 0, 0, 1], [0, 1, 0, 0, 0]], dtype=torch.bool)
    inferred.batch.is_terminal[:] = torch.tensor([[0, 0, 1, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 1]], dtype=torch.bool)
    leaf = inferred.posterior.map(lambda tensor: tensor.clone().requires_grad_())
    loss = losses_of(make(), rollout(), replace(inferred, posterior=leaf))["value"]
    (gradient,) = torch.autograd.grad(loss.mean(), [leaf.stochastic])
    expected = ~inferred.batch.is_first.roll(-1, dims=1)
    expected[:, -1] = False
    assert torch.equal(gradient.abs().sum(dim=-1) > 0, expected)


def test_the_return_scale_averages_ranges_from_zero_and_is_at_least_one():
    scale, returns, scales = ReturnScale(), torch.linspace(0, 1000, 101), []
    for _ in range(3):
        scales.append(scale(returns).item())
        assert scale(returns).item() == scales[-1], "a call has no lasting effect"
        scale.after_update()
    assert scales == pytest.approx([9.0, 17.91, 26.7309])
    assert ReturnScale()(returns / 1000).item() == 1.0


def test_the_return_scale_is_part_of_a_checkpoint():
    behavior, again = make(), make()
    losses_of(behavior, rollout())
    behavior.after_update()
    again.load_state_dict(behavior.state_dict())
    assert behavior.scale.range > 1
    assert torch.equal(losses_of(again, rollout())["actor"], losses_of(behavior, rollout())["actor"])


def test_the_initial_policy_is_near_zero_with_the_released_standard_deviation():
    behavior = make(units=256)
    policy = behavior.policy(normal(200, FEATURES))
    assert policy.mean.abs().max() < 0.05
    assert torch.allclose(policy.std, torch.tensor(0.8927), atol=0.01)
    assert acted(behavior, normal(200, FEATURES), "mode", seeded()).abs().max() < 0.05
    assert acted(behavior, normal(200, FEATURES), "explore", seeded()).std().item() == pytest.approx(0.685, abs=0.03)


def test_a_discrete_policy_keeps_one_percent_of_the_uniform_distribution():
    policy = make("discrete", norm="none").policy(1e6 * normal(200, FEATURES))
    assert policy.log_probabilities.exp().min().item() == pytest.approx(0.01 / 3, rel=1e-3)


def test_no_gradient_reaches_imagination_and_none_of_the_actors_loss_the_value():
    behavior, imagination = make(), rollout()
    leaves = [each.requires_grad_() for each in vars(imagination).values() if each is not None]
    losses, metrics = behavior.losses(imagination, replayed(), replayed_noise())
    for loss in losses.values():
        assert all(each is None for each in torch.autograd.grad(loss.sum(), leaves, allow_unused=True, retain_graph=True))
    assert not metrics["behavior/return"].requires_grad
    assert all(each is None for each in torch.autograd.grad(losses["actor"].mean(), behavior.group("value"), allow_unused=True))


def test_rollouts_may_start_anywhere_without_replayed_steps_alone():
    behavior = make(replay_value=0.0)
    losses, metrics = behavior.losses(rollout(starts=4), replayed(), replayed_noise())
    assert behavior.shapes_model == ()
    assert losses["value"].shape == (4, HORIZON)
    assert "behavior/replayed_return" not in metrics
    with pytest.raises(UserError, match=r"each of the 15 replayed steps, and there are 4; bind Agent.imagination_starts = None"):
        losses_of(make(), rollout(starts=4))
