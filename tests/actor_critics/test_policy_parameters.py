"""The parameters of the policy that imagination keeps give the same actions, losses and gradients as computing them again."""

from dataclasses import replace

import pytest
import torch

from framework.agent import Agent
from framework.data import Imagination
from tests.members import agent_factory, build, factory, members
from tests.tiny import ACTIONS, LATENT, batch, behavior_sizes, latent, normal, replayed, replayed_noise, seeded, specs_of, update

KEEPING = ["DynamicsBackprop", "MixedGradient"]


@pytest.mark.parametrize("name", members("actor_critics"))
def test_a_sample_with_parameters_is_the_sample(name):
    behavior = build("actor_critics", name, **behavior_sizes(LATENT))
    features, noise = latent(5).features, behavior.draw_noise(5, generator=seeded(3))
    assert torch.equal(behavior.sample_with_parameters(features, noise)[0], behavior.sample(features, noise))


def imagined(behavior, kind: str, horizon: int = 4) -> Imagination:
    """Features that depend on the actions before them."""
    mix = normal(ACTIONS[kind].size, LATENT.feature_size, seed=4)
    states, actions, kept = [normal(3, LATENT.feature_size, seed=1)], [], []
    for noise in behavior.draw_noise(horizon, 3, generator=seeded(2)):
        action, parameters = behavior.sample_with_parameters(states[-1], noise)
        states.append(torch.tanh(states[-1] + action @ mix))
        actions.append(action)
        kept.append(parameters)
    features = torch.stack(states, dim=1)
    return Imagination(
        action=torch.stack(actions, dim=1),
        features=features,
        reward=features.sum(dim=-1),
        continuation=torch.sigmoid(features.mean(dim=-1)),
        policy=torch.stack(kept, dim=1),
    )


@pytest.mark.parametrize("kind", ["continuous", "multi_discrete"])
@pytest.mark.parametrize("name", KEEPING)
def test_its_losses_and_gradients_are_those_of_computing_again(name, kind):
    behavior = build("actor_critics", name, **behavior_sizes(LATENT, kind), entropy=0.3)
    kept = imagined(behavior, kind)
    results = []
    for each in (kept, replace(kept, policy=None)):
        losses, metrics = behavior.losses(each, replayed(kind=kind), replayed_noise(kind=kind))
        gradients = torch.autograd.grad(losses["actor"].mean(), behavior.group("actor"), retain_graph=True)
        results.append([*losses.values(), *metrics.values(), *gradients])
    assert any(gradient.abs().max() > 1e-4 for gradient in gradients)
    assert all(torch.allclose(one, other, rtol=1e-4, atol=1e-6) for one, other in zip(*results, strict=True))


@pytest.mark.parametrize("name", KEEPING)
def test_an_update_evaluates_the_policy_once_at_each_step(name):
    agent: Agent = agent_factory(actor_critic=factory("actor_critics", name))(specs=specs_of("both"))
    calls: list[torch.Size] = []
    agent.behavior.actor.net.register_forward_hook(lambda net, inputs, out: calls.append(inputs[0].shape))
    update(agent, batch(), seeded(1))
    assert len(calls) == agent.horizon
