"""Dreamer V1's value."""

from typing import final

from jaxtyping import Float
from torch import Tensor

from framework import values
from framework.functional.distributions import UnitNormal
from framework.nn.blocks import MLP, Activation
from framework.values.slow_copy import NetworkValue


@final
@values.register
class NormalValue(NetworkValue):
    """Dreamer V1's value: `N(v(s), 1)`, whose loss is half the squared error; *Dream to Control*, Appendix A.

    Three layers of 400 ELU units. The paper bootstraps from the value itself (`slow_rate = 1`); a rate below 1 bootstraps from a copy
    that moves by that share of the way, after every `slow_every`-th update (Dreamer V2: a rate of 1 every 100).
    """

    def __init__(
        self,
        *,
        feature_size: int,
        layers: int = 3,
        units: int = 400,
        activation: Activation = "elu",
        slow_rate: float = 1.0,
        slow_every: int = 1,
    ) -> None:
        net = MLP(input_size=feature_size, output_size=1, layers=layers, units=units, activation=activation)
        super().__init__(feature_size=feature_size, net=net, slow_rate=slow_rate, slow_every=slow_every)

    def value_of(self, outputs: Float[Tensor, "*B O"]) -> Float[Tensor, "*B"]:
        return outputs.squeeze(-1).float()

    def loss(self, features: Float[Tensor, "*B F"], target: Float[Tensor, "*B"]) -> Float[Tensor, "*B"]:
        return -UnitNormal(self(features)).log_density(target)
