"""A state-space model whose posterior depends on the observation alone."""

from typing import Literal, final

from jaxtyping import Float
from torch import Tensor

from framework import dynamics
from framework.dynamics.balanced_kl_loss import KLSettings
from framework.dynamics.base import Prepared
from framework.dynamics.gaussian import GaussianDynamics, Normal
from framework.errors import UserError
from framework.functional.kl import FreeNats
from framework.nn.blocks import MLP, Activation


@final
@dynamics.register
class MemorylessSSM(GaussianDynamics):
    """TPC's state-space model: the posterior `q(z_t | o_t)` has no history, the prior `p(z_t | h_t)` has nothing else.

        h_t = GRU(h_{t-1}, act(W [z_{t-1}, a_{t-1}])),    prior N(mu, sigma) of act(W h_t),    posterior N(mu, sigma) of MLP(e_t)

    *Temporal Predictive Coding* (Nguyen et al., 2021): a prediction of `z_t` comes from `h_t` alone, so that an objective can train it
    without the posterior's history. Standard deviations are `softplus(.) + minimum_std`. TPC has no KL, and its posterior the prior's
    sigma: `deviation = 'prior'` with `kl_scale = 0.0`. Another objective needs the KL to train the prior, and a sigma that is `'learned'`.

    Gradients: where sigma is the prior's, none to it through the posterior; with a balance, each side of the KL is detached in the other's
    term.
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
        deviation: Literal["learned", "prior"] = "learned",
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
        if deviation == "prior" and kl_scale:
            raise UserError(
                f"MemorylessSSM.kl_scale = {kl_scale} with MemorylessSSM.deviation = 'prior' is a KL that falls as the deviation that both "
                "share grows, without bound; bind MemorylessSSM.kl_scale = 0.0, or MemorylessSSM.deviation = 'learned'."
            )
        self.deviation, outputs = deviation, {"learned": 2 * stochastic, "prior": stochastic}[deviation]
        self.posterior = MLP(input_size=embedding_size, output_size=outputs, layers=1, units=hidden, activation=activation)

    def from_embeddings(self, embedding: Float[Tensor, "B T E"]) -> Prepared:
        outputs = self.posterior(embedding)
        return self.normal(outputs) if self.deviation == "learned" else (outputs.float(),)

    def posterior_normal(self, deterministic: Float[Tensor, "N D"], *from_embedding: Tensor) -> Normal:
        mean, *std = from_embedding
        return mean, std[0] if std else self.prior_normal(deterministic)[1].detach()
