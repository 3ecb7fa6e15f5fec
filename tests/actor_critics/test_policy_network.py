"""The network of a policy, and the parametrizations of its distribution."""

import math

import pytest
import torch

from framework.actor_critics.policy_network import (
    ClampedLogStdParametrization,
    PolicyNetwork,
    SquashedLogStdParametrization,
    TanhNormalParametrization,
    parametrization_of,
)
from framework.functional.actions import BoundedNormal, OneHotGroups, TruncatedNormal
from framework.functional.distributions import TanhNormal
from framework.testing.samples import ACTIONS, LATENT, behavior_sizes, normal, seeded

DISTRIBUTIONS = {"tanh_normal": TanhNormal, "bounded_normal": BoundedNormal, "truncated_normal": TruncatedNormal}


def released(name, minimum_std=0.1):
    return parametrization_of(name, minimum_std=minimum_std, owner="MixedGradient")


def make(kind="continuous", name="bounded_normal", **settings) -> PolicyNetwork:
    sizes = {"layers": 1, "units": 8, "activation": "elu", "unimix": 0.01}
    return PolicyNetwork(**behavior_sizes(LATENT, kind), parametrization=released(name), **(sizes | settings))


@pytest.mark.parametrize("name", DISTRIBUTIONS)
@pytest.mark.parametrize("kind", ACTIONS)
def test_it_has_the_distribution_of_its_parametrization_and_one_hot_groups_for_choices(name, kind):
    policy = make(kind, name)
    distribution = policy.distribution(policy(normal(3, 4, LATENT.feature_size)))
    assert isinstance(distribution, DISTRIBUTIONS[name] if kind == "continuous" else OneHotGroups)
    action = distribution.sample(policy.draw_noise(3, 4, generator=seeded()))
    assert action.shape == distribution.mode.shape == (3, 4, ACTIONS[kind].size)
    assert distribution.log_density(action).shape == distribution.entropy.shape == (3, 4)


@pytest.mark.parametrize(
    ("parametrization", "outputs", "mean", "std"),
    [
        (TanhNormalParametrization(), (0.0, 0.0), 0.0, 5.0001),
        (TanhNormalParametrization(), (5.0, -100.0), 5 * math.tanh(1), 1e-4),
        (released("tanh_normal"), (5.0, 0.0), 5 * math.tanh(1), math.log(2) + 0.1),
        (released("tanh_normal", 0.3), (5.0, -100.0), 5 * math.tanh(1), 0.3),
        (TanhNormalParametrization(mean_scale=0.5, initial_std=2.0, minimum_std=0.1), (100.0, 0.0), 0.5, 2.1),
        (released("bounded_normal"), (0.0, 0.0), 0.0, 0.8927173),
        (released("bounded_normal"), (2.0, 100.0), math.tanh(2), 1.0),
        (released("bounded_normal"), (2.0, -100.0), math.tanh(2), 0.1),
        (released("truncated_normal"), (0.0, 0.0), 0.0, 1.1),
        (released("truncated_normal"), (-2.0, 200.0), -math.tanh(2), 2.1),
        (released("truncated_normal"), (-2.0, -200.0), -math.tanh(2), 0.1),
        (released("bounded_normal", 0.3), (2.0, -100.0), math.tanh(2), 0.3),
        (released("truncated_normal", 0.3), (-2.0, -200.0), -math.tanh(2), 0.3),
        (ClampedLogStdParametrization(-20.0, 2.0), (3.0, 1.0), 3.0, math.e),
        (ClampedLogStdParametrization(-20.0, 2.0), (3.0, 5.0), 3.0, math.exp(2)),
        (SquashedLogStdParametrization(-10.0, 2.0), (3.0, 0.0), 3.0, math.exp(-4)),
        (SquashedLogStdParametrization(-10.0, 2.0), (3.0, 50.0), 3.0, math.exp(2)),
    ],
)
def test_a_parametrization_has_the_released_constants_and_follows_its_settings(parametrization, outputs, mean, std):
    distribution = parametrization(*(torch.tensor([each]) for each in outputs))
    assert distribution.mean.item() == pytest.approx(mean, abs=1e-5)
    assert distribution.std.item() == pytest.approx(std, abs=1e-5)


@pytest.mark.parametrize(
    ("kind", "name", "mean", "std"),
    [
        ("continuous", "bounded_normal", 0.0, 1.0),
        ("continuous", "tanh_normal", 0.0, 1.0),
        ("continuous", "truncated_normal", 0.5, 12**-0.5),
        ("multi_discrete", "truncated_normal", 0.5772, math.pi / 6**0.5),
    ],
)
def test_its_noise_is_that_of_its_distribution(kind, name, mean, std):
    noise = make(kind, name).draw_noise(20_000, generator=seeded())
    assert noise.mean().item() == pytest.approx(mean, abs=0.02)
    assert noise.std().item() == pytest.approx(std, abs=0.02)
