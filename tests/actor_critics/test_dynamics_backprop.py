"""Dreamer V1's behavior, against loops written from the paper's code."""

import math
from dataclasses import replace

import pytest
import torch

from framework.actor_critics.dynamics_backprop import DynamicsBackprop
from framework.data import Imagination
from tests.members import factory
from tests.tiny import ACTIONS, LATENT, acted, actions, behavior_sizes, normal, replayed, replayed_noise, seeded

FEATURES, ACTION = 10, 2


def make(kind="continuous", **settings) -> DynamicsBackprop:
    sizes = {"layers": 1, "units": 8, "value": factory("values", "NormalValue")}
    return DynamicsBackprop(**behavior_sizes(LATENT, kind), **(sizes | settings))


def rollout(starts: int, horizon: int) -> Imagination:
    return Imagination(
        action=normal(starts, horizon, ACTION, seed=1).tanh(),
        features=normal(starts, horizon + 1, FEATURES, seed=2),
        reward=normal(starts, horizon + 1, seed=3),
        continuation=torch.rand(starts, horizon + 1, generator=seeded(4)),
    )


def naive(behavior: DynamicsBackprop, imagination: Imagination, discount: float, return_lambda: float):
    """The start is left out; 15 imagined steps give 14 targets and a bootstrap; weights multiply what came before."""
    starts, horizon = imagination.action.shape[:2]
    actor, value = torch.zeros(starts, horizon - 1), torch.zeros(starts, horizon - 1)
    for n in range(starts):
        seen = imagination.features[n, 1:]
        reward, going_on = imagination.reward[n, 1:], discount * imagination.continuation[n, 1:]
        values = [behavior.value(feature) for feature in seen]
        following, returns = values[-1], {}
        for t in reversed(range(horizon - 1)):
            following = reward[t] + going_on[t] * ((1 - return_lambda) * values[t + 1] + return_lambda * following)
            returns[t] = following
        weight = 1.0
        for t in range(horizon - 1):
            actor[n, t] = -weight * returns[t]
            value[n, t] = weight * (0.5 * (values[t] - returns[t]) ** 2 + 0.5 * math.log(2 * math.pi))
            weight = weight * going_on[t].item()
    return actor, value


def test_its_losses_are_those_of_the_papers_code():
    behavior, imagination = make(), rollout(3, 15)
    losses, metrics = behavior.losses(imagination, replayed(), replayed_noise())
    actor, value = naive(behavior, imagination, 0.99, 0.95)
    assert losses["actor"].shape == losses["value"].shape == (3, 14)
    assert torch.allclose(losses["actor"], actor, atol=1e-5)
    assert torch.allclose(losses["value"], value, atol=1e-4)
    assert torch.allclose(metrics["behavior/return"], -(actor / weights(imagination)).mean(), atol=1e-4)


def weights(imagination: Imagination) -> torch.Tensor:
    discount = 0.99 * imagination.continuation[:, 1:-2]
    return torch.cat([torch.ones(len(discount), 1), discount.cumprod(dim=1)], dim=1)


def test_its_gradients_are_those_of_the_papers_code():
    """Returns are differentiated in the actor's loss and constant in the value's; weights are constant in both."""
    behavior, imagination = make(), rollout(2, 6)
    leaves = [each.requires_grad_() for each in (imagination.features, imagination.reward, imagination.continuation)]
    losses, _ = behavior.losses(imagination, replayed(), replayed_noise())
    actor, _ = naive(behavior, imagination, 0.99, 0.95)
    found = torch.autograd.grad(losses["actor"].sum(), leaves, retain_graph=True)
    expected = torch.autograd.grad(actor.sum(), leaves, retain_graph=True)
    assert all(torch.allclose(one, other, atol=1e-5) for one, other in zip(found, expected, strict=True))
    assert (found[0][:, 0] == 0).all(), "the start is left out"
    of_value = torch.autograd.grad(losses["value"].sum(), leaves, allow_unused=True)
    assert all(gradient is None or not gradient.any() for gradient in of_value)


def test_the_actor_sees_detached_features():
    behavior, features = make(), normal(4, FEATURES).requires_grad_()
    action = behavior.sample(features, behavior.draw_noise(4, generator=seeded()))
    (of_features, *of_actor) = torch.autograd.grad(action.sum(), [features, *behavior.group("actor")], allow_unused=True)
    assert of_features is None
    assert all(gradient.abs().sum() > 0 for gradient in of_actor)


