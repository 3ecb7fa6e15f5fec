"""The recurrent state-space model of PlaNet and Dreamer V1."""

from typing import ClassVar, final

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from framework import dynamics
from framework.blocks import ACTIVATIONS, Activation, glorot, gru_cell
from framework.data import Latent, LatentKind, LatentSpec, Losses, Metrics
from framework.dynamics.base import Dynamics, Prepared
from framework.dynamics.charge import charge, check_balance
from framework.functional.divergence import FreeNats, gaussian_divergence


@final
@dynamics.register
class GaussianRSSM(Dynamics):
    """Deterministic path `h`, diagonal-Gaussian `z`.

        h_t = GRU(h_{t-1}, ELU(W [z_{t-1}, a_{t-1}]))
        prior      z_t ~ N(mu, sigma) of ELU(W h_t)
        posterior  z_t ~ N(mu, sigma) of ELU(W [h_t, e_t]),     sigma = softplus(.) + minimum_std

    Hafner et al. (2019), *Learning Latent Dynamics*; *Dream to Control*, Appendix A: 200 and 30 units, 3 free nats. The paper does not
    balance the divergence: `balance = None` sends its gradient to both sides alike; `b` is Dreamer V2's
    `b KL(sg(posterior) || prior) + (1 - b) KL(posterior || sg(prior))`.

    Gradients: with a balance, each side of the divergence is detached in the other's term; nothing else is.
    """

    latent_kind: ClassVar[LatentKind] = "gaussian"

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
        free_nats: float = 3.0,
        free_nats_on: FreeNats = "mean",
        balance: float | None = None,
    ) -> None:
        super().__init__(embedding_size=embedding_size, action_size=action_size)
        check_balance("GaussianRSSM", balance)
        self.latent = LatentSpec(deterministic=deterministic, stochastic=stochastic, kind="gaussian")
        self.minimum_std, self.balance = minimum_std, balance
        self.free_nats, self.free_nats_on = free_nats, free_nats_on
        self.activation = ACTIVATIONS[activation]()
        self.from_latent = nn.Linear(stochastic, hidden)
        self.from_action = nn.Linear(action_size, hidden, bias=False)
        self.prior_hidden = nn.Linear(deterministic, hidden)
        self.prior_statistics = nn.Linear(hidden, 2 * stochastic)
        self.posterior_hidden = nn.Linear(deterministic, hidden)
        self.from_embedding = nn.Linear(embedding_size, hidden, bias=False)
        self.posterior_statistics = nn.Linear(hidden, 2 * stochastic)
        glorot(self)
        self.cell = gru_cell(hidden, deterministic)

    def initial(self, size: int) -> Latent:
        zeros = self.from_latent.weight.new_zeros
        stochastic = zeros(size, self.latent.stochastic)
        return Latent(
            deterministic=zeros(size, self.latent.deterministic),
            stochastic=stochastic,
            statistics={"mean": stochastic, "std": stochastic + 1.0},
        )

    def draw_noise(self, *leading: int, generator: torch.Generator) -> Float[Tensor, "*B Z"]:
        return torch.randn(*leading, self.latent.stochastic, generator=generator, device=generator.device)

    def imagine_step(self, latent: Latent, action: Float[Tensor, "N A"], noise: Float[Tensor, "N Z"]) -> Latent:
        deterministic = self._advance(latent.stochastic, latent.deterministic, self.from_action(action))
        hidden = self.activation(self.prior_hidden(deterministic))
        return self._latent(deterministic, self.prior_statistics(hidden), noise)

    def prepare(self, embedding: Float[Tensor, "B T E"], action: Float[Tensor, "B T A"], is_first: Bool[Tensor, "B T"]) -> Prepared:
        kept = (~is_first).unsqueeze(-1).to(action.dtype)
        return kept, self.from_action(action * kept), self.from_embedding(embedding)

    def recur(self, latent: Latent, prepared: Prepared, noise: Float[Tensor, "N Z"]) -> Latent:
        kept, from_action, from_embedding = prepared
        deterministic = self._advance(latent.stochastic * kept, latent.deterministic * kept, from_action)
        hidden = self.activation(self.posterior_hidden(deterministic) + from_embedding)
        return self._latent(deterministic, self.posterior_statistics(hidden), noise)

    def finish(self, posterior: Latent) -> tuple[Latent, Latent]:
        hidden = self.activation(self.prior_hidden(posterior.deterministic))
        mean, std = self._split(self.prior_statistics(hidden))
        prior = Latent(deterministic=posterior.deterministic, stochastic=mean, statistics={"mean": mean, "std": std})
        return posterior, prior

    def divergence(self, posterior: Latent, prior: Latent) -> tuple[Losses, Metrics]:
        losses, metrics = charge(
            posterior,
            prior,
            divergence=between_gaussians,
            balance=self.balance,
            free_nats=self.free_nats,
            free_nats_on=self.free_nats_on,
        )
        spread = {"model/prior_std": prior.statistics["std"].mean(), "model/posterior_std": posterior.statistics["std"].mean()}
        return losses, metrics | spread

    def _advance(self, stochastic: Tensor, deterministic: Tensor, from_action: Tensor) -> Tensor:
        hidden = self.activation(self.from_latent(stochastic) + from_action)
        return self.cell(hidden, deterministic).float()

    def _split(self, statistics: Tensor) -> tuple[Tensor, Tensor]:
        mean, std = statistics.float().chunk(2, dim=-1)
        return mean, F.softplus(std) + self.minimum_std

    def _latent(self, deterministic: Tensor, statistics: Tensor, noise: Tensor) -> Latent:
        mean, std = self._split(statistics)
        return Latent(deterministic=deterministic, stochastic=mean + std * noise, statistics={"mean": mean, "std": std})


def between_gaussians(posterior: Latent, prior: Latent) -> Tensor:
    """The divergence of two Gaussian latents, in nats."""
    return gaussian_divergence(posterior.statistics["mean"], posterior.statistics["std"], prior.statistics["mean"], prior.statistics["std"])
