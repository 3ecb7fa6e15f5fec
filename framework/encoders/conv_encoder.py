"""Dreamer V1's image encoder."""

from collections.abc import Mapping
from typing import Literal, final

from dm_env import specs
from torch import nn

from framework import encoders
from framework.encoders.base import ImageEncoder
from framework.errors import UserError
from framework.nn.blocks import ACTIVATIONS, Activation, glorot


@final
@encoders.register
class ConvEncoder(ImageEncoder):
    """Dreamer V1's image encoder: strided convolutions without padding; `uint8` images are scaled to [-0.5, 0.5].

    *World Models* (Ha and Schmidhuber, 2018) and *Dream to Control*, Appendix A: kernel 4, stride 2, 32-64-128-256 channels,
    ReLU, so that 64 x 64 becomes 1,024 numbers. A layer turns `size` into `(size - kernel) // 2 + 1`; smaller images need fewer.
    `normalize = 'layer'` applies a layer norm without parameters to the embedding, which the paper does not have, so that contrastive
    scores have one initial scale.
    """

    def __init__(
        self,
        *,
        observation: Mapping[str, specs.Array],
        channels: tuple[int, ...] = (32, 64, 128, 256),
        kernel: int = 4,
        activation: Activation = "relu",
        normalize: Literal["none", "layer"] = "none",
    ) -> None:
        super().__init__(observation=observation)
        height, width, depth = self.shape
        layers: list[nn.Module] = []
        for size in channels:
            if min(height, width) < kernel:
                raise UserError(
                    f"ConvEncoder cannot take images of {self.shape[0]} x {self.shape[1]}: after {len(layers) // 2} of its "
                    f"{len(channels)} layers {height} x {width} is left, less than the kernel of {kernel}; "
                    f"bind fewer ConvEncoder.channels, a smaller ConvEncoder.kernel or larger images."
                )
            layers += [nn.Conv2d(depth, size, kernel, stride=2), ACTIVATIONS[activation]()]
            height, width, depth = (height - kernel) // 2 + 1, (width - kernel) // 2 + 1, size
        self.embedding_size = height * width * depth
        norm = [] if normalize == "none" else [nn.LayerNorm(self.embedding_size, elementwise_affine=False)]
        self.net = glorot(nn.Sequential(*layers, nn.Flatten(), *norm))
