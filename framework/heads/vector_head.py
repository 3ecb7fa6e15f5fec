"""A decoder of vectors."""

from collections.abc import Callable, Mapping
from math import prod
from typing import Literal, final

import torch
from dm_env import specs
from jaxtyping import Float
from torch import Tensor

from framework import heads
from framework.data import Batch
from framework.errors import UserError
from framework.functional.distributions import SymlogError, UnitNormal
from framework.heads.base import Head, Prediction, described
from framework.nn.blocks import MLP, Activation, InitialWeights, Norm
from framework.specs import LatentSpec

LIKELIHOODS: Mapping[str, Callable[[Tensor, int], Prediction]] = {"normal": UnitNormal, "symlog": SymlogError}


@final
@heads.register
class VectorHead(Head):
    """Dreamer's decoder of vectors: a perceptron for the concatenated vectors of the observation, in the order of their names.

    `likelihood = 'normal'` is `N(mu(s_t), I)`; `'symlog'` is Dreamer V3's squared error of `sign(x) log(1 + |x|)`, with three layers of
    SiLU units and root-mean-square norms there. Both are summed over the elements.
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
        likelihood: Literal["normal", "symlog"] = "normal",
    ) -> None:
        super().__init__(latent=latent, target=target, scale=scale)
        if not target or any(len(spec.shape) > 1 for spec in target.values()):
            raise UserError(
                f"VectorHead decodes vectors of the observation, not {described(target)}; name some in Reconstruction.decoders."
            )
        self.names = sorted(target)
        self.net = MLP(
            input_size=latent.feature_size,
            output_size=sum(prod(spec.shape) for spec in target.values()),
            layers=layers,
            units=units,
            activation=activation,
            norm=norm,
            initial_weights=initial_weights,
        )
        self.likelihood = LIKELIHOODS[likelihood]

    def forward(self, features: Float[Tensor, "*B F"]) -> Prediction:
        return self.likelihood(self.net(features).float(), 1)

    def loss(self, features: Float[Tensor, "B T F"], batch: Batch) -> Float[Tensor, "B T"]:
        values = [batch.observation[name].reshape(*features.shape[:-1], -1).float() for name in self.names]
        return -self(features).log_density(torch.cat(values, dim=-1))