def test_entropy_is_paid_for():
    imagination, behavior, plain = rollout(2, 4), make(entropy=0.5), make()
    plain.load_state_dict(behavior.state_dict())
    surprise = -behavior.policy(imagination.features[:, 1:-1]).log_density(imagination.action[:, 1:])
    difference = (
        behavior.losses(imagination, replayed(), replayed_noise())[0]["actor"]
        - plain.losses(imagination, replayed(), replayed_noise())[0]["actor"]
    )
    assert torch.allclose(difference, -0.5 * surprise, atol=1e-5)


def test_the_policy_starts_as_wide_as_it_is_told():
    policy = make(initial_std=3.0, mean_scale=0.5).policy(100 * normal(200, FEATURES))
    zero = make(initial_std=3.0)
    with torch.no_grad():
        zero.actor.net.net[-1].weight.zero_()
    assert torch.allclose(zero.policy(normal(4, FEATURES)).std, torch.tensor(3.0), atol=1e-3)
    assert policy.mean.abs().max() <= 0.5


def test_exploring_adds_noise_to_the_action():
    features = normal(2000, FEATURES)
    quiet = make(initial_std=1e-3, action_noise=0.0)
    loud = make(initial_std=1e-3, action_noise=0.3)
    loud.load_state_dict(quiet.state_dict())
    with torch.no_grad():
        for behavior in (quiet, loud):
            behavior.actor.net.net[-1].weight.zero_()
    assert acted(quiet, features, "explore", seeded()).abs().max() < 0.02
    assert acted(loud, features, "explore", seeded()).std().item() == pytest.approx(0.3, abs=0.02)


def test_its_best_action_is_the_likeliest_of_a_hundred():
    behavior, features = make(), normal(5, FEATURES)
    candidates = behavior.policy(features).sample(behavior.draw_noise(100, 5, generator=seeded(3)))
    density = behavior.policy(features).log_density(candidates)
    for row, action in enumerate(acted(behavior, features, "mode", seeded(3))):
        assert torch.equal(action, candidates[density[:, row].argmax(), row])


def test_its_mean_action_is_the_tanh_of_the_mean():
    behavior, features = make(mode="mean"), normal(5, FEATURES)
    assert torch.equal(acted(behavior, features, "mode", seeded()), behavior.policy(features).mean.tanh())


@pytest.mark.parametrize("kind", ["discrete", "multi_discrete"])
def test_exploring_takes_choices_at_random_as_often_as_it_says(kind):
    """A policy that is sure of the first option of each choice, disturbed with probability 0.4."""
    behavior = make(kind, action_noise=0.4)
    sure = torch.cat([torch.eye(size)[0] for size in ACTIONS[kind].sizes])
    with torch.no_grad():
        behavior.actor.net.net[-1].weight.zero_()
        behavior.actor.net.net[-1].bias.copy_(50 * sure)
    features = normal(5000, FEATURES)
    assert torch.equal(acted(behavior, features, "mode", seeded()), sure.expand(5000, -1))
    taken = acted(behavior, features, "explore", seeded())
    assert (taken == sure).all(dim=-1).float().mean().item() == pytest.approx(0.6 + 0.4 / math.prod(ACTIONS[kind].sizes), abs=0.02)
    for group, size in zip(taken.split(ACTIONS[kind].sizes, dim=-1), ACTIONS[kind].sizes, strict=True):
        assert torch.equal(group.sum(dim=-1), torch.ones(5000))
        assert group.mean(dim=0)[1:].tolist() == pytest.approx([0.4 / size] * (size - 1), abs=0.02)


def test_the_entropy_of_choices_is_paid_for_exactly():
    behavior, plain = make("discrete", entropy=0.5), make("discrete")
    plain.load_state_dict(behavior.state_dict())
    imagination = replace(rollout(2, 4), action=actions("discrete", 2, 4))
    found, without = (
        each.losses(imagination, replayed(kind="discrete"), replayed_noise(kind="discrete"))[0]["actor"] for each in (behavior, plain)
    )
    assert torch.allclose(found, without - 0.5 * behavior.policy(imagination.features[:, 1:-1]).entropy, atol=1e-5)
