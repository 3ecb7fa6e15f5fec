"""Dynamics with Gaussian latents."""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import ClassVar, Final, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from framework.data import Latent, Losses, Metrics, detached
from framework.dynamics.balanced_kl_loss import KLSettings, balanced_kl_loss
from framework.dynamics.base import Dynamics, Prepared
from framework.functional.kl import gaussian_kl
from framework.nn.blocks import ACTIVATIONS, MLP, Activation, JoinedLinear, Norm, glorot, gru_cell
from framework.specs import LatentKind, LatentSpec

Normal = tuple[Tensor, Tensor]
"""The mean and the standard deviation of a diagonal Gaussian."""
StdFunction = Literal["softplus", "sigmoid2"]
STD_FUNCTIONS: Final[Mapping[StdFunction, Callable[[Tensor], Tensor]]] = {
    "softplus": F.softplus,
    "sigmoid2": lambda raw: 2 * torch.sigmoid(raw / 2),
}
"""The standard deviation above its minimum: of Dreamer V1, and between 0 and 2 as released with Dreamer V2."""


class GaussianDynamics(Dynamics):
    """A GRU and a diagonal-Gaussian `z`; a subclass builds the network of the posterior.

        h_t = GRU(h_{t-1}, act(W [z_{t-1}, a_{t-1}])),    prior N(mu, sigma) of act(W h_t),    sigma = std_function(.) + minimum_std

    Gradients: with a balance, each side of the KL is detached in the other's term; nothing else is.
    """

    latent_kind: ClassVar[LatentKind] = "gaussian"

    def __init__(
        self,
        *,
        embedding_size: int,
        action_size: int,
        deterministic: int,
        stochastic: int,
        hidden: int,
        minimum_std: float,
        activation: Activation,
        kl: KLSettings,
        std_function: StdFunction = "softplus",
        cell_norm: Norm = "none",
    ) -> None:
        super().__init__(embedding_size=embedding_size, action_size=action_size, kl_scale=kl.scale)
        kl.check(type(self).__name__)
        self.latent = LatentSpec(deterministic=deterministic, stochastic=stochastic, kind="gaussian")
        self.minimum_std, self.std_function, self.kl = minimum_std, std_function, kl
        self.activation = ACTIVATIONS[activation]()
        self.input = JoinedLinear(first_size=stochastic, second_size=action_size, output_size=hidden)
        glorot(self.input)
        self.prior = MLP(input_size=deterministic, output_size=2 * stochastic, layers=1, units=hidden, activation=activation)
        self.cell = gru_cell(hidden, deterministic, cell_norm)

    @abstractmethod
    def from_embeddings(self, embedding: Float[Tensor, "B T E"]) -> Prepared:
        """The part of the posterior's input that comes from the embedding."""

    @abstractmethod
    def posterior_normal(self, deterministic: Float[Tensor, "N D"], *from_embedding: Tensor) -> Normal: ...

    def prior_normal(self, deterministic: Float[Tensor, "*B D"]) -> Normal:
        return self.normal(self.prior(deterministic))

    def initial(self, size: int) -> Latent:
        zeros = self.input.weight.new_zeros
        stochastic = zeros(size, self.latent.stochastic)
        return Latent(
            deterministic=zeros(size, self.latent.deterministic),
            stochastic=stochastic,
            statistics={"mean": stochastic, "std": stochastic + 1.0},
        )

    def draw_noise(self, *leading: int, generator: torch.Generator) -> Float[Tensor, "*B Z"]:
        return torch.randn(*leading, self.latent.stochastic, generator=generator, device=generator.device)

    def imagine_step(self, latent: Latent, action: Float[Tensor, "N A"], noise: Float[Tensor, "N Z"]) -> Latent:
        deterministic = self._advance(latent.stochastic, latent.deterministic, self.input.second(action))
        return _sampled(deterministic, self.prior_normal(deterministic), noise)

    def prepare(self, embedding: Float[Tensor, "B T E"], action: Float[Tensor, "B T A"], is_first: Bool[Tensor, "B T"]) -> Prepared:
        first = is_first.unsqueeze(-1)
        return first, self.input.second(action.masked_fill(first, 0.0)), *self.from_embeddings(embedding)

    def recur(self, latent: Latent, prepared: Prepared, noise: Float[Tensor, "N Z"]) -> Latent:
        first, from_action, *from_embedding = prepared
        before = latent.stochastic.masked_fill(first, 0.0), latent.deterministic.masked_fill(first, 0.0)
        deterministic = self._advance(*before, from_action)
        return _sampled(deterministic, self.posterior_normal(deterministic, *from_embedding), noise)

    def finish(self, posterior: Latent) -> tuple[Latent, Latent]:
        mean, std = self.prior_normal(posterior.deterministic)
        return posterior, Latent(deterministic=posterior.deterministic, stochastic=mean, statistics={"mean": mean, "std": std})

    def kl_loss(self, posterior: Latent, prior: Latent) -> tuple[Losses, Metrics]:
        losses, metrics = balanced_kl_loss(posterior, prior, kl=_kl, settings=self.kl)
        stds = {"model/prior_std": prior.statistics["std"].mean(), "model/posterior_std": posterior.statistics["std"].mean()}
        return losses, detached(metrics | stds)

    def normal(self, statistics: Float[Tensor, "*B S"]) -> Normal:
        """Mean and standard deviation from the outputs of a network."""
        mean, std = statistics.float().chunk(2, dim=-1)
        return mean, STD_FUNCTIONS[self.std_function](std) + self.minimum_std

    def _advance(self, stochastic: Tensor, deterministic: Tensor, from_action: Tensor) -> Tensor:
        hidden = self.activation(self.input.first(stochastic) + from_action)
        return self.cell(hidden, deterministic).float()


def _sampled(deterministic: Tensor, normal: Normal, noise: Tensor) -> Latent:
    mean, std = normal
    return Latent(deterministic=deterministic, stochastic=mean + std * noise, statistics={"mean": mean, "std": std})


def _kl(posterior: Latent, prior: Latent) -> Tensor:
    return gaussian_kl(posterior.statistics["mean"], posterior.statistics["std"], prior.statistics["mean"], prior.statistics["std"])
