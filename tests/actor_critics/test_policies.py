"""The policy that behaviors share: its laws have the released constants, and its noise is of their kind."""

import math
import pickle

import pytest
import torch

from framework.actor_critics.policies import LAWS, Policy, TanhLaw
from framework.functional.actions import BoundedNormal, OneHotGroups, TruncatedNormal
from framework.functional.distributions import TanhNormal
from tests.tiny import ACTIONS, normal, seeded

LAW = {"tanh_normal": TanhNormal, "bounded_normal": BoundedNormal, "truncated_normal": TruncatedNormal}


def make(kind="continuous", law="bounded_normal", **settings) -> Policy:
    return Policy(feature_size=7, action=ACTIONS[kind], law=LAWS[law], unimix=0.01, layers=1, units=8, activation="elu", **settings)


def test_every_law_is_here():
    assert {*LAWS} == {*LAW}


@pytest.mark.parametrize("law", LAWS)
def test_a_law_of_numbers_gives_its_distribution(law):
    policy, features = make(law=law), normal(3, 4, 7)
    found = policy(features)
    assert isinstance(found, LAW[law])
    action = found.sample(policy.draw_noise(3, 4, generator=seeded()))
    assert action.shape == found.mode.shape == (3, 4, 2)
    assert found.log_density(action).shape == found.entropy.shape == (3, 4)


@pytest.mark.parametrize("kind", ["discrete", "multi_discrete"])
def test_choices_have_one_hot_groups_under_any_law(kind):
    policy = make(kind, law="truncated_normal")
    found = policy(normal(5, 7))
    assert isinstance(found, OneHotGroups)
    assert found.sizes == ACTIONS[kind].sizes
    assert found.log_probabilities.shape == (5, ACTIONS[kind].size)


@pytest.mark.parametrize(
    ("law", "outputs", "mean", "std"),
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
def test_its_laws_have_the_released_constants(law, outputs, mean, std):
    found = LAWS[law](*(torch.tensor([each]) for each in outputs))
    assert found.mean.item() == pytest.approx(mean, abs=1e-5)
    assert found.std.item() == pytest.approx(std, abs=1e-5)


def test_a_tanh_law_starts_as_wide_as_it_is_told():
    found = TanhLaw(mean_scale=0.5, initial_std=2.0, minimum_std=0.1)(torch.tensor([100.0]), torch.zeros(1))
    assert found.mean.item() == pytest.approx(0.5)
    assert found.std.item() == pytest.approx(2.1)


@pytest.mark.parametrize(
    ("kind", "law", "mean", "std"),
    [
        ("continuous", "bounded_normal", 0.0, 1.0),
        ("continuous", "tanh_normal", 0.0, 1.0),
        ("continuous", "truncated_normal", 0.5, 12**-0.5),
        ("multi_discrete", "truncated_normal", 0.5772, math.pi / 6**0.5),
    ],
)
def test_its_noise_is_of_the_kind_that_it_draws_from(kind, law, mean, std):
    noise = make(kind, law).draw_noise(20_000, generator=seeded())
    assert noise.mean().item() == pytest.approx(mean, abs=0.02)
    assert noise.std().item() == pytest.approx(std, abs=0.02)


def test_its_output_may_begin_small():
    torch.manual_seed(0)
    plain = make()
    torch.manual_seed(0)
    small = make(output_scale=0.01)
    features = normal(4, 7)
    assert torch.allclose(100 * small.net(features), plain.net(features), atol=1e-6)


def test_it_pickles():
    policy = make(law="tanh_normal")
    assert torch.equal(pickle.loads(pickle.dumps(policy))(normal(2, 7)).mean, policy(normal(2, 7)).mean)
