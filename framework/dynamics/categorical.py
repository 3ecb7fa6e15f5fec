"""What dynamics with discrete latents share."""

from abc import abstractmethod
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from framework.data import Latent, LatentKind, LatentSpec, Losses, Metrics
from framework.dynamics.balanced_kl_loss import balanced_kl_loss, check_balance
from framework.dynamics.base import Dynamics, Prepared
from framework.functional.categorical import categorical_kl, gumbel, mixed_log_probabilities, straight_through
from framework.functional.kl import FreeNats


class CategoricalDynamics(Dynamics):
    """`z` as `groups` one-hot vectors of `classes` with straight-through gradients; a subclass gives the path and the logits of the prior.

    Every distribution is mixed with a share `unimix` of the uniform one, in samples and divergence alike. Noise is Gumbel noise.

    Gradients: straight through the samples; with a balance, each side of the divergence is detached in the other's term.
    """

    latent_kind: ClassVar[LatentKind] = "categorical"

    def __init__(
        self,
        *,
        embedding_size: int,
        action_size: int,
        deterministic: int,
        groups: int,
        classes: int,
        unimix: float,
        free_nats: float,
        free_nats_on: FreeNats,
        balance: float | None,
        kl_scale: float,
    ) -> None:
        super().__init__(embedding_size=embedding_size, action_size=action_size, kl_scale=kl_scale)
        check_balance(type(self).__name__, balance)
        self.latent = LatentSpec(deterministic=deterministic, stochastic=groups * classes, kind="categorical", classes=classes)
        self.classes, self.unimix, self.balance = classes, unimix, balance
        self.free_nats, self.free_nats_on = free_nats, free_nats_on

    @abstractmethod
    def prior_logits(self, deterministic: Float[Tensor, "*B D"]) -> Float[Tensor, "*B Z"]: ...

    def initial(self, size: int) -> Latent:
        zeros = next(self.parameters()).new_zeros
        stochastic = zeros(size, self.latent.stochastic)
        return Latent(deterministic=zeros(size, self.latent.deterministic), stochastic=stochastic, statistics={"logits": stochastic})

    def draw_noise(self, *leading: int, generator: torch.Generator) -> Float[Tensor, "*B Z"]:
        return gumbel(*leading, self.latent.stochastic, generator=generator)

    def finish(self, posterior: Latent) -> tuple[Latent, Latent]:
        logits = self.prior_logits(posterior.deterministic)
        return posterior, self._latent(posterior.deterministic, logits, torch.zeros_like(posterior.stochastic))

    def kl_loss(self, posterior: Latent, prior: Latent) -> tuple[Losses, Metrics]:
        losses, metrics = balanced_kl_loss(
            posterior,
            prior,
            kl=lambda one, other: categorical_kl(one.statistics["logits"], other.statistics["logits"]),
            balance=self.balance,
            free_nats=self.free_nats,
            free_nats_on=self.free_nats_on,
        )
        return losses, metrics | {"model/prior_entropy": _entropy(prior), "model/posterior_entropy": _entropy(posterior)}

    def _latent(self, deterministic: Tensor, logits: Tensor, noise: Tensor) -> Latent:
        found = mixed_log_probabilities(logits, self.classes, self.unimix)
        return Latent(deterministic=deterministic, stochastic=straight_through(found, noise, self.classes), statistics={"logits": found})


class CategoricalRecurrence(CategoricalDynamics):
    """A discrete latent whose path is a function of the step before, and whose posterior sees the path and the embedding."""

    @abstractmethod
    def from_embeddings(self, embedding: Float[Tensor, "B T E"]) -> Float[Tensor, "B T U"]:
        """What the posterior takes from an embedding."""

    @abstractmethod
    def from_actions(self, action: Float[Tensor, "*B A"]) -> Float[Tensor, "*B U"]:
        """What the path takes from an action."""

    @abstractmethod
    def advance(
        self, stochastic: Float[Tensor, "N Z"], deterministic: Float[Tensor, "N D"], from_action: Float[Tensor, "N U"]
    ) -> Float[Tensor, "N D"]:
        """The deterministic path, one step on."""

    @abstractmethod
    def posterior_logits(self, deterministic: Float[Tensor, "*B D"], from_embedding: Float[Tensor, "*B U"]) -> Float[Tensor, "*B Z"]: ...

    def imagine_step(self, latent: Latent, action: Float[Tensor, "N A"], noise: Float[Tensor, "N Z"]) -> Latent:
        deterministic = self.advance(latent.stochastic, latent.deterministic, self.from_actions(action)).float()
        return self._latent(deterministic, self.prior_logits(deterministic), noise)

    def prepare(self, embedding: Float[Tensor, "B T E"], action: Float[Tensor, "B T A"], is_first: Bool[Tensor, "B T"]) -> Prepared:
        kept = (~is_first).unsqueeze(-1).to(action.dtype)
        return kept, self.from_actions(action * kept), self.from_embeddings(embedding)

    def recur(self, latent: Latent, prepared: Prepared, noise: Float[Tensor, "N Z"]) -> Latent:
        kept, from_action, from_embedding = prepared
        deterministic = self.advance(latent.stochastic * kept, latent.deterministic * kept, from_action).float()
        return self._latent(deterministic, self.posterior_logits(deterministic, from_embedding), noise)


def _entropy(latent: Latent) -> Tensor:
    """In nats, summed over the groups."""
    found = latent.statistics["logits"]
    return -(found.exp() * found).sum(dim=-1).mean()
