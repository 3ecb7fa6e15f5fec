"""Each head's loss is minus a log-density, by torch's own distributions."""

import pytest
import torch
from torch import distributions as td

from framework.errors import UserError
from framework.heads.image_head import ImageHead
from tests.members import TARGETS, build
from tests.tiny import POSITION, ROWS, TIMES, batch, normal

FEATURES = normal(ROWS, TIMES, 10)


def head(name: str, target: str = "nothing"):
    return build("heads", name, feature_size=10, target=TARGETS[target])


def test_the_reward_is_normal():
    reward = head("RewardHead")
    expected = -td.Normal(reward(FEATURES).mean, 1.0).log_prob(batch().reward)
    assert torch.allclose(reward.loss(FEATURES, batch()), expected, atol=1e-5)


def test_a_continuation_is_what_is_not_terminal():
    continuation, data = head("ContinuationHead"), batch()
    expected = -td.Bernoulli(probs=continuation(FEATURES).mean).log_prob((~data.is_terminal).float())
    assert data.is_terminal.any()
    assert torch.allclose(continuation.loss(FEATURES, data), expected, atol=1e-4)


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
    decoder = build("heads", "VectorHead", feature_size=10, target=("speed", POSITION.replace(shape=())))
    expected = -td.Normal(decoder(FEATURES).mean[..., 0], 1.0).log_prob(batch().observation["speed"])
    assert torch.allclose(decoder.loss(FEATURES, batch()), expected, atol=1e-5)


@pytest.mark.parametrize(("kernels", "channels", "size"), [((5, 5, 6, 6), (8, 4, 2), 64), ((5, 6, 6), (4, 2), 32)])
def test_the_papers_kernels_make_its_images(kernels, channels, size):
    target = ("pixels", TARGETS["pixels"][1].replace(shape=(size, size, 3), minimum=0, maximum=255))
    decoder = ImageHead(feature_size=10, target=target, kernels=kernels, channels=channels, base=16)
    assert decoder(normal(2, 10)).mean.shape == (2, size, size, 3)


def test_what_an_image_head_cannot_make_is_refused():
    with pytest.raises(UserError, match="make an image of 64 x 64, and the observation has 8 x 8"):
        ImageHead(feature_size=10, target=TARGETS["pixels"])
    with pytest.raises(UserError, match="one kernel more"):
        ImageHead(feature_size=10, target=TARGETS["pixels"], kernels=(2, 6), channels=())
    with pytest.raises(UserError, match="decodes an image"):
        ImageHead(feature_size=10, target=TARGETS["position"])
