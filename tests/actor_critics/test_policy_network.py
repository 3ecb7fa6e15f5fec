"""The network of a policy, and the parametrizations of its distribution."""

import math
import pickle

import pytest
import torch

from framework.actor_critics.policy_network import (
    PARAMETRIZATIONS,
    ClampedLogStdParametrization,
    PolicyNetwork,
    SquashedLogStdParametrization,
    TanhNormalParametrization,
)
from framework.functional.actions import BoundedNormal, OneHotGroups, TruncatedNormal
from framework.functional.distributions import TanhNormal
from tests.tiny import ACTIONS, LATENT, normal, seeded

DISTRIBUTIONS = {"tanh_normal": TanhNormal, "bounded_normal": BoundedNormal, "truncated_normal": TruncatedNormal}


def make(kind="continuous", name="bounded_normal", **settings) -> PolicyNetwork:
    sizes = {"layers": 1, "units": 8, "activation": "elu", "unimix": 0.01}
    return PolicyNetwork(latent=LATENT, action=ACTIONS[kind], parametrization=PARAMETRIZATIONS[name], **(sizes | settings))


def distribution(policy: PolicyNetwork, *leading: int):
    return policy.distribution(policy(normal(*leading, LATENT.feature_size)))


@pytest.mark.parametrize("name", PARAMETRIZATIONS)
def test_continuous_actions_have_the_distribution_of_its_parametrization(name):
    policy = make(name=name)
    actions = distribution(policy, 3, 4)
    assert isinstance(actions, DISTRIBUTIONS[name])
    action = actions.sample(policy.draw_noise(3, 4, generator=seeded()))
    assert action.shape == actions.mode.shape == (3, 4, 2)
    assert actions.log_density(action).shape == actions.entropy.shape == (3, 4)


@pytest.mark.parametrize("kind", ["discrete", "multi_discrete"])
def test_choices_have_one_hot_groups_with_any_parametrization(kind):
    choices = distribution(make(kind, name="truncated_normal"), 5)
    assert isinstance(choices, OneHotGroups)
    assert choices.sizes == ACTIONS[kind].sizes
    assert choices.log_probabilities.shape == (5, ACTIONS[kind].size)


@pytest.mark.parametrize(
    ("name", "outputs", "mean", "std"),
    [
        ("tanh_normal", (0.0, 0.0), 0.0, 5.0001),
        ("tanh_normal", (5.0, -100.0), 5 * math.tanh(1), 1e-4),
        ("bounded_normal", (0.0, 0.0), 0.0, 0.8927173),
        ("bounded_normal", (2.0, 100.0), math.tanh(2), 1.0),
        ("bounded_normal", (2.0, -100.0), math.tanh(2), 0.1),
        ("truncated_normal", (0.0, 0.0), 0.0, 1.1),
        ("truncated_normal", (-2.0, 200.0), -math.tanh(2), 2.1),
        ("truncated_normal", (-2.0, -200.0), -math.tanh(2), 0.1),
    ],
)
def test_a_parametrization_has_the_released_constants(name, outputs, mean, std):
    found = PARAMETRIZATIONS[name](*(torch.tensor([each]) for each in outputs))
    assert found.mean.item() == pytest.approx(mean, abs=1e-5)
    assert found.std.item() == pytest.approx(std, abs=1e-5)


@pytest.mark.parametrize(
    ("parametrization", "outputs", "mean", "std"),
    [
        (TanhNormalParametrization(mean_scale=0.5, initial_std=2.0, minimum_std=0.1), (100.0, 0.0), 0.5, 2.1),
        (ClampedLogStdParametrization(-20.0, 2.0), (3.0, 1.0), 3.0, math.e),
        (ClampedLogStdParametrization(-20.0, 2.0), (3.0, 5.0), 3.0, math.exp(2)),
        (SquashedLogStdParametrization(-10.0, 2.0), (3.0, 0.0), 3.0, math.exp(-4)),
        (SquashedLogStdParametrization(-10.0, 2.0), (3.0, 50.0), 3.0, math.exp(2)),
    ],
)
def test_a_parametrization_follows_its_settings(parametrization, outputs, mean, std):
    found = parametrization(*(torch.tensor([each]) for each in outputs))
    assert found.mean.item() == pytest.approx(mean)
    assert found.std.item() == pytest.approx(std)


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


def test_its_initial_outputs_are_scaled():
    torch.manual_seed(0)
    plain = make()
    torch.manual_seed(0)
    small = make(output_scale=0.01)
    features = normal(4, LATENT.feature_size)
    assert torch.allclose(100 * small(features), plain(features), atol=1e-6)


def test_it_pickles():
    policy, features = make(name="tanh_normal"), normal(2, LATENT.feature_size)
    assert torch.equal(pickle.loads(pickle.dumps(policy))(features), policy(features))
