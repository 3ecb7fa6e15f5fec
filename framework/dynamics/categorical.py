"""Dynamics with categorical latents."""

from abc import abstractmethod
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from framework.data import Latent, Losses, Metrics, detached
from framework.dynamics.balanced_kl_loss import KLSettings, balanced_kl_loss
from framework.dynamics.base import Dynamics, Prepared
from framework.functional.categorical import categorical_kl, gumbel, mixed_log_probabilities, straight_through
from framework.specs import LatentKind, LatentSpec


class CategoricalDynamics(Dynamics):
    """A latent `z` of `groups` one-hot vectors of `classes`; a subclass gives the deterministic path and the logits of the prior.

    Every distribution is mixed with a share `unimix` of the uniform one, in samples and KL alike. The noise is Gumbel.

    Gradients: straight through the samples; with a balance, each side of the KL is detached in the other's term.
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
        kl: KLSettings,
    ) -> None:
        super().__init__(embedding_size=embedding_size, action_size=action_size, kl_scale=kl.scale)
        kl.check(type(self).__name__)
        self.latent = LatentSpec(deterministic=deterministic, stochastic=groups * classes, kind="categorical", classes=classes)
        self.classes, self.unimix, self.kl = classes, unimix, kl

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
        losses, metrics = balanced_kl_loss(posterior, prior, kl=_kl, settings=self.kl)
        entropies = {"model/prior_entropy": _entropy(prior), "model/posterior_entropy": _entropy(posterior)}
        return losses, detached(metrics | entropies)

    def _latent(self, deterministic: Tensor, logits: Tensor, noise: Tensor) -> Latent:
        logits = mixed_log_probabilities(logits, self.classes, self.unimix)
        return Latent(deterministic=deterministic, stochastic=straight_through(logits, noise, self.classes), statistics={"logits": logits})


class CategoricalRecurrence(CategoricalDynamics):
    """A recurrent deterministic path, and a posterior from this path and the embedding."""

    @abstractmethod
    def from_embeddings(self, embedding: Float[Tensor, "B T E"]) -> Float[Tensor, "B T U"]:
        """The part of the posterior's input that comes from the embedding."""

    @abstractmethod
    def from_actions(self, action: Float[Tensor, "*B A"]) -> Float[Tensor, "*B U"]:
        """The part of the recurrence's input that comes from the action."""

    @abstractmethod
    def advance(
        self, stochastic: Float[Tensor, "N Z"], deterministic: Float[Tensor, "N D"], from_action: Float[Tensor, "N U"]
    ) -> Float[Tensor, "N D"]:
        """The next step of the deterministic path."""

    @abstractmethod
    def posterior_logits(self, deterministic: Float[Tensor, "*B D"], from_embedding: Float[Tensor, "*B U"]) -> Float[Tensor, "*B Z"]: ...

    def imagine_step(self, latent: Latent, action: Float[Tensor, "N A"], noise: Float[Tensor, "N Z"]) -> Latent:
        deterministic = self.advance(latent.stochastic, latent.deterministic, self.from_actions(action)).float()
        return self._latent(deterministic, self.prior_logits(deterministic), noise)

    def prepare(self, embedding: Float[Tensor, "B T E"], action: Float[Tensor, "B T A"], is_first: Bool[Tensor, "B T"]) -> Prepared:
        first = is_first.unsqueeze(-1)
        return first, self.from_actions(action.masked_fill(first, 0.0)), self.from_embeddings(embedding)

    def recur(self, latent: Latent, prepared: Prepared, noise: Float[Tensor, "N Z"]) -> Latent:
        first, from_action, from_embedding = prepared
        before = latent.stochastic.masked_fill(first, 0.0), latent.deterministic.masked_fill(first, 0.0)
        deterministic = self.advance(*before, from_action).float()
        return self._latent(deterministic, self.posterior_logits(deterministic, from_embedding), noise)


def _kl(posterior: Latent, prior: Latent) -> Tensor:
    return categorical_kl(posterior.statistics["logits"], prior.statistics["logits"])


def _entropy(latent: Latent) -> Tensor:
    """The mean entropy in nats, summed over the groups."""
    logits = latent.statistics["logits"]
    return -(logits.exp() * logits).sum(dim=-1).mean()
