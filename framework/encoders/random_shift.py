"""Random shifts of images."""

from collections.abc import Mapping
from typing import Literal, final

import torch
import torch.nn.functional as F
from dm_env import specs
from einops import rearrange, repeat
from jaxtyping import Float, UInt8
from torch import Tensor

from framework import encoders
from framework.data import Factory, Observation, is_image
from framework.encoders.base import Encoder
from framework.errors import UserError
from framework.functional.random import Key, uniform


@final
@encoders.register
class RandomShift(Encoder):
    """DrQ's augmentation: in training, images are shifted by up to `pixels` in both directions, with their edges repeated.

    *Image Augmentation Is All You Need* (Kostrikov et al., 2021): 4 pixels at 84 x 84. `across = 'sequence'` shifts all steps of a
    sequence alike, which preserves motion; `'step'` shifts each separately. Vectors are unchanged.
    """

    augments = True

    def __init__(
        self,
        *,
        observation: Mapping[str, specs.Array],
        encoder: Factory[Encoder],
        pixels: int = 4,
        across: Literal["sequence", "step"] = "sequence",
    ) -> None:
        super().__init__(observation=observation)
        self.images = [name for name, spec in observation.items() if is_image(spec)]
        if not self.images or pixels < 1:
            raise UserError(
                f"RandomShift.pixels = {pixels} must be at least 1, and one of the observations {sorted(observation)} must be an image; "
                f"bind Agent.encoder without RandomShift where there is none."
            )
        self.encoder: Encoder = encoder(observation=observation)
        self.embedding_size, self.pixels, self.across = self.encoder.embedding_size, pixels, across

    def forward(self, observation: Observation) -> Float[Tensor, "*B E"]:
        return self.encoder(observation)

    def augment(self, observation: Observation, key: Key) -> Observation:
        rows, times = observation[self.images[0]].shape[:2]
        share = uniform(key, rows, 1 if self.across == "sequence" else times, 2).expand(rows, times, 2)
        offset = rearrange((share * (2 * self.pixels + 1)).long(), "b t two -> (b t) two")
        return dict(observation) | {name: self._shifted(observation[name], offset) for name in self.images}

    def _shifted(self, images: UInt8[Tensor, "B T Y X C"], offset: Tensor) -> UInt8[Tensor, "B T Y X C"]:
        rows, _, height, width, channels = images.shape
        flat = rearrange(images, "b t y x c -> (b t) c y x")
        padded = F.pad(flat.float(), [self.pixels] * 4, mode="replicate").to(images.dtype)
        y = offset[:, :1] + torch.arange(height, device=images.device)
        x = offset[:, 1:] + torch.arange(width, device=images.device)
        shifted = padded.gather(2, repeat(y, "n y -> n c y x", c=channels, x=padded.shape[3]))
        shifted = shifted.gather(3, repeat(x, "n x -> n c y x", c=channels, y=height))
        return rearrange(shifted, "(b t) c y x -> b t y x c", b=rows)
