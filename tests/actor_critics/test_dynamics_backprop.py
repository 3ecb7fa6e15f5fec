"""Dreamer V1's behavior, beyond its losses, which `tests/reference` compares with the paper's."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from framework.actor_critics.dynamics_backprop import DynamicsBackprop
from framework.data import Imagination
from framework.specs import ActionKind
from framework.testing.samples import LATENT, acted, behavior_sizes, normal, replayed, replayed_noise, seeded
from tests.actor_critics.worlds import random_rollout
from tests.members import factory

FEATURES = LATENT.feature_size


def make(kind: ActionKind = "continuous", **settings) -> DynamicsBackprop:
    sizes = {"layers": 1, "units": 8, "value": factory("values", "NormalValue")}
    return DynamicsBackprop(**behavior_sizes(LATENT, kind), **(sizes | settings))


def losses_of(behavior: DynamicsBackprop, imagination: Imagination, kind: ActionKind = "continuous") -> dict[str, Tensor]:
    return behavior.losses(imagination, replayed(kind=kind), replayed_noise(kind=kind))[0]


def test_returns_have_a_gradient_in_the_actors_loss_alone_and_weights_in_none():
    """At a lambda of 0: `R_t = r_t + gamma c_t v_{t+1}`, without the start, whose continuation weighs all steps."""
    behavior, imagination = make(return_lambda=0.0), random_rollout(2, 6)
    leaves = [each.requires_grad_() for each in (imagination.features, imagination.reward, imagination.continuation)]
    losses = losses_of(behavior, imagination)
    of_features, of_reward, of_continuation = torch.autograd.grad(losses["actor"].sum(), leaves, retain_graph=True)
    weight = torch.cat([imagination.continuation[:, :1], 0.99 * imagination.continuation[:, 1:-2]], dim=1).cumprod(dim=1)
    assert torch.allclose(of_reward[:, 1:-1], -weight, atol=1e-6)
    assert torch.allclose(of_continuation[:, 1:-1], -0.99 * weight * behavior.value(imagination.features[:, 2:]), atol=1e-6)
    assert not any(gradient[:, 0].any() for gradient in (of_features, of_reward, of_continuation))
    of_value = torch.autograd.grad(losses["value"].sum(), leaves, allow_unused=True)
    assert all(gradient is None or not gradient.any() for gradient in of_value)


def test_the_features_of_the_actor_are_detached():
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


def test_exploring_adds_noise_to_the_action():
    features = normal(2000, FEATURES)
    calm, noisy = (make(initial_std=1e-3, action_noise=amount) for amount in (0.0, 0.3))
    for behavior in (calm, noisy):
        torch.nn.init.zeros_(behavior.actor.net.net[-1].weight)
    assert acted(calm, features, "explore", seeded()).abs().max() < 0.02
    assert acted(noisy, features, "explore", seeded()).std().item() == pytest.approx(0.3, abs=0.02)


def test_its_best_action_is_the_likeliest_of_a_hundred():
    behavior, features = make(), normal(5, FEATURES)
    candidates = behavior.policy(features).sample(behavior.draw_noise(100, 5, generator=seeded(3)))
    density = behavior.policy(features).log_density(candidates)
    for row, action in enumerate(acted(behavior, features, "mode", seeded(3))):
        assert torch.equal(action, candidates[density[:, row].argmax(), row])


def test_its_mean_action_is_the_tanh_of_the_mean():
    behavior, features = make(mode="mean"), normal(5, FEATURES)
    assert torch.equal(acted(behavior, features, "mode", seeded()), behavior.policy(features).mean.tanh())
