"""The layers that components share, and how their weights begin."""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Final, Literal, final

import torch
import torch.nn.functional as F
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


@final
class BlockLinear(nn.Module):
    """A linear map whose matrix is block-diagonal: part `b` of the output sees part `b` of the input alone. Parts are the first axis."""

    def __init__(self, *, blocks: int, input_size: int, output_size: int) -> None:
        super().__init__()
        self.blocks = blocks
        self.weight = nn.Parameter(torch.empty(blocks, input_size // blocks, output_size // blocks))
        self.bias = nn.Parameter(torch.empty(output_size))
        truncated_normal(self)

    def forward(self, values: Float[Tensor, "G N I"]) -> Float[Tensor, "G N O"]:
        return torch.bmm(values, self.weight.to(values.dtype)) + rearrange(self.bias, "(g o) -> g 1 o", g=self.blocks)


@final
class JoinedLinear(nn.Linear):
    """A linear map of two vectors joined, whose parts can be taken apart: `W [x, y] + b = first(x) + second(y)`.

    What is known before the time loop is mapped before it, and the weights stay one tensor: they begin, and are clipped, as one.
    """

    def __init__(self, *, first_size: int, second_size: int, output_size: int) -> None:
        super().__init__(first_size + second_size, output_size)
        self.first_size = first_size

    def first(self, values: Float[Tensor, "*B X"]) -> Float[Tensor, "*B O"]:
        return F.linear(values, self.weight[:, : self.first_size], self.bias)

    def second(self, values: Float[Tensor, "*B Y"]) -> Float[Tensor, "*B O"]:
        return F.linear(values, self.weight[:, self.first_size :])


def glorot(module: nn.Module) -> nn.Module:
    """Initialize every linear and convolution below a module as Keras does, which the first two Dreamers relied on; returns the module."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return module


CUT: Final = 2.0
"""A truncated normal ends this many of its own deviations from its mean ..."""
SHRUNK: Final = 0.8796256610342398
"""... and its true deviation is then that share of the one that it was cut from."""


def truncated_normal(module: nn.Module) -> nn.Module:
    """Initialize every linear, block-linear and convolution below a module as Dreamer V3 does; returns the module.

    A normal distribution, cut at two deviations, of variance one over the fan-in; zero bias. The fan-in of a block-linear map is the
    whole input, not that of one block: its outputs begin smaller, by the root of the number of blocks.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d | BlockLinear):
            fan_in = layer.weight.shape[:2].numel() if isinstance(layer, BlockLinear) else layer.weight[0].numel()
            std = fan_in**-0.5 / SHRUNK
            nn.init.trunc_normal_(layer.weight, std=std, a=-CUT * std, b=CUT * std)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return module


InitialWeights = Literal["glorot", "truncated_normal"]
INITIAL_WEIGHTS: dict[str, Callable[[nn.Module], nn.Module]] = {"glorot": glorot, "truncated_normal": truncated_normal}


@final
class NormGRUCell(nn.Module):
    """A GRU whose gates come from one product, through a norm, and which forgets slowly at first.

        r, c, u = norm(W [x, h]),    h' = u tanh(r c) + (1 - u) h,    r and u through sigmoids, u less 1 before its own

    Dreamer V2 (Hafner et al., 2021), as released, which has a layer norm, and a bias before it.
    """

    def __init__(self, *, input_size: int, hidden_size: int, norm: Norm) -> None:
        super().__init__()
        self.gates = nn.Linear(input_size + hidden_size, 3 * hidden_size)
        self.norm = NORMS[norm](3 * hidden_size)
        glorot(self)

    def forward(self, values: Float[Tensor, "N I"], hidden: Float[Tensor, "N D"]) -> Float[Tensor, "N D"]:
        return gated(self.norm(self.gates(torch.cat([values, hidden], dim=-1))), hidden)


def gated(gates: Float[Tensor, "*N G"], hidden: Float[Tensor, "*N D"]) -> Float[Tensor, "*N D"]:
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


def hidden_layers(*, input_size: int, layers: int, units: int, activation: Activation, norm: Norm) -> list[nn.Module]:
    """`layers` linear maps to `units`, each followed by its norm and the activation."""
    stack: list[nn.Module] = []
    for size, following in pairwise([input_size] + [units] * layers):
        stack += [nn.Linear(size, following), *normed(norm, following), ACTIVATIONS[activation]()]
    return stack


@final
class MLP(nn.Module):
    """`layers` hidden layers of `units`, and a linear output whose first weights are multiplied by `output_scale`."""

    def __init__(
        self,
        *,
        input_size: int,
        output_size: int,
        layers: int,
        units: int,
        activation: Activation,
        norm: Norm = "none",
        initial_weights: InitialWeights = "glorot",
        output_scale: float = 1.0,
    ) -> None:
        super().__init__()
        hidden = hidden_layers(input_size=input_size, layers=layers, units=units, activation=activation, norm=norm)
        last = nn.Linear(units if layers else input_size, output_size)
        self.net = INITIAL_WEIGHTS[initial_weights](nn.Sequential(*hidden, last))
        with torch.no_grad():
            last.weight.mul_(output_scale)

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
    """Move a slow copy toward its source: `target += rate (source - target)`; a rate of 1 copies."""
    torch._foreach_lerp_(list(target.parameters()), list(source.parameters()), rate)
