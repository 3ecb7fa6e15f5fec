"""Gaussian sources of known mutual information, with the exact densities of their samples.

Samples and densities are computed in float64; scores are float32.
"""

import math
from dataclasses import dataclass
from typing import Final, final

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from framework.data import Latent
from framework.errors import UserError
from framework.functional.distributions import HALF_LOG_TAU, gaussian_scores

DIMENSIONS: Final = 4
"""Of a part of a sequence's latents."""


def check_stationary(phi: float) -> None:
    if not -1 < phi < 1:
        raise UserError(f"--phi = {phi:g} is no correlation of a stationary process: give a number between -1 and 1, neither included.")


def normal(*shape: int, generator: torch.Generator) -> Tensor:
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def latent_of(value: Float[Tensor, "N D"]) -> Latent:
    """A latent without deterministic part."""
    return Latent(deterministic=value[:, :0], stochastic=value, statistics={"mean": value, "std": torch.ones_like(value)})


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


@final
class Sequences:
    """Sequences of latents and observations, in which a single step shares `pairs.truth` nats.

        s_t = [k, x_t],    x_t = phi x_{t-1} + sqrt(1 - phi^2) e_t,    x_0 = e_0        k and e_t standard normal

    A sequence keeps `k` and the noise of its observation. The drive `e_t` of a latent stands in for the action of a world model.
    """

    def __init__(self, *, kept: GaussianPairs, changing: GaussianPairs, phi: float) -> None:
        check_stationary(phi)
        self.kept, self.changing, self.phi = kept, changing, phi
        self.pairs = GaussianPairs(torch.cat([kept.rho, changing.rho]))

    @staticmethod
    def slow_fast(*, slow_nats: float, fast_nats: float) -> "Sequences":
        """Half of the latent is kept, and half is drawn at each step."""
        kept, changing = GaussianPairs.of(slow_nats, DIMENSIONS, "--slow-nats"), GaussianPairs.of(fast_nats, DIMENSIONS, "--fast-nats")
        return Sequences(kept=kept, changing=changing, phi=0.0)

    @staticmethod
    def autoregressive(*, phi: float, nats: float) -> "Sequences":
        """A stationary AR(1); nothing is kept."""
        nothing = GaussianPairs(torch.zeros(0, dtype=torch.float64))
        return Sequences(kept=nothing, changing=GaussianPairs.of(nats, DIMENSIONS, "--nats"), phi=phi)

    def draw(self, rows: int, times: int, generator: torch.Generator) -> tuple[Float[Tensor, "B T D"], Float[Tensor, "B T D"]]:
        kept = normal(2, rows, 1, len(self.kept.rho), generator=generator).expand(2, rows, times, -1)
        drive, noise = normal(2, rows, times, len(self.changing.rho), generator=generator)
        changing = [drive[:, 0]]
        for innovation in drive[:, 1:].unbind(dim=1):
            changing.append(self.phi * changing[-1] + math.sqrt(1 - self.phi**2) * innovation)
        latents, noise = torch.cat([kept, torch.stack([torch.stack(changing, dim=1), noise])], dim=-1)
        return latents, self.pairs.observe(latents, noise)

    def alike(self, apart: Int[Tensor, "..."]) -> Bool[Tensor, "..."]:
        """Whether two latents of one sequence, `apart` steps from each other, share at least half of their variance."""
        kept, changing = len(self.kept.rho), len(self.changing.rho)
        return kept + changing * abs(self.phi) ** (2 * apart.abs()) >= (kept + changing) / 2

    def drive(self, latents: Float[Tensor, "B T D"]) -> Float[Tensor, "B T A"]:
        """Standard normal, and independent of all latents before."""
        mean, scale = self._transition(latents)
        return (latents[..., len(self.kept.rho) :] - mean) / scale

    def driven(self, latents: Float[Tensor, "B T D"], drive: Float[Tensor, "B T A"]) -> Float[Tensor, "B T D"]:
        """The latents that follow from the latent before each by another drive."""
        mean, scale = self._transition(latents)
        return torch.cat([latents[..., : len(self.kept.rho)], mean + scale * drive], dim=-1)

    def drive_information(self, times: int) -> float:
        """`I(o_t; drive_t | s_{t-1})`, the mean over the steps of a sequence."""
        signal = self.changing.rho.square() * self._scale(times).square()
        information = 0.5 * torch.log1p(signal / self.changing.deviation.square()).sum(dim=-1).mean().item()
        return round(information, 12)

    def _transition(self, latents: Float[Tensor, "B T D"]) -> tuple[Float[Tensor, "B T A"], Float[Tensor, "T 1"]]:
        """Mean and standard deviation of the changing part given the latent before."""
        changing = latents[..., len(self.kept.rho) :]
        mean = torch.cat([torch.zeros_like(changing[:, :1]), self.phi * changing[:, :-1]], dim=1)
        return mean, self._scale(latents.shape[1])

    def _scale(self, times: int) -> Float[Tensor, "T 1"]:
        """1 at the first step."""
        scale = torch.full((times, 1), math.sqrt(1 - self.phi**2), dtype=torch.float64)
        scale[0] = 1.0
        return scale
