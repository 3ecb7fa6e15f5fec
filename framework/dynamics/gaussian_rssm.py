"""The recurrent state-space model of PlaNet and Dreamer V1."""

from typing import final

from jaxtyping import Float
from torch import Tensor, nn

from framework import dynamics
from framework.dynamics.balanced_kl_loss import KLSettings
from framework.dynamics.base import Prepared
from framework.dynamics.gaussian import GaussianDynamics, Normal, StdFunction
from framework.functional.kl import FreeNats
from framework.nn.blocks import Activation, JoinedLinear, Norm, glorot


@final
@dynamics.register
class GaussianRSSM(GaussianDynamics):
    """Dreamer V1's and PlaNet's recurrent state-space model: a GRU for `h`, and a diagonal-Gaussian `z`.

        h_t = GRU(h_{t-1}, ELU(W [z_{t-1}, a_{t-1}]))
        prior      z_t ~ N(mu, sigma) of ELU(W h_t)
        posterior  z_t ~ N(mu, sigma) of ELU(W [h_t, e_t]),     sigma = std_function(.) + minimum_std

    Hafner et al. (2019), *Learning Latent Dynamics*; *Dream to Control*, Appendix A: 200 and 30 units, 3 free nats. The papers do not
    balance the KL (`balance = None`); a balance `b` is Dreamer V2's `b KL(sg(posterior) || prior) + (1 - b) KL(posterior || sg(prior))`.
    Dreamer V2's code has `std_function = 'sigmoid2'`, `2 sigmoid(. / 2)`, and its own GRU with `cell_norm = 'layer'`.

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
        std_function: StdFunction = "softplus",
        activation: Activation = "elu",
        cell_norm: Norm = "none",
        free_nats: float = 3.0,
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
            std_function=std_function,
            activation=activation,
            cell_norm=cell_norm,
            kl=KLSettings(free_nats=free_nats, free_nats_on=free_nats_on, balance=balance, scale=kl_scale),
        )
        self.posterior_hidden = JoinedLinear(first_size=deterministic, second_size=embedding_size, output_size=hidden)
        self.posterior_statistics = nn.Linear(hidden, 2 * stochastic)
        for layer in (self.posterior_hidden, self.posterior_statistics):
            glorot(layer)

    def from_embeddings(self, embedding: Float[Tensor, "B T E"]) -> Prepared:
        return (self.posterior_hidden.second(embedding),)

    def posterior_normal(self, deterministic: Float[Tensor, "N D"], *from_embedding: Tensor) -> Normal:
        hidden = self.activation(self.posterior_hidden.first(deterministic) + from_embedding[0])
        return self.normal(self.posterior_statistics(hidden))
