"""Dreamer's image encoder."""

from collections.abc import Mapping
from typing import Literal, final

from dm_env import specs
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from framework import encoders
from framework.blocks import ACTIVATIONS, Activation, glorot
from framework.data import Observation, is_image
from framework.encoders.base import Encoder
from framework.errors import UserError


@final
@encoders.register
class ConvEncoder(Encoder):
    """Strided convolutions without padding; `uint8` images are scaled to [-0.5, 0.5].

    *World Models* (Ha and Schmidhuber, 2018) and *Dream to Control*, Appendix A: kernel 4, stride 2, 32-64-128-256 channels,
    ReLU, so that 64 x 64 becomes 1,024 numbers. Fewer channels take smaller images: each layer leaves `(size - kernel) // 2 + 1`.
    `normalise = 'layer'` sends the embedding through a layer norm without parameters, which the paper does not have: scores against
    it start at one scale.
    """

    def __init__(
        self,
        *,
        observation: Mapping[str, specs.Array],
        channels: tuple[int, ...] = (32, 64, 128, 256),
        kernel: int = 4,
        activation: Activation = "relu",
        normalise: Literal["none", "layer"] = "none",
    ) -> None:
        super().__init__(observation=observation)
        self.name, spec = _only_image(observation)
        height, width, depth = spec.shape
        layers: list[nn.Module] = []
        for size in channels:
            if min(height, width) < kernel:
                raise UserError(
                    f"ConvEncoder cannot take images of {spec.shape[0]} x {spec.shape[1]}: after {len(layers) // 2} of its "
                    f"{len(channels)} layers {height} x {width} is left, less than the kernel of {kernel}; "
                    f"bind fewer ConvEncoder.channels, a smaller ConvEncoder.kernel or larger images."
                )
            layers += [nn.Conv2d(depth, size, kernel, stride=2), ACTIVATIONS[activation]()]
            height, width, depth = (height - kernel) // 2 + 1, (width - kernel) // 2 + 1, size
        self.net = glorot(nn.Sequential(*layers))
        self.embedding_size = height * width * depth
        self.norm = nn.Identity() if normalise == "none" else nn.LayerNorm(self.embedding_size, elementwise_affine=False)

    def forward(self, observation: Observation) -> Float[Tensor, "*B E"]:
        image = observation[self.name]
        flat = rearrange(image, "... y x c -> (...) c y x") / 255.0 - 0.5
        return self.norm(self.net(flat).reshape(*image.shape[:-3], self.embedding_size))


def _only_image(observation: Mapping[str, specs.Array]) -> tuple[str, specs.Array]:
    images = [name for name, spec in observation.items() if is_image(spec)]
    if len(images) == 1 and len(observation) == 1:
        return images[0], observation[images[0]]
    shapes = ", ".join(f"{name} {spec.shape}" for name, spec in observation.items())
    raise UserError(
        f"ConvEncoder takes exactly one image [height, width, channel] and was given {shapes}; "
        f"give each array its own encoder with MultiEncoder.encoders, or change what the environment observes."
    )
