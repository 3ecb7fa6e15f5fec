"""Scheduled exploration noise."""

import pytest
import torch
from torch import Tensor

from framework.actor_critics.action_noise import ActionNoise
from framework.errors import UserError
from framework.specs import ActionKind
from framework.testing.samples import ACTIONS, LATENT, acted, behavior_sizes, normal, seeded
from tests.members import factory

CALM = factory("actor_critics", "DynamicsBackprop", action_noise=0.0)
CHOOSING = factory("actor_critics", "Reinforce")
FEATURES = normal(2000, LATENT.feature_size)


def make(kind: ActionKind = "continuous", **settings) -> ActionNoise:
    inner = CALM if kind == "continuous" else CHOOSING
    return ActionNoise(**behavior_sizes(LATENT, kind), **({"of": inner} | settings))


def both(behavior: ActionNoise, mode: str = "explore") -> tuple[Tensor, Tensor]:
    """Its actions, and those of the inner behavior."""
    return acted(behavior, FEATURES, mode, seeded(3)), acted(behavior.of, FEATURES, mode, seeded(3))


def test_its_amount_falls_linearly_with_exploring_calls_which_a_checkpoint_counts():
    behavior, amounts = make(initial=0.4, final=0.1, decay_steps=4), []
    for _ in range(6):
        amounts.append(behavior.amount.item())
        acted(behavior, FEATURES[:3], "mode", seeded())
        acted(behavior, FEATURES[:3], "explore", seeded())
        again = make(initial=0.4, final=0.1, decay_steps=4)
        again.load_state_dict(behavior.state_dict())
        behavior = again
    assert amounts == pytest.approx([0.4, 0.325, 0.25, 0.175, 0.1, 0.1])


def test_its_greedy_action_is_that_of_the_inner_behavior():
    assert torch.equal(*both(make(initial=1.0, final=1.0), "mode"))


@pytest.mark.parametrize("amount", [0.0, 0.1, 5.0])
def test_it_adds_normal_noise_and_stays_in_bounds(amount):
    noisy, calm = both(make(initial=amount, final=amount))
    inside = (noisy.abs() < 1) & (calm.abs() < 0.5)
    assert inside.sum() > 30
    assert noisy.abs().max() <= 1
    if amount < 1:
        assert (noisy - calm)[inside].std().item() == pytest.approx(amount, rel=0.1)


@pytest.mark.parametrize("amount", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("kind", ["discrete", "multi_discrete"])
def test_it_replaces_choices_with_its_probability_by_uniform_ones(kind, amount):
    """A uniform choice of `n` equals another in one of `n` cases."""
    noisy, calm = (each.split(ACTIONS[kind].sizes, dim=-1) for each in both(make(kind, initial=amount, final=amount)))
    for size, one, other in zip(ACTIONS[kind].sizes, noisy, calm, strict=True):
        assert (one.sum(dim=-1) == 1).all()
        assert (one != other).any(dim=-1).float().mean().item() == pytest.approx(amount * (1 - 1 / size), abs=0.03)
        expected = (1 - amount) * other.mean(dim=0) + amount / size
        assert torch.allclose(one.mean(dim=0), expected, atol=0.04)


def test_it_declares_what_the_inner_behavior_declares():
    behavior, planner = make(), ActionNoise(**behavior_sizes(LATENT), of=factory("actor_critics", "CEMPlanner"))
    assert (behavior.groups, ActionNoise.groups) == (("actor", "value"), ())
    assert (behavior.needs_dynamics_gradient, make("discrete").needs_dynamics_gradient, planner.imagines) == (True, False, False)


def test_the_slow_copies_of_the_inner_behavior_move_after_an_update():
    behavior = make(of=factory("actor_critics", "LatentSAC", value=factory("values", "NormalValue", slow_rate=0.5)))
    features = normal(3, LATENT.feature_size + 2)
    with torch.no_grad():
        for parameter in behavior.group("value"):
            parameter.add_(1.0)
    before = behavior.of.value.bootstrap(features)
    behavior.after_update()
    assert not torch.equal(behavior.of.value.bootstrap(features), before)


def test_it_refuses_more_than_a_probability_for_choices():
    with pytest.raises(UserError, match="must be probabilities, from 0 to 1"):
        make("discrete", initial=1.1)
