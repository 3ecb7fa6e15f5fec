"""IMPALA's image encoder."""

from collections.abc import Mapping
from typing import final

from dm_env import specs
from jaxtyping import Float
from torch import Tensor, nn

from framework import encoders
from framework.encoders.base import ImageEncoder
from framework.nn.blocks import ACTIVATIONS, Activation, glorot


@final
@encoders.register
class ResNetEncoder(ImageEncoder):
    """IMPALA's image encoder: stages of a convolution, max pooling over 3 x 3 with stride 2, and residual blocks; Espeholt et al. (2018).

    16, 32 and 32 channels, two blocks in each stage, and a linear map to 256 numbers. A stage halves the image, rounding up, so that
    images may have any size. `uint8` images are scaled to [-0.5, 0.5].
    """

    def __init__(
        self,
        *,
        observation: Mapping[str, specs.Array],
        channels: tuple[int, ...] = (16, 32, 32),
        blocks: int = 2,
        size: int = 256,
        activation: Activation = "relu",
    ) -> None:
        super().__init__(observation=observation)
        height, width, depth = self.shape
        stages: list[nn.Module] = []
        for following in channels:
            stages += [nn.Conv2d(depth, following, 3, padding=1), nn.MaxPool2d(3, stride=2, padding=1)]
            stages += [ResidualBlock(channels=following, activation=activation) for _ in range(blocks)]
            height, width, depth = (height + 1) // 2, (width + 1) // 2, following
        head = [ACTIVATIONS[activation](), nn.Flatten(), nn.Linear(height * width * depth, size), ACTIVATIONS[activation]()]
        self.net = glorot(nn.Sequential(*stages, *head))
        self.embedding_size = size


@final
class ResidualBlock(nn.Module):
    """`x + conv(act(conv(act(x))))`, both 3 x 3."""

    def __init__(self, *, channels: int, activation: Activation) -> None:
        super().__init__()
        self.net = nn.Sequential(
            ACTIVATIONS[activation](),
            nn.Conv2d(channels, channels, 3, padding=1),
            ACTIVATIONS[activation](),
            nn.Conv2d(channels, channels, 3, padding=1),
        )

    def forward(self, images: Float[Tensor, "N C Y X"]) -> Float[Tensor, "N C Y X"]:
        return images + self.net(images)
