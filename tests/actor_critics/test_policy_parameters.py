"""The parameters of the policy that imagination keeps give the same actions, losses and gradients as computing them again."""

import copy

import pytest
import torch

from framework.agent import Agent
from framework.testing.samples import LATENT, batch, behavior_sizes, latent, seeded, specs_of, update
from tests.members import agent_factory, build, factory, members

KEEPING = ["DynamicsBackprop", "MixedGradient"]


def agent_of(name: str) -> Agent:
    return agent_factory(actor_critic=factory("actor_critics", name, entropy=0.3))(specs=specs_of("both"))


@pytest.mark.parametrize("name", members("actor_critics"))
def test_a_sample_with_parameters_is_the_sample(name):
    behavior = build("actor_critics", name, **behavior_sizes(LATENT))
    features, noise = latent(5).features, behavior.draw_noise(5, generator=seeded(3))
    assert torch.equal(behavior.sample_with_parameters(features, noise)[0], behavior.sample(features, noise))


@pytest.mark.parametrize("name", KEEPING)
def test_its_losses_and_gradients_are_those_of_computing_again(name, monkeypatch):
    keeping, other = agent_of(name), agent_of(name)
    other.load_state_dict(copy.deepcopy(keeping.state_dict()))
    monkeypatch.setattr(other.behavior, "sample_with_parameters", lambda features, noise: (other.behavior.sample(features, noise), None))
    kept, again = (update(agent, batch(), seeded(1)) for agent in (keeping, other))
    assert kept["train/actor_gradient_norm"] > 1e-4
    assert all(torch.allclose(value, again[metric], rtol=1e-4, atol=1e-6) for metric, value in kept.items())


@pytest.mark.parametrize("name", KEEPING)
def test_an_update_evaluates_the_policy_once_at_each_step(name):
    agent, calls = agent_of(name), []
    agent.behavior.actor.net.register_forward_hook(lambda net, inputs, out: calls.append(inputs[0].shape))
    update(agent, batch(), seeded(1))
    assert len(calls) == agent.horizon
