"""Each head's loss is minus a log-density, by torch's own distributions."""

import math

import pytest
import torch
from torch import distributions as td

from framework.errors import UserError
from framework.heads.continuation_head import ContinuationHead
from framework.heads.image_head import ImageHead
from framework.heads.vector_head import VectorHead
from tests.members import TARGETS, build
from tests.tiny import LATENT, PIXELS, ROWS, SPEED, TIMES, batch, normal

FEATURES = normal(ROWS, TIMES, 10)


def head(name: str, target: str = "nothing"):
    return build("heads", name, latent=LATENT, target=TARGETS[target])


def test_the_reward_is_normal():
    reward = head("RewardHead")
    expected = -td.Normal(reward(FEATURES).mean, 1.0).log_prob(batch().reward)
    assert torch.allclose(reward.loss(FEATURES, batch()), expected, atol=1e-5)


def test_a_continuation_is_what_is_not_terminal():
    continuation, data = head("ContinuationHead"), batch()
    expected = -td.Bernoulli(probs=continuation(FEATURES).mean).log_prob((~data.is_terminal).float())
    assert data.is_terminal.any()
    assert torch.allclose(continuation.loss(FEATURES, data), expected, atol=1e-4)


def test_a_discounted_continuation_is_learned_as_such():
    """At the true probability the cross-entropy of a target of 0.9 has no slope."""
    continuation, data = ContinuationHead(latent=LATENT, layers=0, discount=0.9), batch()
    with torch.no_grad():
        continuation.net.net[0].weight.zero_()
        continuation.net.net[0].bias.fill_(math.log(0.9 / 0.1))
    going_on = ~data.is_terminal
    loss = continuation.loss(FEATURES, data)
    expected = -(0.9 * math.log(0.9) + 0.1 * math.log(0.1))
    assert torch.allclose(loss[going_on], torch.full_like(loss[going_on], expected), atol=1e-6)
    assert torch.allclose(loss[data.is_terminal], torch.full_like(loss[data.is_terminal], -math.log(0.1)), atol=1e-5)
    (slope,) = torch.autograd.grad(loss[going_on].sum(), [continuation.net.net[0].bias])
    assert slope.abs() < 1e-5


@pytest.mark.parametrize("discount", [0.0, 1.5])
def test_a_discount_that_is_none_is_refused(discount):
    with pytest.raises(UserError, match=f"ContinuationHead.discount = {discount} must lie above 0"):
        ContinuationHead(latent=LATENT, discount=discount)


def test_pixels_are_normal_in_half_units_around_zero():
    decoder, data = head("ImageHead", "pixels"), batch()
    pixels = data.observation["pixels"].float() / 255 - 0.5
    mean = decoder(FEATURES).mean
    assert mean.shape == pixels.shape
    expected = -td.Independent(td.Normal(mean, 1.0), 3).log_prob(pixels)
    assert torch.allclose(decoder.loss(FEATURES, data), expected, atol=1e-3)


def test_a_vector_is_normal():
    decoder, data = head("VectorHead", "position"), batch()
    expected = -td.Independent(td.Normal(decoder(FEATURES).mean, 1.0), 1).log_prob(data.observation["position"])
    assert torch.allclose(decoder.loss(FEATURES, data), expected, atol=1e-5)


def test_a_scalar_of_the_observation_is_a_vector_of_one():
    decoder = build("heads", "VectorHead", latent=LATENT, target={"speed": SPEED})
    expected = -td.Normal(decoder(FEATURES).mean[..., 0], 1.0).log_prob(batch().observation["speed"])
    assert torch.allclose(decoder.loss(FEATURES, batch()), expected, atol=1e-5)


def test_several_vectors_are_joined_in_the_order_of_their_names():
    decoder, data = head("VectorHead", "vectors"), batch()
    joined = torch.cat([data.observation["position"], data.observation["speed"].unsqueeze(-1)], dim=-1)
    expected = -td.Independent(td.Normal(decoder(FEATURES).mean, 1.0), 1).log_prob(joined)
    assert torch.allclose(decoder.loss(FEATURES, data), expected, atol=1e-5)


def test_a_symlog_vector_costs_its_squared_error_there():
    decoder, data = build("heads", "VectorHead", latent=LATENT, target=TARGETS["position"], likelihood="symlog"), batch()
    value = data.observation["position"]
    error = decoder.net(FEATURES) - value.sign() * torch.log(1 + value.abs())
    assert torch.allclose(decoder.loss(FEATURES, data), (error * error).sum(dim=-1), atol=1e-5)
    said = decoder(FEATURES)
    assert torch.allclose(said.mean, decoder.net(FEATURES).sign() * (decoder.net(FEATURES).abs().exp() - 1), atol=1e-5)
    assert (said.log_density(said.mean).abs() < 1e-9).all()


def test_what_a_vector_head_cannot_decode_is_refused():
    for target in (TARGETS["pixels"], None):
        with pytest.raises(UserError, match="VectorHead decodes vectors"):
            VectorHead(latent=LATENT, target=target)


@pytest.mark.parametrize(("kernels", "channels", "size"), [((5, 5, 6, 6), (8, 4, 2), 64), ((5, 6, 6), (4, 2), 32)])
def test_the_papers_kernels_make_its_images(kernels, channels, size):
    target = {"pixels": PIXELS.replace(shape=(size, size, 3), minimum=0, maximum=255)}
    decoder = ImageHead(latent=LATENT, target=target, kernels=kernels, channels=channels, base=16)
    assert decoder(normal(2, 10)).mean.shape == (2, size, size, 3)


def test_what_an_image_head_cannot_make_is_refused():
    with pytest.raises(UserError, match="make an image of 64 x 64, and the observation has 8 x 8"):
        ImageHead(latent=LATENT, target=TARGETS["pixels"])
    with pytest.raises(UserError, match="one kernel more"):
        ImageHead(latent=LATENT, target=TARGETS["pixels"], kernels=(2, 6), channels=())
    with pytest.raises(UserError, match=r"decodes one image .* not position \(3,\)"):
        ImageHead(latent=LATENT, target=TARGETS["position"])
