"""Dreamer V2's behavior, against loops written from the paper's equations and its code."""

import math

import pytest
import torch
from torch import Tensor

from framework.actor_critics.mixed_gradient import MixedGradient
from framework.data import ActionKind, Imagination
from framework.errors import UserError
from tests.members import factory
from tests.tiny import ACTIONS, LATENT, actions, behavior_sizes, normal, replayed, replayed_noise, seeded

FEATURES, STARTS, HORIZON = 10, 3, 6
KINDS = pytest.mark.parametrize("kind", ["continuous", "discrete", "multi_discrete"])
DISCOUNT, MIXING, ENTROPY = 0.9, 0.8, 0.01


def make(kind: ActionKind = "continuous", **settings) -> MixedGradient:
    """Its slow copy is another value than its own."""
    torch.manual_seed(0)
    value = factory("values", "NormalValue", slow_rate=1.0, slow_every=3)
    small = {"layers": 1, "units": 8, "value": value, "discount": DISCOUNT, "return_lambda": MIXING, "entropy": ENTROPY}
    behavior = MixedGradient(**behavior_sizes(LATENT, kind), **(small | settings))
    with torch.no_grad():
        for parameter in behavior.value.slow.parameters():
            parameter.mul_(0.5)
    return behavior


def rollout(kind: ActionKind = "continuous") -> Imagination:
    return Imagination(
        action=actions(kind, STARTS, HORIZON, seed=1),
        features=normal(STARTS, HORIZON + 1, FEATURES, seed=2),
        reward=normal(STARTS, HORIZON + 1, seed=3),
        continuation=torch.rand(STARTS, HORIZON + 1, generator=seeded(4)),
    )


