"""An encoder of your own: patches and two perceptrons, where convolutions are slow."""

from collections.abc import Mapping
from typing import final

from dm_env import specs
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from framework import encoders
from framework.data import Observation
from framework.errors import UserError
from framework.nn.blocks import MLP, Activation
from framework.specs import is_image


@final
@encoders.register
class PatchEncoder(encoders.Encoder):
    """A perceptron for every square patch of an image, and another for the concatenation of their outputs.

    Nearly all of the cost is two matrix products, so that a CPU encodes a small image in a fraction of the time of strided convolutions.
    Patches as in the Vision Transformer (Dosovitskiy et al., 2021); `uint8` pixels are scaled to [-0.5, 0.5].
    """

    def __init__(
        self,
        *,
        observation: Mapping[str, specs.Array],
        patch: int = 8,
        units: int = 64,
        size: int = 256,
        activation: Activation = "elu",
    ) -> None:
        super().__init__(observation=observation)
        images = [name for name, spec in observation.items() if is_image(spec)]
        if len(images) != 1 or len(observation) != 1:
            raise UserError(f"PatchEncoder takes exactly one image and was given {sorted(observation)}; put it into MultiEncoder.encoders.")
        self.name, self.patch, self.embedding_size = images[0], patch, size
        height, width, depth = observation[self.name].shape
        if height % patch or width % patch:
            raise UserError(f"PatchEncoder.patch = {patch} does not divide an image of {height} x {width}; bind a divisor of both.")
        count = (height // patch) * (width // patch)
        self.each = MLP(input_size=patch * patch * depth, output_size=units, layers=1, units=units, activation=activation)
        self.join = MLP(input_size=count * units, output_size=size, layers=1, units=size, activation=activation)

    def forward(self, observation: Observation) -> Float[Tensor, "*B E"]:
        pixels = observation[self.name] / 255.0 - 0.5
        patches = rearrange(pixels, "... (y p) (x q) c -> ... (y x) (p q c)", p=self.patch, q=self.patch)
        return self.join(self.each(patches).flatten(start_dim=-2))
