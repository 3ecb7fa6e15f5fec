"""The loss of each head is the negative log-density of torch's distributions."""

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


def test_a_discounted_continuation_has_its_minimum_at_the_discount():
    continuation, data = ContinuationHead(latent=LATENT, layers=0, discount=0.9), batch()
    with torch.no_grad():
        continuation.net.net[0].weight.zero_()
        continuation.net.net[0].bias.fill_(math.log(0.9 / 0.1))
    continuing = ~data.is_terminal
    loss = continuation.loss(FEATURES, data)
    expected = -(0.9 * math.log(0.9) + 0.1 * math.log(0.1))
    assert torch.allclose(loss[continuing], torch.full_like(loss[continuing], expected), atol=1e-6)
    assert torch.allclose(loss[data.is_terminal], torch.full_like(loss[data.is_terminal], -math.log(0.1)), atol=1e-5)
    (slope,) = torch.autograd.grad(loss[continuing].sum(), [continuation.net.net[0].bias])
    assert slope.abs() < 1e-5


@pytest.mark.parametrize("discount", [0.0, 1.5])
def test_a_discount_out_of_range_is_refused(discount):
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


def test_several_vectors_are_concatenated_in_the_order_of_their_names():
    decoder, data = head("VectorHead", "vectors"), batch()
    concatenated = torch.cat([data.observation["position"], data.observation["speed"].unsqueeze(-1)], dim=-1)
    expected = -td.Independent(td.Normal(decoder(FEATURES).mean, 1.0), 1).log_prob(concatenated)
    assert torch.allclose(decoder.loss(FEATURES, data), expected, atol=1e-5)


def test_the_loss_of_a_symlog_vector_is_the_squared_error_of_its_symlog():
    decoder, data = build("heads", "VectorHead", latent=LATENT, target=TARGETS["position"], likelihood="symlog"), batch()
    value = data.observation["position"]
    error = decoder.net(FEATURES) - value.sign() * torch.log(1 + value.abs())
    assert torch.allclose(decoder.loss(FEATURES, data), (error * error).sum(dim=-1), atol=1e-5)
    prediction = decoder(FEATURES)
    assert torch.allclose(prediction.mean, decoder.net(FEATURES).sign() * (decoder.net(FEATURES).abs().exp() - 1), atol=1e-5)
    assert (prediction.log_density(prediction.mean).abs() < 1e-9).all()


def test_a_vector_head_refuses_images_and_nothing():
    for target in (TARGETS["pixels"], None):
        with pytest.raises(UserError, match="VectorHead decodes vectors"):
            VectorHead(latent=LATENT, target=target)


@pytest.mark.parametrize(("kernels", "channels", "size"), [((5, 5, 6, 6), (8, 4, 2), 64), ((5, 6, 6), (4, 2), 32)])
def test_the_kernels_of_the_paper_give_images_of_its_size(kernels, channels, size):
    target = {"pixels": PIXELS.replace(shape=(size, size, 3), minimum=0, maximum=255)}
    decoder = ImageHead(latent=LATENT, target=target, kernels=kernels, channels=channels, base=16)
    assert decoder(normal(2, 10)).mean.shape == (2, size, size, 3)


def test_an_image_head_refuses_other_targets_and_sizes():
    with pytest.raises(UserError, match="make an image of 64 x 64, and the observation has 8 x 8"):
        ImageHead(latent=LATENT, target=TARGETS["pixels"])
    with pytest.raises(UserError, match="one kernel more"):
        ImageHead(latent=LATENT, target=TARGETS["pixels"], kernels=(2, 6), channels=())
    with pytest.raises(UserError, match=r"decodes one image .* not position \(3,\)"):
        ImageHead(latent=LATENT, target=TARGETS["position"])
