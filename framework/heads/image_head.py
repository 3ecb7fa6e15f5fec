"""Dreamer V1's image decoder."""

from collections.abc import Mapping
from typing import final

from dm_env import specs
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from framework import heads
from framework.data import Batch
from framework.errors import UserError
from framework.functional.distributions import UnitNormal
from framework.heads.base import Head, only_image
from framework.nn.blocks import ACTIVATIONS, Activation, glorot
from framework.specs import LatentSpec


@final
@heads.register
class ImageHead(Head):
    """Dreamer V1's image decoder: `q(o_t | s_t) = N(mu(s_t), I)` over pixels in [-0.5, 0.5], by transposed convolutions of stride 2.

    *World Models* and *Dream to Control*, Appendix A: kernels 5-5-6-6, channels 128-64-32, from 1 x 1 to 64 x 64. A layer
    turns the size `n` into `2 (n - 1) + kernel`; kernels 5-6-6 with two channel counts give 32 x 32. Dreamer V2's is 1.5 times as wide,
    with ELU.
    """

    def __init__(
        self,
        *,
        latent: LatentSpec,
        target: Mapping[str, specs.Array] | None = None,
        scale: float = 1.0,
        channels: tuple[int, ...] = (128, 64, 32),
        kernels: tuple[int, ...] = (5, 5, 6, 6),
        base: int = 1024,
        activation: Activation = "relu",
    ) -> None:
        super().__init__(latent=latent, target=target, scale=scale)
        self.name, spec = only_image(target, "ImageHead")
        _check_sizes(kernels=kernels, channels=channels, shape=spec.shape)
        self.project = glorot(nn.Linear(latent.feature_size, base))
        sizes = [base, *channels, spec.shape[-1]]
        layers: list[nn.Module] = []
        for depth, following, kernel in zip(sizes[:-1], sizes[1:], kernels, strict=True):
            layers += [nn.ConvTranspose2d(depth, following, kernel, stride=2), ACTIVATIONS[activation]()]
        self.net = glorot(nn.Sequential(*layers[:-1]))

    def forward(self, features: Float[Tensor, "*B F"]) -> UnitNormal:
        flat = rearrange(self.project(features.reshape(-1, features.shape[-1])), "n c -> n c 1 1")
        image = rearrange(self.net(flat), "n c y x -> n y x c").float()
        return UnitNormal(mean=image.unflatten(0, features.shape[:-1]), axes=3)

    def loss(self, features: Float[Tensor, "B T F"], batch: Batch) -> Float[Tensor, "B T"]:
        return -self(features).log_density(batch.observation[self.name].float() / 255.0 - 0.5)


def _check_sizes(*, kernels: tuple[int, ...], channels: tuple[int, ...], shape: tuple[int, ...]) -> None:
    if len(kernels) != len(channels) + 1:
        raise UserError(
            f"ImageHead has {len(kernels)} kernels and {len(channels)} channel counts: the last layer gives the image's own channels, "
            f"so bind one kernel more than there are ImageHead.channels."
        )
    size = 1
    for kernel in kernels:
        size = 2 * (size - 1) + kernel
    if shape[:2] != (size, size):
        raise UserError(
            f"ImageHead.kernels = {kernels} make an image of {size} x {size}, and the observation has {shape[0]} x {shape[1]}; "
            f"(5, 5, 6, 6) make 64 x 64 and (5, 6, 6) make 32 x 32."
        )
