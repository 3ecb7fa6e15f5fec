"""Whether the episode goes on."""

from typing import final

from dm_env import specs
from jaxtyping import Float
from torch import Tensor

from framework import heads
from framework.blocks import MLP, Activation
from framework.data import Batch
from framework.functional.distributions import Bernoulli
from framework.heads.base import Head


@final
@heads.register
class ContinuationHead(Head):
    """`q(c_t | s_t)`, the probability that step `t` is not terminal; a time limit is no termination.

    *Dream to Control*, Appendix A: three layers of 400 ELU units. The paper leaves it out on the control suite, whose episodes end
    by time alone.
    """

    def __init__(
        self,
        *,
        feature_size: int,
        target: tuple[str, specs.Array] | None = None,
        layers: int = 3,
        units: int = 400,
        activation: Activation = "elu",
    ) -> None:
        super().__init__(feature_size=feature_size, target=target)
        self.net = MLP(input_size=feature_size, output_size=1, layers=layers, units=units, activation=activation)

    def forward(self, features: Float[Tensor, "*B F"]) -> Bernoulli:
        return Bernoulli(self.net(features).squeeze(-1))

    def loss(self, features: Float[Tensor, "B T F"], batch: Batch) -> Float[Tensor, "B T"]:
        return -self(features).log_density((~batch.is_terminal).float())