def naive_likelihood(behavior: MixedGradient, features: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
    """log pi(a), and the entropy."""
    numbers = behavior.actor.net(features)
    density = entropy = torch.zeros(())
    if behavior.actor.action.kind == "continuous":
        for k in range(len(action)):
            mean, std = torch.tanh(numbers[k]), 2 * torch.sigmoid(numbers[len(action) + k] / 2) + 0.1
            low, high = ((edge - mean) / std for edge in (-1, 1))
            mass = 0.5 * (torch.erf(high / math.sqrt(2)) - torch.erf(low / math.sqrt(2)))
            height = std * mass * math.sqrt(2 * math.pi)
            density = density - 0.5 * ((action[k] - mean) / std) ** 2 - torch.log(height)
            slope = (low * torch.exp(-0.5 * low**2) - high * torch.exp(-0.5 * high**2)) / (2 * mass * math.sqrt(2 * math.pi))
            entropy = entropy + torch.log(height) + 0.5 + slope
        return density, entropy
    start = 0
    for size in behavior.actor.action.sizes:
        chances = torch.softmax(numbers[start : start + size], dim=0)
        density = density + torch.log(chances[int(action[start : start + size].argmax())])
        entropy = entropy - sum(chance * torch.log(chance) for chance in chances)
        start += size
    return density, entropy


def naive(behavior: MixedGradient, imagination: Imagination, mix: float) -> tuple[Tensor, Tensor]:
    """States z0 .. zH, targets t0 .. t(H-1), of which the actor at z0 .. z(H-2) is paid t1 .. t(H-1)."""
    actor, value = torch.zeros(STARTS, HORIZON - 1), torch.zeros(STARTS, HORIZON)
    for n in range(STARTS):
        seen = imagination.features[n]
        slow = [behavior.value.slow(feature)[0] for feature in seen]
        going_on = [DISCOUNT * each for each in imagination.continuation[n]]
        following, targets = slow[HORIZON], {}
        for t in reversed(range(HORIZON)):
            following = imagination.reward[n, t] + going_on[t] * ((1 - MIXING) * slow[t + 1] + MIXING * following)
            targets[t] = following
        weight = 1.0
        for t in range(HORIZON):
            target = targets[t].detach()
            value[n, t] = weight * (0.5 * (behavior.value(seen[t].detach()) - target) ** 2 + 0.5 * math.log(2 * math.pi))
            if t < HORIZON - 1:
                density, entropy = naive_likelihood(behavior, seen[t].detach(), imagination.action[n, t].detach())
                likely = density * (targets[t + 1] - slow[t]).detach()
                actor[n, t] = -weight * ((1 - mix) * targets[t + 1] + mix * likely + ENTROPY * entropy)
            weight = weight * going_on[t].item()
    return actor, value


@KINDS
@pytest.mark.parametrize("mix", [0.0, 0.25, 1.0])
def test_its_losses_are_those_of_the_papers_code(kind, mix):
    behavior, imagination = make(kind, mix=mix), rollout(kind)
    losses, _ = behavior.losses(imagination, replayed(kind=kind), replayed_noise(kind=kind))
    actor, value = naive(behavior, imagination, mix)
    assert losses["actor"].shape == (STARTS, HORIZON - 1)
    assert losses["value"].shape == (STARTS, HORIZON)
    assert torch.allclose(losses["actor"], actor, atol=1e-4)
    assert torch.allclose(losses["value"], value, atol=1e-4)


@pytest.mark.parametrize(("kind", "share"), [("continuous", 0.0), ("discrete", 1.0), ("multi_discrete", 1.0)])
def test_it_takes_the_gradient_that_was_released_for_its_kind_of_action(kind, share):
    behavior = make(kind)
    assert behavior.mix == share
    assert behavior.needs_dynamics_gradient == (share < 1)
    losses, _ = behavior.losses(rollout(kind), replayed(kind=kind), replayed_noise(kind=kind))
    assert torch.allclose(losses["actor"], naive(behavior, rollout(kind), share)[0], atol=1e-4)


def test_returns_are_built_on_the_copy():
    behavior = make()
    before, _ = behavior.losses(rollout(), replayed(), replayed_noise())
    with torch.no_grad():
        for parameter in behavior.value.net.parameters():
            parameter.mul_(1.5)
    after, _ = behavior.losses(rollout(), replayed(), replayed_noise())
    assert torch.equal(after["actor"], before["actor"])
    assert not torch.equal(after["value"], before["value"])
    behavior.after_update()
    assert not torch.equal(behavior.losses(rollout(), replayed(), replayed_noise())[0]["actor"], before["actor"])


@KINDS
@pytest.mark.parametrize("mix", [0.0, 0.25, 1.0])
def test_its_gradients_are_those_of_the_paper(kind, mix):
    """Returns are differentiated in the actor's loss as far as they count; all else is constant but the policy itself."""
    behavior, imagination = make(kind, mix=mix), rollout(kind)
    leaves = [imagination.features.requires_grad_(), imagination.reward.requires_grad_(), imagination.continuation.requires_grad_()]
    leaves += [*behavior.group("actor"), imagination.action.requires_grad_()]
    losses, _ = behavior.losses(imagination, replayed(kind=kind), replayed_noise(kind=kind))
    expected, _ = naive(behavior, imagination, mix)
    found, right = (
        torch.autograd.grad(each.sum(), leaves, retain_graph=True, allow_unused=True, materialize_grads=True)
        for each in (losses["actor"], expected)
    )
    assert all(torch.allclose(one, other, atol=1e-4) for one, other in zip(found, right, strict=True))
    assert bool(found[1].any()) == (mix < 1)
    assert not found[-1].any(), "an action is what was done"
    of_value = torch.autograd.grad(losses["value"].sum(), leaves, allow_unused=True)
    assert all(gradient is None or not gradient.any() for gradient in of_value)


@pytest.mark.parametrize("kind", ["discrete", "multi_discrete"])
def test_the_dynamics_teach_choices_straight_through(kind):
    behavior = make(kind, mix=0.0, entropy=0.0)
    features = normal(40, FEATURES)
    action = behavior.sample(features, behavior.draw_noise(40, generator=seeded()))
    gradients = torch.autograd.grad(action[:, 0].sum(), behavior.group("actor"))
    assert all(gradient.any() for gradient in gradients)
    with torch.no_grad():
        for parameter, gradient in zip(behavior.group("actor"), gradients, strict=True):
            parameter += 0.1 * gradient
        again = behavior.sample(features, behavior.draw_noise(40, generator=seeded()))
    assert again[:, 0].sum() > action[:, 0].sum()


def test_its_policy_draws_uniform_noise_and_begins_as_wide_as_released():
    behavior = make()
    noise = behavior.draw_noise(1000, generator=seeded())
    assert noise.shape == (1000, ACTIONS["continuous"].size)
    assert noise.min() >= 0
    assert noise.max() < 1
    with torch.no_grad():
        behavior.actor.net.net[-1].weight.zero_()
    assert torch.allclose(behavior.policy(normal(4, FEATURES)).std, torch.tensor(1.1))


@pytest.mark.parametrize("mix", [-0.1, 1.5])
def test_a_mix_that_is_no_share_is_refused(mix):
    with pytest.raises(UserError, match=rf"MixedGradient.mix = {mix}"):
        make(mix=mix)
