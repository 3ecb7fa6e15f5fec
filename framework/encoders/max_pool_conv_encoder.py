"""Dreamer V3's image encoder."""

from collections.abc import Mapping
from typing import final

from dm_env import specs
from torch import nn

from framework import encoders
from framework.encoders.base import ImageEncoder
from framework.errors import UserError
from framework.nn.blocks import ACTIVATIONS, Activation, ChannelRMSNorm, truncated_normal


@final
@encoders.register
class MaxPoolConvEncoder(ImageEncoder):
    """Dreamer V3's image encoder: convolutions of stride 1, each with max pooling over 2 x 2, a root-mean-square norm and the activation.

    Hafner et al. (2023), as its code has been since 2024: kernel 5, `depth` times 2, 3, 4 and 4 channels, SiLU, so that
    64 x 64 becomes 4 x 4; truncated-normal weights. `uint8` images are scaled to [-0.5, 0.5]; both sides must be divisible by 2 once for
    each layer.
    """

    def __init__(
        self,
        *,
        observation: Mapping[str, specs.Array],
        depth: int = 64,
        multipliers: tuple[int, ...] = (2, 3, 4, 4),
        kernel: int = 5,
        activation: Activation = "silu",
    ) -> None:
        super().__init__(observation=observation)
        height, width, channels = self.shape
        factor = 2 ** len(multipliers)
        if height % factor or width % factor:
            raise UserError(
                f"MaxPoolConvEncoder halves an image {len(multipliers)} times, and {height} x {width} is not divisible by {factor}; "
                f"bind fewer MaxPoolConvEncoder.multipliers or another image size."
            )
        if kernel % 2 == 0:
            raise UserError(f"MaxPoolConvEncoder.kernel = {kernel} must be odd, so that a convolution keeps the size of the image.")
        layers: list[nn.Module] = []
        for multiplier in multipliers:
            following = depth * multiplier
            layers += [nn.Conv2d(channels, following, kernel, padding=kernel // 2), nn.MaxPool2d(2)]
            layers += [ChannelRMSNorm(following), ACTIVATIONS[activation]()]
            channels = following
        self.net = truncated_normal(nn.Sequential(*layers))
        self.embedding_size = (height // factor) * (width // factor) * channels
