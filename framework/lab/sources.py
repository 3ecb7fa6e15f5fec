"""Gaussian sources of known mutual information, with the exact densities of their samples.

Samples and densities are computed in float64; scores are float32.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import final

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from framework.errors import UserError
from framework.functional.densities import gaussian_scores
from framework.functional.distributions import HALF_LOG_TAU


def check_stationary(phi: float) -> None:
    if not -1 < phi < 1:
        raise UserError(f"--phi = {phi:g} is no correlation of a stationary process: give a number between -1 and 1, neither included.")


def normal(*shape: int, generator: torch.Generator) -> Tensor:
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


@final
@dataclass(frozen=True)
class GaussianPairs:
    """`x ~ N(0, I)`, `y = rho x + sqrt(1 - rho^2) e`, with a `rho` for each dimension: `I(x; y) = -1/2 sum log(1 - rho^2)`."""

    rho: Float[Tensor, " D"]

    @staticmethod
    def of(nats: float, dimensions: int, option: str = "--mutual-information") -> "GaussianPairs":
        """Dimensions of equal correlation that share `nats` in all: `rho = sqrt(1 - exp(-2 I / D))`."""
        if not 0 <= nats < math.inf:
            raise UserError(f"{option} = {nats:g} is no mutual information: give a finite number of nats, 0 or more.")
        rho = math.sqrt(-math.expm1(-2 * nats / dimensions))
        return GaussianPairs(torch.full((dimensions,), rho, dtype=torch.float64))

    @property
    def truth(self) -> float:
        return round(-0.5 * torch.log1p(-self.rho.square()).sum().item(), 12)

    @property
    def deviation(self) -> Float[Tensor, " D"]:
        """Of y given x, and of x given y."""
        return (1 - self.rho.square()).sqrt()

    def observe(self, x: Float[Tensor, "*B D"], noise: Float[Tensor, "*B D"]) -> Float[Tensor, "*B D"]:
        return self.rho * x + self.deviation * noise

    def draw(self, count: int, generator: torch.Generator) -> tuple[Float[Tensor, "N D"], Float[Tensor, "N D"]]:
        x, noise = normal(2, count, len(self.rho), generator=generator)
        return x, self.observe(x, noise)

    def log_density(self, x: Float[Tensor, "N D"], y: Float[Tensor, "M D"]) -> Float[Tensor, "N M"]:
        """`log p(x_i | y_j)`, a density over x."""
        mean = self.rho * y.double()
        return gaussian_scores(x.double(), mean, self.deviation.expand_as(mean)).float()

    def log_ratio(self, x: Float[Tensor, "N D"], y: Float[Tensor, "M D"]) -> Float[Tensor, "N M"]:
        """`log p(x_i | y_j) - log p(x_i)`, the best critic on either axis."""
        marginal = -0.5 * x.double().square().sum(dim=-1, keepdim=True) - len(self.rho) * HALF_LOG_TAU
        return self.log_density(x, y) - marginal.float()

    def log_ratio_of_pairs(self, x: Float[Tensor, "N D"], y: Float[Tensor, "N D"]) -> Float[Tensor, " N"]:
        """The diagonal of `log_ratio`."""
        x, y = x.double(), y.double()
        square = ((x - self.rho * y) / self.deviation).square() - x.square()
        return (-0.5 * square - self.deviation.log()).sum(dim=-1).float()


class SequenceSource(ABC):
    """Sequences of latents and observations, in which a single step shares `pairs.truth` nats.

    The drive of a latent, its innovation, stands in for the action of a world model.
    """

    pairs: GaussianPairs

    @abstractmethod
    def draw(self, rows: int, times: int, generator: torch.Generator) -> tuple[Float[Tensor, "B T D"], Float[Tensor, "B T D"]]: ...

    @abstractmethod
    def alike(self, apart: Int[Tensor, "..."]) -> Bool[Tensor, "..."]:
        """Whether two latents of one sequence, `apart` steps from each other, share at least half of their variance."""

    @abstractmethod
    def drive(self, latents: Float[Tensor, "B T D"]) -> Float[Tensor, "B T A"]:
        """Standard normal, and independent of all latents before."""

    @abstractmethod
    def driven(self, latents: Float[Tensor, "B T D"], drive: Float[Tensor, "B T A"]) -> Float[Tensor, "B T D"]:
        """The latents that follow from the latent before each by another drive."""

    @abstractmethod
    def drive_information(self, times: int) -> float:
        """`I(o_t; drive_t | s_{t-1})`, the mean over the steps of a sequence."""


@final
class SlowFast(SequenceSource):
    """A slow pair, noise included, drawn once for a sequence, and a fast pair drawn at each step; 4 dimensions each."""

    half = 4

    def __init__(self, *, slow_nats: float, fast_nats: float) -> None:
        slow, fast = GaussianPairs.of(slow_nats, self.half, "--slow-nats"), GaussianPairs.of(fast_nats, self.half, "--fast-nats")
        self.pairs = GaussianPairs(torch.cat([slow.rho, fast.rho]))

    def draw(self, rows: int, times: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        slow = normal(2, rows, 1, self.half, generator=generator).expand(2, rows, times, self.half)
        fast = normal(2, rows, times, self.half, generator=generator)
        latents, noise = torch.cat([slow, fast], dim=-1)
        return latents, self.pairs.observe(latents, noise)

    def alike(self, apart: Tensor) -> Tensor:
        return torch.ones_like(apart, dtype=torch.bool)

    def drive(self, latents: Tensor) -> Tensor:
        return latents[..., self.half :]

    def driven(self, latents: Tensor, drive: Tensor) -> Tensor:
        return torch.cat([latents[..., : self.half], drive], dim=-1)

    def drive_information(self, times: int) -> float:
        return GaussianPairs(self.pairs.rho[self.half :]).truth


@final
class Autoregressive(SequenceSource):
    """A stationary AR(1) of unit variance, `s_t = phi s_{t-1} + sqrt(1 - phi^2) e`, in 4 dimensions, observed with independent noise."""

    dimensions = 4

    def __init__(self, *, phi: float, nats: float) -> None:
        check_stationary(phi)
        self.phi = phi
        self.pairs = GaussianPairs.of(nats, self.dimensions, "--nats")

    def draw(self, rows: int, times: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        drive, noise = normal(2, rows, times, self.dimensions, generator=generator)
        latents = [drive[:, 0]]
        for step in range(1, times):
            latents.append(self.phi * latents[-1] + math.sqrt(1 - self.phi**2) * drive[:, step])
        stacked = torch.stack(latents, dim=1)
        return stacked, self.pairs.observe(stacked, noise)

    def alike(self, apart: Tensor) -> Tensor:
        return abs(self.phi) ** (2 * apart.abs()) >= 0.5

    def drive(self, latents: Tensor) -> Tensor:
        return (latents - self._predicted(latents)) / self._scale(latents.shape[1])

    def driven(self, latents: Tensor, drive: Tensor) -> Tensor:
        return self._predicted(latents) + self._scale(latents.shape[1]) * drive

    def drive_information(self, times: int) -> float:
        signal = self.pairs.rho.square() * self._scale(times).square()
        return 0.5 * torch.log1p(signal / self.pairs.deviation.square()).sum(dim=-1).mean().item()

    def _predicted(self, latents: Tensor) -> Tensor:
        """The mean of each latent given the one before it."""
        return torch.cat([torch.zeros_like(latents[:, :1]), self.phi * latents[:, :-1]], dim=1)

    def _scale(self, times: int) -> Float[Tensor, "T 1"]:
        """The standard deviation of each latent given the one before it, 1 at the first step."""
        scale = torch.full((times, 1), math.sqrt(1 - self.phi**2), dtype=torch.float64)
        scale[0] = 1.0
        return scale
