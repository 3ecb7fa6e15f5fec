"""Dreamer V2's behavior, beyond its losses, which `tests/reference` compares with the paper's."""

import pytest
import torch
from torch import Tensor

from framework.actor_critics.mixed_gradient import MixedGradient
from framework.data import Imagination
from framework.specs import ActionKind
from framework.testing.samples import LATENT, behavior_sizes, normal, replayed, replayed_noise, seeded
from tests.actor_critics.worlds import random_rollout
from tests.members import factory

every_kind = pytest.mark.parametrize("kind", ["continuous", "discrete", "multi_discrete"])


def make(kind: ActionKind = "continuous", **settings) -> MixedGradient:
    """With a slow copy that differs from the value."""
    torch.manual_seed(0)
    small = {"layers": 1, "units": 8, "value": factory("values", "NormalValue", slow_rate=1.0, slow_every=3), "entropy": 0.01}
    behavior = MixedGradient(**behavior_sizes(LATENT, kind), **(small | settings))
    with torch.no_grad():
        for parameter in behavior.value.slow.parameters():
            parameter.mul_(0.5)
    return behavior


def losses_of(behavior: MixedGradient, imagination: Imagination) -> dict[str, Tensor]:
    kind = behavior.action.kind
    return behavior.losses(imagination, replayed(kind=kind), replayed_noise(kind=kind))[0]


def gradients(kind: ActionKind, mix: float | None) -> list[Tensor]:
    """Of the actor's loss, with respect to features, rewards, continuation, actions and the actor."""
    behavior, imagination = make(kind, mix=mix), random_rollout(3, 6, kind)
    leaves = [getattr(imagination, name).requires_grad_() for name in ("features", "reward", "continuation", "action")]
    losses = losses_of(behavior, imagination)
    of_value = torch.autograd.grad(losses["value"].sum(), leaves, allow_unused=True, materialize_grads=True, retain_graph=True)
    assert not any(gradient.any() for gradient in of_value)
    leaves += behavior.group("actor")
    return list(torch.autograd.grad(losses["actor"].sum(), leaves, allow_unused=True, materialize_grads=True))


@every_kind
def test_its_gradient_is_the_mixture_of_that_through_the_dynamics_and_that_of_the_score(kind):
    through, score, mixed = (gradients(kind, mix) for mix in (0.0, 1.0, 0.25))
    for one, other, both in zip(through, score, mixed, strict=True):
        assert torch.allclose(both, 0.75 * one + 0.25 * other, atol=1e-4)
    assert [gradient.any().item() for gradient in through[:4]] == [True, True, True, False]
    assert not any(gradient.any() for gradient in score[:4]), "everything but the policy is constant"
    assert all(gradient.any() for gradient in score[4:])


@every_kind
def test_its_default_gradient_is_the_released_one_for_its_kind_of_action(kind):
    mix = 0.0 if kind == "continuous" else 1.0
    assert make(kind).needs_dynamics_gradient == (mix < 1)
    assert all(torch.equal(one, other) for one, other in zip(gradients(kind, None), gradients(kind, mix), strict=True))


def test_returns_bootstrap_from_the_slow_copy():
    behavior, imagination = make(), random_rollout(3, 6)
    before = losses_of(behavior, imagination)
    with torch.no_grad():
        for parameter in behavior.value.net.parameters():
            parameter.mul_(1.5)
    after = losses_of(behavior, imagination)
    assert torch.equal(after["actor"], before["actor"])
    assert not torch.equal(after["value"], before["value"])
    behavior.after_update()
    assert not torch.equal(losses_of(behavior, imagination)["actor"], before["actor"])


@pytest.mark.parametrize("kind", ["discrete", "multi_discrete"])
def test_the_gradient_of_the_dynamics_reaches_choices_straight_through(kind):
    behavior, features = make(kind, mix=0.0, entropy=0.0), normal(40, LATENT.feature_size)
    action = behavior.sample(features, behavior.draw_noise(40, generator=seeded()))
    of_actor = torch.autograd.grad(action[:, 0].sum(), behavior.group("actor"))
    with torch.no_grad():
        for parameter, gradient in zip(behavior.group("actor"), of_actor, strict=True):
            parameter += 0.1 * gradient
        again = behavior.sample(features, behavior.draw_noise(40, generator=seeded()))
    assert again[:, 0].sum() > action[:, 0].sum()
