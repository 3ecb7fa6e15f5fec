"""An encoder of vectors."""

from collections.abc import Mapping
from math import prod
from typing import Literal, final

import torch
from dm_env import specs
from jaxtyping import Float
from torch import Tensor, nn

from framework import encoders
from framework.data import Observation
from framework.encoders.base import Encoder
from framework.errors import UserError
from framework.functional.two_hot import symlog
from framework.nn.blocks import INITIAL_WEIGHTS, Activation, InitialWeights, Norm, hidden_layers
from framework.specs import is_image


@final
@encoders.register
class MLPEncoder(Encoder):
    """Dreamer's encoder of vectors: a perceptron of the concatenated vectors of the observation, in the order of their names.

    `squash = 'symlog'` first applies `sign(x) log(1 + |x|)`, and `size = None` ends with the last hidden layer, both as in Dreamer V3.
    """

    def __init__(
        self,
        *,
        observation: Mapping[str, specs.Array],
        layers: int = 3,
        units: int = 400,
        size: int | None = 400,
        activation: Activation = "elu",
        norm: Norm = "none",
        initial_weights: InitialWeights = "glorot",
        squash: Literal["none", "symlog"] = "none",
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
        if size is None and layers < 1:
            raise UserError("MLPEncoder.size = None ends with the last hidden layer, and MLPEncoder.layers is 0; bind a size or a layer.")
        self.embedding_size = units if size is None else size
        width = sum(prod(spec.shape) for spec in observation.values())
        hidden = hidden_layers(input_size=width, layers=layers, units=units, activation=activation, norm=norm)
        last = [] if size is None else [nn.Linear(units if layers else width, size)]
        self.net = INITIAL_WEIGHTS[initial_weights](nn.Sequential(*hidden, *last))
        self.squash = squash

    def forward(self, observation: Observation) -> Float[Tensor, "*B E"]:
        parts = []
        for name in self.names:
            value, axes = observation[name].float(), self.axes[name]
            parts.append(value.flatten(start_dim=-axes) if axes else value.unsqueeze(-1))
        joined = torch.cat(parts, dim=-1)
        return self.net(symlog(joined) if self.squash == "symlog" else joined)
