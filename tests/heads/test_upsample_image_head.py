"""Dreamer V3's decoder against its equations written out, and what it refuses."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from framework.errors import UserError
from framework.heads.upsample_image_head import UpsampleImageHead
from framework.specs import LatentSpec
from framework.testing.samples import PIXELS, POSITION, batch, normal

LATENT = LatentSpec(deterministic=6, stochastic=4, kind="categorical", classes=2)
SMALL = {"depth": 4, "multipliers": (1, 2), "kernel": 3, "units": 5, "blocks": 2}


def make(**settings) -> UpsampleImageHead:
    return UpsampleImageHead(latent=LATENT, **({"target": {"pixels": PIXELS}} | SMALL | settings))


def normed(values: Tensor, scale: Tensor) -> Tensor:
    """Over the channels, which come last, at each place."""
    return values / (values.square().mean(dim=-1, keepdim=True) + 1e-4).sqrt() * scale


def by_hand(head: UpsampleImageHead, features: Tensor) -> Tensor:
    """8 x 8 pixels in [0, 1] for one row of features `[z, h]`: a grid of 2 x 2 with 8 channels, then 4 x 4 with 4."""
    stochastic, deterministic = features[:4], features[4:]
    start = torch.zeros(2, 2, 8)
    for block in range(2):
        made = deterministic[3 * block : 3 * block + 3] @ head.from_deterministic.weight[block]
        made = made + head.from_deterministic.bias[16 * block : 16 * block + 16]
        start[:, :, 4 * block : 4 * block + 4] = made.reshape(2, 2, 4)
    first, norm, _, last = head.from_stochastic
    start = start + last(F.silu(normed(first(stochastic), norm.weight))).reshape(2, 2, 8)
    x = F.silu(normed(start, head.net[0].norm.weight))
    doubled = x.repeat_interleave(2, dim=0).repeat_interleave(2, dim=1)
    x = F.conv2d(doubled.permute(2, 0, 1)[None], head.net[3].weight, head.net[3].bias, padding=1)[0].permute(1, 2, 0)
    x = F.silu(normed(x, head.net[4].norm.weight))
    doubled = x.repeat_interleave(2, dim=0).repeat_interleave(2, dim=1)
    x = F.conv2d(doubled.permute(2, 0, 1)[None], head.net[7].weight, head.net[7].bias, padding=1)[0].permute(1, 2, 0)
    return 1 / (1 + torch.exp(-x))


def test_it_decodes_as_its_equations_say():
    head, features = make(), normal(2, 3, 10)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.add_(0.1 * normal(*parameter.shape, seed=parameter.numel()))
    mean = head(features).mean
    assert mean.shape == (2, 3, 8, 8, 3)
    for row in range(2):
        for time in range(3):
            assert torch.allclose(mean[row, time] + 0.5, by_hand(head, features[row, time]), atol=1e-5)


def test_its_loss_is_the_squared_error_summed_over_the_image():
    head, data = make(), batch("pixels")
    features = normal(*data.reward.shape, 10)
    pixels = data.observation["pixels"].float() / 255
    expected = ((head(features).mean + 0.5 - pixels) ** 2).sum(dim=(-3, -2, -1))
    assert torch.allclose(head.loss(features, data), expected, rtol=1e-5)


def test_pixels_stay_inside_their_range():
    head = make()
    with torch.no_grad():
        head.net[-1].weight.mul_(100)
    mean = head(normal(4, 10)).mean
    assert mean.abs().max() <= 0.5
    assert mean.abs().max() > 0.49


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"multipliers": (1, 2, 2, 2)}, r"doubles its image 4 times, and 8 x 8 is not divisible by 16"),
        ({"kernel": 4}, "kernel = 4 must be odd"),
        ({"blocks": 4}, r"blocks = 4 must divide the deterministic part of the latent, 6, .* 8"),
        ({"blocks": 3}, r"blocks = 3 must divide .* 6, .* 8"),
        ({"target": {"position": POSITION}}, "decodes one image"),
    ],
)
def test_it_refuses_settings_that_do_not_fit(settings, message):
    with pytest.raises(UserError, match=message):
        make(**settings)
