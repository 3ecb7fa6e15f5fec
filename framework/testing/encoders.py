"""The contract of encoders."""

import pytest
import torch
from dm_env import specs

from framework.encoders.base import Encoder
from framework.lab.members import Member
from framework.testing.checks import assert_reaches
from framework.testing.contract import Contract, accepted
from framework.testing.samples import OBSERVATIONS, observe


class EncoderContract(Contract):
    """The contract of encoders."""

    family = "encoders"

    @pytest.fixture
    def built(self, member: Member) -> list[tuple[Encoder, dict[str, specs.Array]]]:
        """The encoder for each kind of observation that it takes."""
        built = [(each, arrays) for arrays in OBSERVATIONS.values() if (each := accepted(member, observation=arrays))]
        assert built, f"it takes no observation at all, of {[*OBSERVATIONS]}"
        return built

    def test_it_takes_any_leading_axes_each_of_them_independently(self, built):
        for encoder, arrays in built:
            observation = observe(arrays, 2, 1, 3)
            embedding = encoder(observation)
            assert embedding.shape == (2, 1, 3, encoder.embedding_size), f"the embedding of [2, 1, 3] observations has {[*embedding.shape]}"
            assert embedding.is_floating_point()
            assert embedding.isfinite().all()
            for index in ((), 1, (1, 0), (1, 0, 2)):
                assert torch.allclose(encoder({name: value[index] for name, value in observation.items()}), embedding[index], atol=1e-5)
            assert all(torch.equal(value, observe(arrays, 2, 1, 3)[name]) for name, value in observation.items()), (
                "an observation has changed"
            )

    def test_every_array_of_the_observation_changes_its_embedding(self, built):
        for encoder, arrays in built:
            observation, other = observe(arrays, 2), observe(arrays, 2, seed=9)
            for name in arrays:
                changed = encoder(observation | {name: other[name]})
                assert ((changed - encoder(observation)).abs().amax(dim=-1) > 1e-5).all(), f"'{name}' does not change the embedding"

    def test_every_parameter_has_a_gradient(self, built):
        for encoder, arrays in built:
            assert_reaches(encoder(observe(arrays, 8)).square().sum(), encoder)
