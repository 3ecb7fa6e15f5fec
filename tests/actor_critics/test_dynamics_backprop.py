"""Dreamer V1's behavior, against loops written from the paper's code."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from framework.actor_critics.dynamics_backprop import DynamicsBackprop
from framework.data import ActionKind, Imagination
from tests.actor_critics.worlds import half_square, random_rollout
from tests.members import factory
from tests.tiny import ACTIONS, LATENT, acted, behavior_sizes, normal, replayed, replayed_noise, seeded

FEATURES = LATENT.feature_size


def make(kind: ActionKind = "continuous", **settings) -> DynamicsBackprop:
    sizes = {"layers": 1, "units": 8, "value": factory("values", "NormalValue")}
    return DynamicsBackprop(**behavior_sizes(LATENT, kind), **(sizes | settings))


def losses_of(behavior: DynamicsBackprop, imagination: Imagination, kind: ActionKind = "continuous") -> dict[str, Tensor]:
    return behavior.losses(imagination, replayed(kind=kind), replayed_noise(kind=kind))[0]


def naive(behavior: DynamicsBackprop, imagination: Imagination, gamma: float = 0.99, lam: float = 0.95) -> tuple[Tensor, Tensor]:
    """The start is excluded: `H` imagined steps give `H - 1` targets and a bootstrap. Weights multiply the discounts before a step."""
    starts, horizon = imagination.action.shape[:2]
    actor, value = torch.zeros(starts, horizon - 1), torch.zeros(starts, horizon - 1)
    for n in range(starts):
        features = imagination.features[n, 1:]
        reward, discount = imagination.reward[n, 1:], gamma * imagination.continuation[n, 1:]
        values = [behavior.value(each) for each in features]
        following, returns = values[-1], {}
        for t in reversed(range(horizon - 1)):
            following = reward[t] + discount[t] * ((1 - lam) * values[t + 1] + lam * following)
            returns[t] = following
        weight = 1.0
        for t in range(horizon - 1):
            actor[n, t] = -weight * returns[t]
            value[n, t] = weight * half_square(values[t], returns[t])
            weight = weight * discount[t].item()
    return actor, value


def test_its_losses_are_those_of_the_papers_code():
    behavior, imagination = make(), random_rollout(3, 15)
    losses = losses_of(behavior, imagination)
    actor, value = naive(behavior, imagination)
    assert losses["actor"].shape == losses["value"].shape == (3, 14)
    assert torch.allclose(losses["actor"], actor, atol=1e-5)
    assert torch.allclose(losses["value"], value, atol=1e-4)


def test_its_gradients_are_those_of_the_papers_code():
    """Returns are differentiated in the actor's loss and constant in the value's; weights are constant in both."""
    behavior, imagination = make(), random_rollout(2, 6)
    leaves = [each.requires_grad_() for each in (imagination.features, imagination.reward, imagination.continuation)]
    losses = losses_of(behavior, imagination)
    found = torch.autograd.grad(losses["actor"].sum(), leaves, retain_graph=True)
    expected = torch.autograd.grad(naive(behavior, imagination)[0].sum(), leaves, retain_graph=True)
    assert all(torch.allclose(one, other, atol=1e-5) for one, other in zip(found, expected, strict=True))
    assert (found[0][:, 0] == 0).all(), "the start is excluded"
    of_value = torch.autograd.grad(losses["value"].sum(), leaves, allow_unused=True)
    assert all(gradient is None or not gradient.any() for gradient in of_value)


def test_the_actor_sees_detached_features():
    behavior, features = make(), normal(4, FEATURES).requires_grad_()
    action = behavior.sample(features, behavior.draw_noise(4, generator=seeded()))
    (of_features, *of_actor) = torch.autograd.grad(action.sum(), [features, *behavior.group("actor")], allow_unused=True)
    assert of_features is None
    assert all(gradient.abs().sum() > 0 for gradient in of_actor)


@pytest.mark.parametrize("kind", ["continuous", "discrete"])
def test_its_entropy_bonus_is_estimated_from_the_sample_of_a_tanh_normal_and_exact_for_choices(kind):
    behavior, plain, imagination = make(kind, entropy=0.5), make(kind), random_rollout(2, 4, kind)
    plain.load_state_dict(behavior.state_dict())
    policy = behavior.policy(imagination.features[:, 1:-1])
    entropy = policy.entropy if kind == "discrete" else -policy.log_density(imagination.action[:, 1:])
    difference = losses_of(behavior, imagination, kind)["actor"] - losses_of(plain, imagination, kind)["actor"]
    assert torch.allclose(difference, -0.5 * entropy, atol=1e-5)


def test_percentiles_of_the_returns_scale_the_loss_of_the_actor():
    behavior, plain, imagination = make(return_scale="percentiles"), make(), random_rollout(3, 6)
    imagination = replace(imagination, reward=100 * imagination.reward)
    plain.load_state_dict(behavior.state_dict())
    (losses, metrics), unscaled = behavior.losses(imagination, replayed(), replayed_noise()), losses_of(plain, imagination)
    scale = (unscaled["actor"] / losses["actor"]).flatten()
    assert scale.min() > 10
    assert torch.allclose(scale, scale[:1], rtol=1e-3)
    assert metrics["behavior/return"].abs() > 10, "the metric is unscaled"
    assert torch.equal(losses["value"], unscaled["value"])


def silenced(behavior: DynamicsBackprop, bias: Tensor | None = None) -> DynamicsBackprop:
    """Its policy has the same parameters at all features."""
    with torch.no_grad():
        behavior.actor.net.net[-1].weight.zero_()
        if bias is not None:
            behavior.actor.net.net[-1].bias.copy_(bias)
    return behavior


def test_the_initial_policy_has_the_standard_deviation_and_the_largest_mean_that_are_bound():
    assert make(mean_scale=0.5).policy(100 * normal(200, FEATURES)).mean.abs().max() <= 0.5
    assert torch.allclose(silenced(make(initial_std=3.0)).policy(normal(4, FEATURES)).std, torch.tensor(3.0), atol=1e-3)


def test_exploring_adds_noise_to_the_action():
    features = normal(2000, FEATURES)
    quiet, loud = (silenced(make(initial_std=1e-3, action_noise=amount)) for amount in (0.0, 0.3))
    assert acted(quiet, features, "explore", seeded()).abs().max() < 0.02
    assert acted(loud, features, "explore", seeded()).std().item() == pytest.approx(0.3, abs=0.02)


@pytest.mark.parametrize("kind", ["discrete", "multi_discrete"])
def test_exploring_replaces_choices_with_its_probability_by_uniform_ones(kind):
    first = torch.cat([torch.eye(size)[0] for size in ACTIONS[kind].sizes])
    behavior, features = silenced(make(kind, action_noise=0.4), bias=50 * first), normal(5000, FEATURES)
    assert torch.equal(acted(behavior, features, "mode", seeded()), first.expand(5000, -1))
    actions = acted(behavior, features, "explore", seeded())
    unchanged = 0.6 + 0.4 / math.prod(ACTIONS[kind].sizes)
    assert (actions == first).all(dim=-1).float().mean().item() == pytest.approx(unchanged, abs=0.02)
    for group, size in zip(actions.split(ACTIONS[kind].sizes, dim=-1), ACTIONS[kind].sizes, strict=True):
        assert torch.equal(group.sum(dim=-1), torch.ones(5000))
        assert group.mean(dim=0)[1:].tolist() == pytest.approx([0.4 / size] * (size - 1), abs=0.02)


def test_its_best_action_is_the_likeliest_of_a_hundred():
    behavior, features = make(), normal(5, FEATURES)
    candidates = behavior.policy(features).sample(behavior.draw_noise(100, 5, generator=seeded(3)))
    density = behavior.policy(features).log_density(candidates)
    for row, action in enumerate(acted(behavior, features, "mode", seeded(3))):
        assert torch.equal(action, candidates[density[:, row].argmax(), row])


def test_its_mean_action_is_the_tanh_of_the_mean():
    behavior, features = make(mode="mean"), normal(5, FEATURES)
    assert torch.equal(acted(behavior, features, "mode", seeded()), behavior.policy(features).mean.tanh())
