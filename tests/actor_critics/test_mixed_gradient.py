"""Dreamer V2's behavior, against loops written from the paper's equations and its code."""

import math

import pytest
import torch
from torch import Tensor

from framework.actor_critics.mixed_gradient import MixedGradient
from framework.data import ActionKind, Imagination
from framework.errors import UserError
from tests.actor_critics.worlds import half_square, naive_choices, random_rollout
from tests.members import factory
from tests.tiny import LATENT, behavior_sizes, normal, replayed, replayed_noise, seeded

FEATURES, STARTS, HORIZON = LATENT.feature_size, 3, 6
GAMMA, LAMBDA, ENTROPY = 0.9, 0.8, 0.01
every_kind = pytest.mark.parametrize("kind", ["continuous", "discrete", "multi_discrete"])
every_mix = pytest.mark.parametrize("mix", [0.0, 0.25, 1.0])


def make(kind: ActionKind = "continuous", **settings) -> MixedGradient:
    """With a slow copy that differs from the value."""
    torch.manual_seed(0)
    value = factory("values", "NormalValue", slow_rate=1.0, slow_every=3)
    small = {"layers": 1, "units": 8, "value": value, "discount": GAMMA, "return_lambda": LAMBDA, "entropy": ENTROPY}
    behavior = MixedGradient(**behavior_sizes(LATENT, kind), **(small | settings))
    with torch.no_grad():
        for parameter in behavior.value.slow.parameters():
            parameter.mul_(0.5)
    return behavior


def losses_of(behavior: MixedGradient, imagination: Imagination, kind: ActionKind = "continuous") -> dict[str, Tensor]:
    return behavior.losses(imagination, replayed(kind=kind), replayed_noise(kind=kind))[0]


def naive_policy(behavior: MixedGradient, features: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
    """The log-density of an action, and the entropy."""
    outputs = behavior.actor(features)
    if behavior.action.kind != "continuous":
        return naive_choices(outputs, action, behavior.action.sizes, unimix=0.0)
    density = entropy = torch.zeros(())
    for k in range(len(action)):
        mean, std = torch.tanh(outputs[k]), 2 * torch.sigmoid(outputs[len(action) + k] / 2) + 0.1
        low, high = ((edge - mean) / std for edge in (-1, 1))
        mass = 0.5 * (torch.erf(high / math.sqrt(2)) - torch.erf(low / math.sqrt(2)))
        norm = std * mass * math.sqrt(2 * math.pi)
        density = density - 0.5 * ((action[k] - mean) / std) ** 2 - torch.log(norm)
        slope = (low * torch.exp(-0.5 * low**2) - high * torch.exp(-0.5 * high**2)) / (2 * mass * math.sqrt(2 * math.pi))
        entropy = entropy + torch.log(norm) + 0.5 + slope
    return density, entropy


def naive(behavior: MixedGradient, imagination: Imagination, mix: float) -> tuple[Tensor, Tensor]:
    """Latents `0 .. H` and targets `0 .. H-1`; the actor at `0 .. H-2` has the targets `1 .. H-1`."""
    actor, value = torch.zeros(STARTS, HORIZON - 1), torch.zeros(STARTS, HORIZON)
    for n in range(STARTS):
        features = imagination.features[n]
        slow = [behavior.value.slow(each)[0] for each in features]
        discount = [GAMMA * each for each in imagination.continuation[n]]
        following, targets = slow[HORIZON], {}
        for t in reversed(range(HORIZON)):
            following = imagination.reward[n, t] + discount[t] * ((1 - LAMBDA) * slow[t + 1] + LAMBDA * following)
            targets[t] = following
        weight = 1.0
        for t in range(HORIZON):
            value[n, t] = weight * half_square(behavior.value(features[t].detach()), targets[t].detach())
            if t < HORIZON - 1:
                density, entropy = naive_policy(behavior, features[t].detach(), imagination.action[n, t].detach())
                score = density * (targets[t + 1] - slow[t]).detach()
                actor[n, t] = -weight * ((1 - mix) * targets[t + 1] + mix * score + ENTROPY * entropy)
            weight = weight * discount[t].item()
    return actor, value


@every_kind
@every_mix
def test_its_losses_are_those_of_the_papers_code(kind, mix):
    behavior, imagination = make(kind, mix=mix), random_rollout(STARTS, HORIZON, kind)
    losses = losses_of(behavior, imagination, kind)
    for found, expected in zip((losses["actor"], losses["value"]), naive(behavior, imagination, mix), strict=True):
        assert found.shape == expected.shape
        assert torch.allclose(found, expected, atol=1e-4)


@every_kind
@every_mix
def test_its_gradients_are_those_of_the_paper(kind, mix):
    """Returns are differentiated in the actor's loss by their share; everything else but the policy is constant."""
    behavior, imagination = make(kind, mix=mix), random_rollout(STARTS, HORIZON, kind)
    leaves = [imagination.features.requires_grad_(), imagination.reward.requires_grad_(), imagination.continuation.requires_grad_()]
    leaves += [*behavior.group("actor"), imagination.action.requires_grad_()]
    losses = losses_of(behavior, imagination, kind)
    found, expected = (
        torch.autograd.grad(loss.sum(), leaves, retain_graph=True, allow_unused=True, materialize_grads=True)
        for loss in (losses["actor"], naive(behavior, imagination, mix)[0])
    )
    assert all(torch.allclose(one, other, atol=1e-4) for one, other in zip(found, expected, strict=True))
    assert bool(found[1].any()) == (mix < 1)
    assert not found[-1].any(), "the actions are constant"
    of_value = torch.autograd.grad(losses["value"].sum(), leaves, allow_unused=True)
    assert all(gradient is None or not gradient.any() for gradient in of_value)


@pytest.mark.parametrize(("kind", "mix"), [("continuous", 0.0), ("discrete", 1.0), ("multi_discrete", 1.0)])
def test_its_default_gradient_is_the_released_one_for_its_kind_of_action(kind, mix):
    behavior, imagination = make(kind), random_rollout(STARTS, HORIZON, kind)
    assert behavior.mix == mix
    assert behavior.needs_dynamics_gradient == (mix < 1)
    assert torch.allclose(losses_of(behavior, imagination, kind)["actor"], naive(behavior, imagination, mix)[0], atol=1e-4)


def test_returns_bootstrap_from_the_slow_copy():
    behavior, imagination = make(), random_rollout(STARTS, HORIZON)
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
    behavior, features = make(kind, mix=0.0, entropy=0.0), normal(40, FEATURES)
    action = behavior.sample(features, behavior.draw_noise(40, generator=seeded()))
    gradients = torch.autograd.grad(action[:, 0].sum(), behavior.group("actor"))
    assert all(gradient.any() for gradient in gradients)
    with torch.no_grad():
        for parameter, gradient in zip(behavior.group("actor"), gradients, strict=True):
            parameter += 0.1 * gradient
        again = behavior.sample(features, behavior.draw_noise(40, generator=seeded()))
    assert again[:, 0].sum() > action[:, 0].sum()


@pytest.mark.parametrize("mix", [-0.1, 1.5])
def test_a_mix_out_of_range_is_refused(mix):
    with pytest.raises(UserError, match=rf"MixedGradient.mix = {mix}"):
        make(mix=mix)
