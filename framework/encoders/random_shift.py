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
from framework.data import Factory, Observation
from framework.encoders.base import Encoder
from framework.errors import UserError
from framework.functional.random import Key, uniform
from framework.specs import is_image


@final
@encoders.register
class RandomShift(Encoder):
    """DrQ's augmentation: in training, images are shifted by up to `pixels` in both directions, with their edges repeated.

    *Image Augmentation Is All You Need* (Kostrikov et al., 2021): 4 pixels at 84 x 84. `across = 'sequence'` shifts all steps of a
    sequence alike, which preserves motion; `'step'` shifts each separately. `interpolation = 'nearest'` shifts by whole pixels,
    `'bilinear'` by any distance, as in DreamerPro, rounded to whole levels of color. Vectors are unchanged.
    """

    augments = True

    def __init__(
        self,
        *,
        observation: Mapping[str, specs.Array],
        encoder: Factory[Encoder],
        pixels: int = 4,
        across: Literal["sequence", "step"] = "sequence",
        interpolation: Literal["nearest", "bilinear"] = "nearest",
    ) -> None:
        super().__init__(observation=observation)
        self.images = [name for name, spec in observation.items() if is_image(spec)]
        if not self.images or pixels < 1:
            raise UserError(
                f"RandomShift.pixels = {pixels} must be at least 1, and one of the observations {sorted(observation)} must be an image; "
                f"bind Agent.encoder without RandomShift where there is none."
            )
        self.encoder: Encoder = encoder(observation=observation)
        self.embedding_size, self.pixels = self.encoder.embedding_size, pixels
        self.across, self.interpolation = across, interpolation

    def forward(self, observation: Observation) -> Float[Tensor, "*B E"]:
        return self.encoder(observation)

    def augment(self, observation: Observation, key: Key) -> Observation:
        rows, times = observation[self.images[0]].shape[:2]
        share = uniform(key, rows, 1 if self.across == "sequence" else times, 2).expand(rows, times, 2)
        whole = (share * (2 * self.pixels + 1)).long() - self.pixels
        shift = whole.float() if self.interpolation == "nearest" else (2 * share - 1) * self.pixels
        return dict(observation) | {
            name: self._shifted(observation[name], rearrange(shift, "b t two -> (b t) two")) for name in self.images
        }

    def _shifted(self, images: UInt8[Tensor, "B T Y X C"], shift: Float[Tensor, "N 2"]) -> UInt8[Tensor, "B T Y X C"]:
        flat = rearrange(images, "b t y x c -> (b t) c y x").float()
        y, x = (_coordinates(size, distance) for size, distance in zip(flat.shape[2:], shift.unbind(dim=-1), strict=True))
        grid = torch.stack([repeat(x, "n x -> n y x", y=y.shape[1]), repeat(y, "n y -> n y x", x=x.shape[1])], dim=-1)
        shifted = F.grid_sample(flat, grid, mode=self.interpolation, padding_mode="border", align_corners=False)
        return rearrange(shifted.round().to(images.dtype), "(b t) c y x -> b t y x c", b=images.shape[0])


def _coordinates(size: int, shift: Float[Tensor, " N"]) -> Float[Tensor, "N Y"]:
    """The centers of the shifted pixels of a row or column, whose ends are -1 and 1."""
    return (2 * (torch.arange(size, device=shift.device) + shift[:, None]) + 1) / size - 1
