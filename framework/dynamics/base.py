"""The contract of a dynamics: inference and imagination of latents."""

from abc import ABC, abstractmethod
from typing import ClassVar, final

import torch
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn

from framework.data import Latent, Losses, Metrics
from framework.specs import LatentKind, LatentSpec

Prepared = tuple[Tensor, ...]
"""What a dynamics computes for all steps at once, each `[B, T, ..]`."""


class Dynamics(nn.Module, ABC):
    """A latent state-space model `q(z_t | h_t, o_t)`, `p(z_t | h_t)`, `h_t = f(h_{t-1}, z_{t-1}, a_{t-1})`.

    Noise is an argument, drawn by the caller with `draw_noise`, so that a step is a function of its arguments. The action at `is_first`
    is ignored, and the latent starts from `initial`, after one that is nan too. What `imagine_step` needs beyond `h` and `z` is in
    `Latent.past`, which priors lack.
    """

    derived: ClassVar[tuple[str, ...]] = ("embedding_size", "action_size")
    latent_kind: ClassVar[LatentKind]
    """The kind of its latent, known before it is built."""
    latent: LatentSpec
    """The sizes of its latent, which the constructor sets."""

    @abstractmethod
    def __init__(self, *, embedding_size: int, action_size: int, kl_scale: float = 1.0) -> None:
        super().__init__()
        self.kl_scale = kl_scale

    @abstractmethod
    def initial(self, size: int) -> Latent:
        """The latent before the first observation, `size` times."""

    @abstractmethod
    def draw_noise(self, *leading: int, generator: torch.Generator) -> Float[Tensor, "*B Z"]:
        """The random numbers of one step for each index of the leading axes, on the device of the generator."""

    @abstractmethod
    def imagine_step(self, latent: Latent, action: Float[Tensor, "N A"], noise: Float[Tensor, "N Z"]) -> Latent:
        """One step of the prior."""

    @abstractmethod
    def prepare(self, embedding: Float[Tensor, "B T E"], action: Float[Tensor, "B T A"], is_first: Bool[Tensor, "B T"]) -> Prepared:
        """Everything that needs no recurrence, for the whole sequence at once; every tensor is `[B, T, ..]`."""

    @abstractmethod
    def recur(self, latent: Latent, prepared: Prepared, noise: Float[Tensor, "N Z"]) -> Latent:
        """The posterior of one step, from its slice of what `prepare` returned."""

    def filter(self, start: Latent, prepared: Prepared, noise: Float[Tensor, "B T Z"]) -> Latent:
        """The posterior of every step, by the recurrence; a dynamics without one overrides it with equal results."""
        latent, posteriors = start, []
        # Unbound at once: the gradient of an index is as large as the whole sequence, for each step.
        for *parts, step_noise in zip(*(part.unbind(dim=1) for part in (*prepared, noise)), strict=True):
            latent = self.recur(latent, tuple(parts), step_noise)
            posteriors.append(latent)
        return Latent.stack(posteriors, dim=1)

    @abstractmethod
    def finish(self, posterior: Latent) -> tuple[Latent, Latent]:
        """The posterior and the prior of the same steps, over the whole sequence at once."""

    @abstractmethod
    def kl_loss(self, posterior: Latent, prior: Latent) -> tuple[Losses, Metrics]:
        """The loss `kl`, `[B, T]`, of the posterior from the prior. Its weight is `kl_scale`."""

    @final
    def observe(
        self,
        embedding: Float[Tensor, "B T E"],
        action: Float[Tensor, "B T A"],
        is_first: Bool[Tensor, "B T"],
        start: Latent,
        noise: Float[Tensor, "B T Z"],
    ) -> tuple[Latent, Latent]:
        """Filter a sequence: the posterior and the prior of every step."""
        return self.finish(self.filter(start, self.prepare(embedding, action, is_first), noise))

    @final
    def observe_step(
        self,
        latent: Latent,
        embedding: Float[Tensor, "N E"],
        action: Float[Tensor, "N A"],
        is_first: Bool[Tensor, " N"],
        noise: Float[Tensor, "N Z"],
    ) -> Latent:
        """Filter one step: the posterior alone."""
        prepared = self.prepare(rearrange(embedding, "n e -> n 1 e"), rearrange(action, "n a -> n 1 a"), rearrange(is_first, "n -> n 1"))
        return self.recur(latent, tuple(part[:, 0] for part in prepared), noise)
