"""The likelihoods of heads, beyond those that `tests/reference` compares with the papers', and what heads refuse."""

import math

import pytest
import torch
from torch import distributions as td

from framework.errors import UserError
from framework.heads.continuation_head import ContinuationHead
from framework.heads.image_head import ImageHead
from framework.heads.vector_head import VectorHead
from framework.testing.heads import TARGETS
from framework.testing.samples import LATENT, PIXELS, ROWS, SPEED, TIMES, batch, normal
from tests.members import build

FEATURES = normal(ROWS, TIMES, 10)


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


@pytest.mark.parametrize("target", [TARGETS["position"], {"speed": SPEED}, TARGETS["vectors"]], ids=["vector", "scalar", "both"])
def test_vectors_are_normal_and_concatenated_in_the_order_of_their_names(target):
    decoder, data = build("heads", "VectorHead", latent=LATENT, target=target), batch()
    values = torch.cat([data.observation[name].reshape(ROWS, TIMES, -1) for name in sorted(target)], dim=-1)
    expected = -td.Independent(td.Normal(decoder(FEATURES).mean, 1.0), 1).log_prob(values)
    assert torch.allclose(decoder.loss(FEATURES, data), expected, atol=1e-5)


def test_the_loss_of_a_symlog_vector_is_the_squared_error_of_its_symlog():
    decoder, data = build("heads", "VectorHead", latent=LATENT, target=TARGETS["position"], likelihood="symlog"), batch()
    value = data.observation["position"]
    error = decoder.net(FEATURES) - value.sign() * torch.log(1 + value.abs())
    assert torch.allclose(decoder.loss(FEATURES, data), (error * error).sum(dim=-1), atol=1e-5)
    prediction = decoder(FEATURES)
    assert torch.allclose(prediction.mean, decoder.net(FEATURES).sign() * (decoder.net(FEATURES).abs().exp() - 1), atol=1e-5)
    assert (prediction.log_density(prediction.mean).abs() < 1e-9).all()


@pytest.mark.parametrize(("kernels", "channels", "size"), [((5, 5, 6, 6), (8, 4, 2), 64), ((5, 6, 6), (4, 2), 32)])
def test_the_kernels_of_the_paper_give_images_of_its_size(kernels, channels, size):
    target = {"pixels": PIXELS.replace(shape=(size, size, 3), minimum=0, maximum=255)}
    decoder = ImageHead(latent=LATENT, target=target, kernels=kernels, channels=channels, base=16)
    assert decoder(normal(2, 10)).mean.shape == (2, size, size, 3)


@pytest.mark.parametrize(
    ("head", "target", "settings", "message"),
    [
        (ContinuationHead, "nothing", {"discount": 0.0}, "ContinuationHead.discount = 0.0 must lie above 0"),
        (ContinuationHead, "nothing", {"discount": 1.5}, "ContinuationHead.discount = 1.5 must lie above 0"),
        (VectorHead, "pixels", {}, "VectorHead decodes vectors"),
        (VectorHead, "nothing", {}, "VectorHead decodes vectors"),
        (ImageHead, "pixels", {}, "make an image of 64 x 64, and the observation has 8 x 8"),
        (ImageHead, "pixels", {"kernels": (2, 6), "channels": ()}, "one kernel more"),
        (ImageHead, "position", {}, r"decodes one image .* not position \(3,\)"),
    ],
)
def test_it_refuses_targets_and_settings_that_do_not_fit(head, target, settings, message):
    with pytest.raises(UserError, match=message):
        head(latent=LATENT, target=TARGETS[target], **settings)
