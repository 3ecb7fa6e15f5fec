"""A critic of its own for each offset; which offsets and critics make sense. What an objective makes of them: tests/objectives."""

import pytest
import torch

from framework.critics.multi_horizon_critic import MultiHorizonCritic
from framework.errors import UserError
from tests.members import factory
from tests.tiny import LATENT, latent, normal


def make(critic="BilinearCritic", **settings) -> MultiHorizonCritic:
    return MultiHorizonCritic(latent=LATENT, embedding_size=5, critic=factory("critics", critic), **settings)


def test_it_holds_one_critic_for_each_offset_in_their_order():
    critic = make(offsets=(4, 0, 2))
    held = critic.each_offset()
    assert [*held] == [0, 2, 4]
    assert len({id(each) for each in held.values()}) == 3
    weights = [parameter for each in held.values() for parameter in each.parameters()]
    assert not torch.equal(weights[0], weights[1])
    assert len(list(critic.parameters())) == 3


def test_its_own_score_and_word_are_those_of_the_smallest_offset():
    critic = make("GaussianCritic", offsets=(3, 1))
    latents, embeddings = latent(4), normal(6, 5, seed=2)
    assert torch.equal(critic(latents, embeddings), critic.each_offset()[1](latents, embeddings))
    assert critic.diagnose(embeddings) == critic.each_offset()[1].diagnose(embeddings)


@pytest.mark.parametrize("offsets", [(), (1, 1), (-1, 2)])
def test_impossible_offsets_are_refused(offsets):
    with pytest.raises(UserError, match=r"MultiHorizonCritic.offsets = \(.*different steps of 0 or more, at least one"):
        make(offsets=offsets)


@pytest.mark.parametrize("critic", ["PriorCritic", "MultiHorizonCritic"])
def test_a_critic_that_cannot_look_ahead_is_refused(critic):
    with pytest.raises(UserError, match=rf"MultiHorizonCritic.critic = @critics.{critic} .*bind one that does"):
        make(critic)
