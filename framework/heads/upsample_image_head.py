"""Dreamer V3's image decoder."""

from collections.abc import Mapping
from itertools import pairwise
from typing import final

import torch
from dm_env import specs
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from framework import heads
from framework.data import Batch
from framework.errors import UserError
from framework.functional.distributions import SquaredError
from framework.heads.base import Head, only_image
from framework.nn.blocks import ACTIVATIONS, Activation, BlockLinear, ChannelRMSNorm, hidden_layers, truncated_normal
from framework.specs import LatentSpec


@final
@heads.register
class UpsampleImageHead(Head):
    """Dreamer V3's image decoder: convolutions after nearest-neighbor upsampling; the squared error is summed over the pixels.

        x = act(norm(B h + W act(norm(W z)))),    then act(norm(conv(double(x)))) for each layer but the last, then sigmoid(conv(double(x)))

    `B` has one matrix for each of the `blocks`, from a part of `h` to a part of the channels at every pixel.
    Hafner et al. (2023), *Mastering Diverse Domains through World Models*, as its code has been since 2024: from 4 x 4, kernel 5,
    `depth` times 4, 4, 3 and 2 channels, 2 `units` for `z`, 8 blocks, root-mean-square norms, SiLU. The paper's pixels lie in [0, 1],
    here in [-0.5, 0.5]; the error is the same.
    """

    def __init__(
        self,
        *,
        latent: LatentSpec,
        target: Mapping[str, specs.Array] | None = None,
        scale: float = 1.0,
        depth: int = 64,
        multipliers: tuple[int, ...] = (2, 3, 4, 4),
        kernel: int = 5,
        units: int = 1024,
        blocks: int = 8,
        activation: Activation = "silu",
    ) -> None:
        super().__init__(latent=latent, target=target, scale=scale)
        self.name, spec = only_image(target, "UpsampleImageHead")
        height, width = self.grid = _grid(spec.shape, len(multipliers))
        channels = [depth * multiplier for multiplier in reversed(multipliers)]
        _check(kernel=kernel, blocks=blocks, deterministic=latent.deterministic, channels=channels[0])
        self.blocks, self.stochastic = blocks, latent.stochastic
        size = height * width * channels[0]
        self.from_deterministic = BlockLinear(blocks=blocks, input_size=latent.deterministic, output_size=size)
        hidden = hidden_layers(input_size=latent.stochastic, layers=1, units=2 * units, activation=activation, norm="rms")
        self.from_stochastic = nn.Sequential(*hidden, nn.Linear(2 * units, size))
        layers: list[nn.Module] = [ChannelRMSNorm(channels[0]), ACTIVATIONS[activation]()]
        for before, following in pairwise(channels):
            layers += [nn.Upsample(scale_factor=2), nn.Conv2d(before, following, kernel, padding=kernel // 2)]
            layers += [ChannelRMSNorm(following), ACTIVATIONS[activation]()]
        layers += [nn.Upsample(scale_factor=2), nn.Conv2d(channels[-1], spec.shape[-1], kernel, padding=kernel // 2)]
        self.net = nn.Sequential(*layers)
        truncated_normal(self)

    def forward(self, features: Float[Tensor, "*B F"]) -> SquaredError:
        flat = features.reshape(-1, features.shape[-1])
        stochastic, deterministic = flat[:, : self.stochastic], flat[:, self.stochastic :]
        sizes = dict(zip("yx", self.grid, strict=True))
        grouped = rearrange(deterministic, "n (g d) -> g n d", g=self.blocks)
        start = rearrange(self.from_deterministic(grouped), "g n (y x c) -> n (g c) y x", **sizes)
        start = start + rearrange(self.from_stochastic(stochastic), "n (y x c) -> n c y x", **sizes)
        image = rearrange(torch.sigmoid(self.net(start).float()) - 0.5, "n c y x -> n y x c")
        return SquaredError(mean=image.unflatten(0, features.shape[:-1]), axes=3)

    def loss(self, features: Float[Tensor, "B T F"], batch: Batch) -> Float[Tensor, "B T"]:
        return -self(features).log_density(batch.observation[self.name].float() / 255.0 - 0.5)


def _grid(shape: tuple[int, ...], layers: int) -> tuple[int, int]:
    """The size before the first upsampling."""
    factor = 2**layers
    if shape[0] % factor or shape[1] % factor:
        raise UserError(
            f"UpsampleImageHead doubles its image {layers} times, and {shape[0]} x {shape[1]} is not divisible by {factor}; "
            f"bind fewer UpsampleImageHead.multipliers or another image size."
        )
    return shape[0] // factor, shape[1] // factor


def _check(*, kernel: int, blocks: int, deterministic: int, channels: int) -> None:
    if kernel % 2 == 0:
        raise UserError(f"UpsampleImageHead.kernel = {kernel} must be odd, so that a convolution keeps the size of the image.")
    if deterministic % blocks or channels % blocks:
        raise UserError(
            f"UpsampleImageHead.blocks = {blocks} must divide the deterministic part of the latent, {deterministic}, and the channels of "
            f"the first layer, UpsampleImageHead.depth times the last of UpsampleImageHead.multipliers, {channels}."
        )
