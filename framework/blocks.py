"""The layers that components share, initialised as Keras does (Glorot uniform, zero bias), which the Dreamer papers relied on."""

from collections.abc import Callable
from itertools import pairwise
from typing import Literal, final

import torch
from jaxtyping import Float
from torch import Tensor, nn

Activation = Literal["elu", "relu", "silu", "tanh"]
ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {"elu": nn.ELU, "relu": nn.ReLU, "silu": nn.SiLU, "tanh": nn.Tanh}


def glorot(module: nn.Module) -> nn.Module:
    """Initialise every linear and convolution below a module in Keras's way; returns the module."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return module


def gru_cell(input_size: int, hidden_size: int) -> nn.GRUCell:
    """A GRU cell with Glorot input and orthogonal recurrent kernels, as Keras has it."""
    cell = nn.GRUCell(input_size, hidden_size)
    nn.init.xavier_uniform_(cell.weight_ih)
    nn.init.orthogonal_(cell.weight_hh)
    nn.init.zeros_(cell.bias_ih)
    nn.init.zeros_(cell.bias_hh)
    return cell


@final
class MLP(nn.Module):
    """`layers` hidden layers of `units`, each followed by the activation, and a linear output."""

    def __init__(self, *, input_size: int, output_size: int, layers: int, units: int, activation: Activation) -> None:
        super().__init__()
        sizes = [input_size] + [units] * layers
        stack: list[nn.Module] = []
        for size, following in pairwise(sizes):
            stack += [nn.Linear(size, following), ACTIVATIONS[activation]()]
        self.net = glorot(nn.Sequential(*stack, nn.Linear(sizes[-1], output_size)))

    def forward(self, values: Float[Tensor, "*B I"]) -> Float[Tensor, "*B O"]:
        return self.net(values)


@torch.no_grad()
def copy_parameters(*, source: nn.Module, target: nn.Module, rate: float) -> None:
    """Move a slow copy towards its source: `target += rate (source - target)`; a rate of 1 copies."""
    torch._foreach_lerp_(list(target.parameters()), list(source.parameters()), rate)
