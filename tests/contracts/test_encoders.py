"""The contract of encoders."""

import pytest
import torch

from tests.members import accepted_observations, build
from tests.tiny import OBSERVATIONS, observe

LEADING = [(), (3,), (2, 3), (2, 1, 3)]


@pytest.fixture
def built(encoder_name):
    """The encoder for each kind of observation that it takes."""
    kinds = accepted_observations(encoder_name)
    assert kinds, f"{encoder_name} takes no observation at all"
    return [(build("encoders", encoder_name, observation=OBSERVATIONS[kind]), OBSERVATIONS[kind]) for kind in kinds]


@pytest.mark.parametrize("leading", LEADING)
def test_it_takes_any_leading_axes(built, leading):
    for encoder, shown in built:
        embedding = encoder(observe(shown, *leading))
        assert embedding.shape == (*leading, encoder.embedding_size)
        assert embedding.is_floating_point()
        assert embedding.isfinite().all()


def test_leading_axes_are_independent(built):
    for encoder, shown in built:
        observation = observe(shown, 2, 3)
        whole = encoder(observation)
        flat = {name: value.flatten(0, 1) for name, value in observation.items()}
        assert torch.allclose(whole.flatten(0, 1), encoder(flat), atol=1e-6)
        for row in range(2):
            assert torch.allclose(encoder({name: value[row] for name, value in observation.items()}), whole[row], atol=1e-5)


def test_every_array_of_the_observation_changes_its_embedding(built):
    for encoder, shown in built:
        observation, other = observe(shown, 2), observe(shown, 2, seed=9)
        for name in shown:
            changed = encoder(observation | {name: other[name]})
            assert ((changed - encoder(observation)).abs().amax(dim=-1) > 1e-5).all(), name


def test_it_does_not_change_its_observation(built):
    for encoder, shown in built:
        observation = observe(shown, 2)
        encoder(observation)
        assert all(torch.equal(value, observe(shown, 2)[name]) for name, value in observation.items())


def test_every_parameter_has_a_gradient(built):
    for encoder, shown in built:
        gradients = torch.autograd.grad(encoder(observe(shown, 8)).square().sum(), list(encoder.parameters()))
        assert gradients
        assert all(gradient.abs().sum() > 0 for gradient in gradients)
