"""An encoder of your own: one perceptron for all arrays of an observation."""

from collections.abc import Mapping
from math import prod
from typing import final

import torch
from dm_env import specs
from jaxtyping import Float
from torch import Tensor

from framework import encoders
from framework.data import Observation
from framework.errors import UserError
from framework.nn.blocks import MLP
from framework.specs import is_image


@final
@encoders.register
class MyComponent(encoders.Encoder):
    """`e = MLP([x_1, x_2, ..])` of the arrays of an observation, flattened, in the order of their names.

    Pixels are scaled to [-0.5, 0.5].
    """

    def __init__(self, *, observation: Mapping[str, specs.Array], layers: int = 2, units: int = 128, size: int = 64) -> None:
        super().__init__(observation=observation)
        if size < 1:
            raise UserError(f"MyComponent.size = {size} is no size of an embedding: bind 1 or more.")
        self.specs, self.embedding_size = dict(sorted(observation.items())), size
        width = sum(prod(spec.shape) for spec in observation.values())
        self.net = MLP(input_size=width, output_size=size, layers=layers, units=units, activation="elu")

    def forward(self, observation: Observation) -> Float[Tensor, "*B E"]:
        parts = []
        for name, spec in self.specs.items():
            array = observation[name]
            values = array / 255.0 - 0.5 if is_image(spec) else array.float()
            parts.append(values.reshape(*array.shape[: array.dim() - len(spec.shape)], -1))
        return self.net(torch.cat(parts, dim=-1))
