"""Layers that components share, and the initialization of their weights."""

import math
from collections.abc import Callable
from itertools import chain, pairwise, repeat
from typing import Any, Final, Literal, final

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from framework.errors import UserError

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
"""Layer norms as in Dreamer V2, root-mean-square norms as in Dreamer V3 since 2024, with their epsilons."""


@final
class BlockLinear(nn.Module):
    """A linear map with a block-diagonal matrix; blocks are the first axis of input and output."""

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
    """A linear map of two concatenated vectors, which can be applied to each alone: `W [x, y] + b = first(x) + second(y)`.

    The part without recurrence is computed before the loop; the weights stay one tensor for initialization and clipping.
    """

    def __init__(self, *, first_size: int, second_size: int, output_size: int) -> None:
        super().__init__(first_size + second_size, output_size)
        self.first_size = first_size

    def first(self, values: Float[Tensor, "*B X"]) -> Float[Tensor, "*B O"]:
        return F.linear(values, self.weight[:, : self.first_size], self.bias)

    def second(self, values: Float[Tensor, "*B Y"]) -> Float[Tensor, "*B O"]:
        return F.linear(values, self.weight[:, self.first_size :])


def glorot(module: nn.Module) -> nn.Module:
    """Initialize every linear layer and convolution in a module as Keras does, as in Dreamer V1 and V2; returns the module."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return module


TRUNCATION: Final = 2.0
"""The truncation of a normal distribution, in its standard deviations."""
TRUNCATED_STD: Final = 0.8796256610342398
"""The standard deviation of the truncated normal, as a share of the untruncated one."""


def truncated_normal(module: nn.Module) -> nn.Module:
    """Initialize every linear, block-linear and convolutional layer in a module as Dreamer V3 does; returns the module.

    A normal distribution truncated at two standard deviations, with variance one over the fan-in; zero bias. The fan-in of a block-linear
    map is its whole input, so that its outputs are smaller by the square root of the number of blocks.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d | BlockLinear):
            fan_in = layer.weight.shape[:2].numel() if isinstance(layer, BlockLinear) else layer.weight[0].numel()
            std = fan_in**-0.5 / TRUNCATED_STD
            nn.init.trunc_normal_(layer.weight, std=std, a=-TRUNCATION * std, b=TRUNCATION * std)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return module


InitialWeights = Literal["glorot", "truncated_normal"]
INITIAL_WEIGHTS: dict[str, Callable[[nn.Module], nn.Module]] = {"glorot": glorot, "truncated_normal": truncated_normal}


@final
class NormGRUCell(nn.Module):
    """A GRU with one normalized product for all gates, and a negative bias of the update gate.

        r, c, u = norm(W [x, h]),    h' = u tanh(r c) + (1 - u) h,    r and u through sigmoids, u less 1 before its own

    Dreamer V2 (Hafner et al., 2021), as released, with a layer norm and a bias before it.
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


def gru_cell(input_size: int, hidden_size: int, norm: Norm = "none") -> nn.GRUCell | NormGRUCell:
    """A GRU cell with Glorot input and orthogonal recurrent kernels, as Keras has it, or with a norm that of Dreamer V2."""
    if norm != "none":
        return NormGRUCell(input_size=input_size, hidden_size=hidden_size, norm=norm)
    cell = nn.GRUCell(input_size, hidden_size)
    nn.init.xavier_uniform_(cell.weight_ih)
    nn.init.orthogonal_(cell.weight_hh)
    nn.init.zeros_(cell.bias_ih)
    nn.init.zeros_(cell.bias_hh)
    return cell


@final
class ChannelRMSNorm(nn.Module):
    """A root-mean-square norm over the channels of each pixel of images `[N, C, Y, X]`."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = NORMS["rms"](channels)

    def forward(self, images: Float[Tensor, "N C Y X"]) -> Float[Tensor, "N C Y X"]:
        return rearrange(self.norm(rearrange(images, "n c y x -> n y x c")), "n y x c -> n c y x")


def hidden_layers(*, input_size: int, layers: int, units: int, activation: Activation, norm: Norm) -> list[nn.Module]:
    """`layers` linear maps to `units`, each followed by its norm and the activation."""
    if layers < 0:
        raise ValueError(f"a negative number of layers, {layers}")
    stack: list[nn.Module] = []
    for size, following in pairwise(chain((input_size,), repeat(units, layers))):
        norms = [] if norm == "none" else [NORMS[norm](following)]
        stack += [nn.Linear(size, following), *norms, ACTIVATIONS[activation]()]
    return stack


@final
class MLP(nn.Module):
    """`layers` hidden layers of `units`, and a linear output layer whose initial weights are multiplied by `output_scale`."""

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


def limited(value: Float[Tensor, ""], limit: float) -> Float[Tensor, ""]:
    """`min(value, limit)`.

    Gradients: beyond the limit only positive ones pass, which lower the value in gradient descent. With `clamp` all are zero there, and
    the parameter would stay beyond the limit.
    """
    result: Tensor = _Limited.apply(value, limit)
    return result


@final
class _Limited(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor, limit: float) -> Tensor:
        ctx.save_for_backward(value)
        ctx.limit = limit
        return value.clamp(max=limit)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (value,) = ctx.saved_tensors
        (gradient,) = gradients
        return gradient.where((value <= ctx.limit) | (gradient > 0), 0.0), None


LARGEST_SCALE: Final = 100.0
"""The limit in CLIP."""


@final
class Temperature(nn.Module):
    """The temperature of scores, fixed, or learned as in CLIP (Radford et al., 2021): its inverse is `exp(log_scale)`, at most 100.

    `owner` is the component with the settings `temperature`, the number, and `temperature_kind`. Gradients: those of `limited`.
    """

    def __init__(self, *, owner: str, kind: Literal["fixed", "learned"], initial: float) -> None:
        super().__init__()
        minimum = {"fixed": 0.0, "learned": 1 / LARGEST_SCALE}[kind]
        if not initial > 0 or initial < minimum:
            allowed = f"at least {minimum} where it is learned" if kind == "learned" else "positive"
            raise UserError(f"{owner}.temperature = {initial} must be {allowed}; 0.07 is usual for cosines, 1.0 leaves scores alone.")
        log_scale = torch.tensor(-math.log(initial))
        self.log_scale: Tensor
        if kind == "learned":
            self.register_parameter("log_scale", nn.Parameter(log_scale))
        else:
            self.register_buffer("log_scale", log_scale, persistent=False)
        self.limit = {"fixed": math.inf, "learned": math.log(LARGEST_SCALE)}[kind]

    @property
    def scale(self) -> Float[Tensor, ""]:
        """One over the temperature."""
        return limited(self.log_scale, self.limit).exp()


@torch.no_grad()
def copy_parameters(*, source: nn.Module, target: nn.Module, rate: float) -> None:
    """Move a slow copy toward its source: `target += rate (source - target)`; a rate of 1 copies."""
    torch._foreach_lerp_(list(target.parameters()), list(source.parameters()), rate)
