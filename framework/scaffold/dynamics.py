"""A dynamics of your own: a recurrent state-space model with a Gaussian latent, written out."""

from typing import ClassVar, final

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from framework import dynamics
from framework.data import Latent, Losses, Metrics
from framework.dynamics.base import Prepared
from framework.errors import UserError
from framework.functional.kl import gaussian_kl
from framework.specs import LatentKind, LatentSpec


@final
@dynamics.register
class MyComponent(dynamics.Dynamics):
    """A GRU for `h` and a diagonal-Gaussian `z`, each with one linear map.

        h_t = GRU([z_{t-1}, a_{t-1}], h_{t-1}),    prior N(mu, sigma) of W h_t,    posterior N(mu, sigma) of V [h_t, e_t]

    Gradients: the KL is minimized by prior and posterior alike; nothing is detached.
    """

    latent_kind: ClassVar[LatentKind] = "gaussian"

    def __init__(
        self, *, embedding_size: int, action_size: int, kl_scale: float = 1.0, deterministic: int = 64, stochastic: int = 16
    ) -> None:
        super().__init__(embedding_size=embedding_size, action_size=action_size, kl_scale=kl_scale)
        if min(deterministic, stochastic) < 1:
            raise UserError(f"MyComponent.deterministic = {deterministic} and MyComponent.stochastic = {stochastic} must be at least 1.")
        self.latent = LatentSpec(deterministic=deterministic, stochastic=stochastic, kind="gaussian")
        self.cell = nn.GRUCell(stochastic + action_size, deterministic)
        self.prior = nn.Linear(deterministic, 2 * stochastic)
        self.posterior = nn.Linear(deterministic + embedding_size, 2 * stochastic)

    def initial(self, size: int) -> Latent:
        stochastic = self.prior.weight.new_zeros(size, self.latent.stochastic)
        statistics = {"mean": stochastic, "std": torch.ones_like(stochastic)}
        return Latent(self.prior.weight.new_zeros(size, self.latent.deterministic), stochastic, statistics)

    def draw_noise(self, *leading: int, generator: torch.Generator) -> Float[Tensor, "*B Z"]:
        return torch.randn(*leading, self.latent.stochastic, generator=generator, device=generator.device)

    def imagine_step(self, latent: Latent, action: Float[Tensor, "N A"], noise: Float[Tensor, "N Z"]) -> Latent:
        deterministic = self.cell(torch.cat([latent.stochastic, action], dim=-1), latent.deterministic).float()
        return _sampled(deterministic, self.prior(deterministic), noise)

    def prepare(self, embedding: Float[Tensor, "B T E"], action: Float[Tensor, "B T A"], is_first: Bool[Tensor, "B T"]) -> Prepared:
        first = is_first.unsqueeze(-1)
        return first, action.masked_fill(first, 0.0), embedding

    def recur(self, latent: Latent, prepared: Prepared, noise: Float[Tensor, "N Z"]) -> Latent:
        first, action, embedding = prepared
        stochastic, before = latent.stochastic.masked_fill(first, 0.0), latent.deterministic.masked_fill(first, 0.0)
        deterministic = self.cell(torch.cat([stochastic, action], dim=-1), before).float()
        return _sampled(deterministic, self.posterior(torch.cat([deterministic, embedding], dim=-1)), noise)

    def finish(self, posterior: Latent) -> tuple[Latent, Latent]:
        prior = _sampled(posterior.deterministic, self.prior(posterior.deterministic), torch.zeros_like(posterior.stochastic))
        return posterior, prior

    def kl_loss(self, posterior: Latent, prior: Latent) -> tuple[Losses, Metrics]:
        one, other = posterior.statistics, prior.statistics
        kl = gaussian_kl(one["mean"], one["std"], other["mean"], other["std"])
        return {"kl": kl}, {"model/kl": kl.detach().mean()}


def _sampled(deterministic: Float[Tensor, "*B D"], outputs: Float[Tensor, "*B S"], noise: Float[Tensor, "*B Z"]) -> Latent:
    """The latent whose mean and deviation are the outputs of a linear map."""
    mean, raw = outputs.float().chunk(2, dim=-1)
    std = F.softplus(raw) + 0.1
    return Latent(deterministic, mean + std * noise, {"mean": mean, "std": std})
