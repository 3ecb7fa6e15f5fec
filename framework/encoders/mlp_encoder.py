"""The encoder of vectors."""

from collections.abc import Mapping
from math import prod
from typing import final

import torch
from dm_env import specs
from jaxtyping import Float
from torch import Tensor

from framework import encoders
from framework.blocks import MLP, Activation
from framework.data import Observation, is_image
from framework.encoders.base import Encoder
from framework.errors import UserError


@final
@encoders.register
class MLPEncoder(Encoder):
    """Joins every vector that it is given, in the order of their names, and sends them through a multilayer perceptron."""

    def __init__(
        self,
        *,
        observation: Mapping[str, specs.Array],
        layers: int = 3,
        units: int = 400,
        size: int = 400,
        activation: Activation = "elu",
    ) -> None:
        super().__init__(observation=observation)
        images = sorted(name for name, spec in observation.items() if is_image(spec))
        if images or not observation:
            raise UserError(
                f"MLPEncoder takes vectors and was given {', '.join(images) or 'nothing'}; "
                f"bind Agent.encoder to @encoders.ConvEncoder for images, or to @encoders.MultiEncoder for both."
            )
        self.names = sorted(observation)
        self.axes = {name: len(observation[name].shape) for name in self.names}
        self.embedding_size = size
        width = sum(prod(spec.shape) for spec in observation.values())
        self.net = MLP(input_size=width, output_size=size, layers=layers, units=units, activation=activation)

    def forward(self, observation: Observation) -> Float[Tensor, "*B E"]:
        parts = []
        for name in self.names:
            value, axes = observation[name].float(), self.axes[name]
            parts.append(value.flatten(start_dim=-axes) if axes else value.unsqueeze(-1))
        return self.net(torch.cat(parts, dim=-1))
