"""A state-space model whose posterior sees the observation alone."""

from typing import ClassVar, final

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from framework import dynamics
from framework.blocks import ACTIVATIONS, MLP, Activation, glorot, gru_cell
from framework.data import Latent, LatentKind, LatentSpec, Losses, Metrics
from framework.dynamics.base import Dynamics, Prepared
from framework.dynamics.charge import charge, check_balance
from framework.dynamics.gaussian_rssm import between_gaussians
from framework.functional.divergence import FreeNats


@final
@dynamics.register
class MemorylessSSM(Dynamics):
    """`q(z_t | o_t)` knows no history, which lives in `h` and the prior `p(z_t | h_t)` alone.

        h_t = GRU(h_{t-1}, act(W [z_{t-1}, a_{t-1}])),    prior N(mu, sigma) of act(W h_t),    posterior N(mu, sigma) of MLP(e_t)

    *Temporal Predictive Coding* (Nguyen et al., 2021): what is predictable of `z_t` must come from `h_t`, and an objective can ask
    for it without the posterior's help. Stds are `softplus(.) + minimum_std`.

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
        free_nats: float = 0.0,
        free_nats_on: FreeNats = "mean",
        balance: float | None = None,
    ) -> None:
        super().__init__(embedding_size=embedding_size, action_size=action_size)
        check_balance("MemorylessSSM", balance)
        self.latent = LatentSpec(deterministic=deterministic, stochastic=stochastic, kind="gaussian")
        self.minimum_std, self.balance = minimum_std, balance
        self.free_nats, self.free_nats_on = free_nats, free_nats_on
        self.activation = ACTIVATIONS[activation]()
        self.from_latent = nn.Linear(stochastic, hidden)
        self.from_action = nn.Linear(action_size, hidden, bias=False)
        self.prior = MLP(input_size=deterministic, output_size=2 * stochastic, layers=1, units=hidden, activation=activation)
        self.posterior = MLP(input_size=embedding_size, output_size=2 * stochastic, layers=1, units=hidden, activation=activation)
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
        return self._latent(deterministic, *self._split(self.prior(deterministic)), noise)

    def prepare(self, embedding: Float[Tensor, "B T E"], action: Float[Tensor, "B T A"], is_first: Bool[Tensor, "B T"]) -> Prepared:
        kept = (~is_first).unsqueeze(-1).to(action.dtype)
        return kept, self.from_action(action * kept), *self._split(self.posterior(embedding))

    def recur(self, latent: Latent, prepared: Prepared, noise: Float[Tensor, "N Z"]) -> Latent:
        kept, from_action, mean, std = prepared
        deterministic = self._advance(latent.stochastic * kept, latent.deterministic * kept, from_action)
        return self._latent(deterministic, mean, std, noise)

    def finish(self, posterior: Latent) -> tuple[Latent, Latent]:
        mean, std = self._split(self.prior(posterior.deterministic))
        return posterior, self._latent(posterior.deterministic, mean, std, torch.zeros_like(mean))

    def divergence(self, posterior: Latent, prior: Latent) -> tuple[Losses, Metrics]:
        return charge(
            posterior,
            prior,
            divergence=between_gaussians,
            balance=self.balance,
            free_nats=self.free_nats,
            free_nats_on=self.free_nats_on,
        )

    def _advance(self, stochastic: Tensor, deterministic: Tensor, from_action: Tensor) -> Tensor:
        return self.cell(self.activation(self.from_latent(stochastic) + from_action), deterministic).float()

    def _split(self, statistics: Tensor) -> tuple[Tensor, Tensor]:
        mean, std = statistics.float().chunk(2, dim=-1)
        return mean, F.softplus(std) + self.minimum_std

    def _latent(self, deterministic: Tensor, mean: Tensor, std: Tensor, noise: Tensor) -> Latent:
        return Latent(deterministic=deterministic, stochastic=mean + std * noise, statistics={"mean": mean, "std": std})
