"""A state-space model whose posterior depends on the observation alone."""

from typing import final

from jaxtyping import Float
from torch import Tensor

from framework import dynamics
from framework.dynamics.balanced_kl_loss import KLSettings
from framework.dynamics.base import Prepared
from framework.dynamics.gaussian import GaussianDynamics, Normal
from framework.functional.kl import FreeNats
from framework.nn.blocks import MLP, Activation, glorot, gru_cell


@final
@dynamics.register
class MemorylessSSM(GaussianDynamics):
    """TPC's state-space model: the posterior `q(z_t | o_t)` has no history, the prior `p(z_t | h_t)` has nothing else.

        h_t = GRU(h_{t-1}, act(W [z_{t-1}, a_{t-1}])),    prior N(mu, sigma) of act(W h_t),    posterior N(mu, sigma) of MLP(e_t)

    *Temporal Predictive Coding* (Nguyen et al., 2021): a prediction of `z_t` comes from `h_t` alone, so that an objective can train it
    without the posterior's history. Standard deviations are `softplus(.) + minimum_std`.

    Gradients: with a balance, each side of the KL is detached in the other's term; nothing else is.
    """

    def __init__(
        self,
        *,
        embedding_size: int,
        action_size: int,
        deterministic: int = 200,
        stochastic: int = 30,
        hidden: int = 200,
        minimum_std: float = 0.1,
        activation: Activation = "elu",
        free_nats: float = 0.0,
        free_nats_on: FreeNats = "mean",
        balance: float | None = None,
        kl_scale: float = 1.0,
    ) -> None:
        super().__init__(
            embedding_size=embedding_size,
            action_size=action_size,
            deterministic=deterministic,
            stochastic=stochastic,
            hidden=hidden,
            minimum_std=minimum_std,
            activation=activation,
            kl=KLSettings(free_nats=free_nats, free_nats_on=free_nats_on, balance=balance, scale=kl_scale),
        )
        self.prior = MLP(input_size=deterministic, output_size=2 * stochastic, layers=1, units=hidden, activation=activation)
        self.posterior = MLP(input_size=embedding_size, output_size=2 * stochastic, layers=1, units=hidden, activation=activation)
        glorot(self)
        self.cell = gru_cell(hidden, deterministic)

    def from_embeddings(self, embedding: Float[Tensor, "B T E"]) -> Prepared:
        return self.normal(self.posterior(embedding))

    def prior_normal(self, deterministic: Float[Tensor, "*B D"]) -> Normal:
        return self.normal(self.prior(deterministic))

    def posterior_normal(self, deterministic: Float[Tensor, "N D"], *from_embedding: Tensor) -> Normal:
        mean, std = from_embedding
        return mean, std
