"""The layers that components share, initialised as Keras does (Glorot uniform, zero bias), which the Dreamer papers relied on."""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Final, Literal, final

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from framework.errors import UserError
from framework.functional.clamping import held_below

Activation = Literal["elu", "gelu", "mish", "relu", "silu", "tanh"]
ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "mish": nn.Mish,
    "relu": nn.ReLU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
}
Norm = Literal["none", "layer", "rms"]
NORMS: dict[str, Callable[[int], nn.Module]] = {
    "none": lambda size: nn.Identity(),
    "layer": lambda size: nn.LayerNorm(size, eps=1e-3),
    "rms": lambda size: nn.RMSNorm(size, eps=1e-4),
}
"""Dreamer V2 and the first V3 have layer norms, the present V3 root-mean-square norms, with these epsilons."""


def glorot(module: nn.Module) -> nn.Module:
    """Initialise every linear and convolution below a module in Keras's way; returns the module."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return module


@final
class NormGRUCell(nn.Module):
    """A GRU whose gates come from one product, through a norm, and which forgets slowly at first.

        r, c, u = norm(W [x, h]),    h' = u tanh(r c) + (1 - u) h,    r and u through sigmoids, u less 1 before its own

    Dreamer V2 (Hafner et al., 2021), as released; with a layer norm there, a root-mean-square norm in V3.
    """

    def __init__(self, *, input_size: int, hidden_size: int, norm: Norm) -> None:
        super().__init__()
        self.gates = nn.Linear(input_size + hidden_size, 3 * hidden_size, bias=norm == "none")
        self.norm = NORMS[norm](3 * hidden_size)
        glorot(self)

    def forward(self, values: Float[Tensor, "N I"], hidden: Float[Tensor, "N D"]) -> Float[Tensor, "N D"]:
        return gated(self.norm(self.gates(torch.cat([values, hidden], dim=-1))), hidden)


def gated(gates: Float[Tensor, "N G"], hidden: Float[Tensor, "N D"]) -> Float[Tensor, "N D"]:
    """A GRU's step from its three gates: reset, candidate, update."""
    reset, candidate, update = gates.chunk(3, dim=-1)
    share = torch.sigmoid(update - 1)
    return share * torch.tanh(torch.sigmoid(reset) * candidate) + (1 - share) * hidden


def gru_cell(input_size: int, hidden_size: int) -> nn.GRUCell:
    """A GRU cell with Glorot input and orthogonal recurrent kernels, as Keras has it."""
    cell = nn.GRUCell(input_size, hidden_size)
    nn.init.xavier_uniform_(cell.weight_ih)
    nn.init.orthogonal_(cell.weight_hh)
    nn.init.zeros_(cell.bias_ih)
    nn.init.zeros_(cell.bias_hh)
    return cell


def normed(norm: Norm, size: int) -> list[nn.Module]:
    """The norm, if there is one."""
    return [] if norm == "none" else [NORMS[norm](size)]


@final
class ChannelRMSNorm(nn.Module):
    """A root-mean-square norm over the channels of images `[N, C, Y, X]`, at each place by itself."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = NORMS["rms"](channels)

    def forward(self, images: Float[Tensor, "N C Y X"]) -> Float[Tensor, "N C Y X"]:
        return rearrange(self.norm(rearrange(images, "n c y x -> n y x c")), "n y x c -> n c y x")


@final
class MLP(nn.Module):
    """`layers` hidden layers of `units`, each followed by its norm and the activation, and a linear output that may begin at zero."""

    def __init__(
        self,
        *,
        input_size: int,
        output_size: int,
        layers: int,
        units: int,
        activation: Activation,
        norm: Norm = "none",
        output: Literal["glorot", "zeros"] = "glorot",
    ) -> None:
        super().__init__()
        sizes = [input_size] + [units] * layers
        stack: list[nn.Module] = []
        for size, following in pairwise(sizes):
            stack += [nn.Linear(size, following), *normed(norm, following), ACTIVATIONS[activation]()]
        last = nn.Linear(sizes[-1], output_size)
        self.net = glorot(nn.Sequential(*stack, last))
        if output == "zeros":
            nn.init.zeros_(last.weight)

    def forward(self, values: Float[Tensor, "*B I"]) -> Float[Tensor, "*B O"]:
        return self.net(values)


LARGEST_SCALE: Final = 100.0
"""That of CLIP."""


@final
class Temperature(nn.Module):
    """What scores are divided by: a fixed temperature, or a learned one whose inverse is `exp(log_scale)`, at most 100.

    CLIP (Radford et al., 2021). `owner` is the component that has the settings `temperature` and `initial_temperature`.
    Gradients: see `held_below`; at the limit the scale can come down again.
    """

    def __init__(self, *, owner: str, kind: Literal["fixed", "learned"], initial: float) -> None:
        super().__init__()
        least = {"fixed": 0.0, "learned": 1 / LARGEST_SCALE}[kind]
        if not initial > 0 or initial < least:
            allowed = f"at least {least} where it is learned" if kind == "learned" else "positive"
            raise UserError(
                f"{owner}.initial_temperature = {initial} must be {allowed}; 0.07 is usual for cosines, 1.0 leaves scores alone."
            )
        log_scale = torch.tensor(-math.log(initial))
        self.log_scale: Tensor
        if kind == "learned":
            self.register_parameter("log_scale", nn.Parameter(log_scale))
        else:
            self.register_buffer("log_scale", log_scale, persistent=False)
        self.limit = {"fixed": math.inf, "learned": math.log(LARGEST_SCALE)}[kind]

    @property
    def scale(self) -> Float[Tensor, ""]:
        """One over the temperature: what scores are multiplied by."""
        return held_below(self.log_scale, self.limit).exp()


@torch.no_grad()
def copy_parameters(*, source: nn.Module, target: nn.Module, rate: float) -> None:
    """Move a slow copy towards its source: `target += rate (source - target)`; a rate of 1 copies."""
    torch._foreach_lerp_(list(target.parameters()), list(source.parameters()), rate)
