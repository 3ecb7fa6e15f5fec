"""The contract of encoders."""

import pytest
import torch

from tests.contracts.checks import assert_reaches
from tests.members import accepted_observations, build
from tests.tiny import OBSERVATIONS, observe


@pytest.fixture
def built(encoder_name):
    """The encoder for each kind of observation that it takes."""
    kinds = accepted_observations(encoder_name)
    assert kinds, f"{encoder_name} takes no observation at all"
    return [(build("encoders", encoder_name, observation=OBSERVATIONS[kind]), OBSERVATIONS[kind]) for kind in kinds]


def test_it_takes_any_leading_axes_each_of_them_independently(built):
    for encoder, specs in built:
        observation = observe(specs, 2, 1, 3)
        embedding = encoder(observation)
        assert embedding.shape == (2, 1, 3, encoder.embedding_size)
        assert embedding.is_floating_point()
        assert embedding.isfinite().all()
        for index in ((), 1, (1, 0), (1, 0, 2)):
            assert torch.allclose(encoder({name: value[index] for name, value in observation.items()}), embedding[index], atol=1e-5)
        assert all(torch.equal(value, observe(specs, 2, 1, 3)[name]) for name, value in observation.items()), "an observation has changed"


def test_every_array_of_the_observation_changes_its_embedding(built):
    for encoder, specs in built:
        observation, other = observe(specs, 2), observe(specs, 2, seed=9)
        for name in specs:
            changed = encoder(observation | {name: other[name]})
            assert ((changed - encoder(observation)).abs().amax(dim=-1) > 1e-5).all(), name


def test_every_parameter_has_a_gradient(built):
    for encoder, specs in built:
        assert_reaches(encoder(observe(specs, 8)).square().sum(), encoder.parameters())
