"""The continuation of the episode."""

from collections.abc import Mapping
from typing import final

from dm_env import specs
from jaxtyping import Float
from torch import Tensor

from framework import heads
from framework.data import Batch
from framework.errors import UserError
from framework.functional.distributions import Bernoulli
from framework.heads.base import Head
from framework.nn.blocks import MLP, Activation, InitialWeights, Norm
from framework.specs import LatentSpec


@final
@heads.register
class ContinuationHead(Head):
    """Dreamer's continuation predictor: `q(c_t | s_t)`, the probability that step `t` is not terminal; a time limit is no termination.

    *Dream to Control*, Appendix A: three layers of 400 ELU units; omitted on the control suite, whose episodes end by time alone.
    Dreamer V2 and V3 as released predict `discount` times the continuation, with a discount of 1 in the behavior; a `discount` of 1 here
    with the behavior's own is equivalent where the prediction is exact.
    """

    def __init__(
        self,
        *,
        latent: LatentSpec,
        target: Mapping[str, specs.Array] | None = None,
        scale: float = 1.0,
        layers: int = 3,
        units: int = 400,
        activation: Activation = "elu",
        norm: Norm = "none",
        initial_weights: InitialWeights = "glorot",
        discount: float = 1.0,
    ) -> None:
        super().__init__(latent=latent, target=target, scale=scale)
        if not 0 < discount <= 1:
            raise UserError(f"ContinuationHead.discount = {discount} must lie above 0 and be at most 1.")
        self.net = MLP(
            input_size=latent.feature_size,
            output_size=1,
            layers=layers,
            units=units,
            activation=activation,
            norm=norm,
            initial_weights=initial_weights,
        )
        self.discount = discount

    def forward(self, features: Float[Tensor, "*B F"]) -> Bernoulli:
        return Bernoulli(self.net(features).squeeze(-1))

    def loss(self, features: Float[Tensor, "B T F"], batch: Batch) -> Float[Tensor, "B T"]:
        return -self(features).log_density(self.discount * (~batch.is_terminal).float())
