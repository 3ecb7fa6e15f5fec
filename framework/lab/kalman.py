"""The latents of a Kalman filter in its steady state: a world model whose every density is known.

    x_t = phi x_{t-1} + N(0, 1 - phi^2),    o_t = x_t + N(0, noise)        D independent dimensions of unit variance
    h: the predicted mean,   z ~ N((1 - g) h + g o, F): the filtering posterior     g = P / (P + noise),  F = P noise / (P + noise)

`P`, the variance of x given the past, is the fixed point of `P = phi^2 F + 1 - phi^2`. Then `I(h; o) = D/2 log((1 + noise) / (P + noise))`
and `I(z; o | h) = D/2 log(P / F)`, whose sum is `I(s; o) = D/2 log(1 + 1 / noise)` whatever phi is.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, final

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from framework.data import Latent, LatentKind, LatentSpec
from framework.errors import UserError
from framework.functional.densities import gaussian_scores
from framework.lab.sources import at_least, normal, stationary

CLASSES: Final = 8
"""Of each group, where `z` is cut into quantiles for critics of categorical latents."""
NODES: Final = 64
TINY: Final = 1e-12


@final
@dataclass(frozen=True)
class Step:
    """Latents, what was observed with them, and some steps later: independent histories, one to a row."""

    h: Float[Tensor, "N D"]
    z: Float[Tensor, "N D"]
    prior: Float[Tensor, "N D"]
    observation: Float[Tensor, "N D"]
    later: Float[Tensor, "N D"]


@final
class Kalman:
    """The filter, its exact densities and its informations, in nats."""

    def __init__(self, *, phi: float, noise: float, dimensions: int) -> None:
        stationary(phi)
        at_least(dimensions, 1, "--dimensions", "the number of independent signals")
        if not 0 < noise < math.inf:
            raise UserError(f"--noise = {noise:g} is the variance of the observation's noise: give a finite number above 0.")
        self.phi, self.noise, self.dimensions = phi, noise, dimensions
        half = (1 - phi**2) * (1 - noise) / 2
        self.predicted = half + math.sqrt(half**2 + (1 - phi**2) * noise)
        self.gain = self.predicted / (self.predicted + noise)
        self.filtered = self.predicted * noise / (self.predicted + noise)
        self.history = max(1 - self.predicted, 0.0)

    @property
    def of_history(self) -> float:
        """`I(h; o)`."""
        return self.dimensions / 2 * math.log((1 + self.noise) / (self.predicted + self.noise))

    @property
    def of_posterior(self) -> float:
        """`I(z; o | h)`."""
        return self.dimensions / 2 * math.log(self.predicted / self.filtered)

    @property
    def truth(self) -> float:
        """`I(s; o)`."""
        return self.of_history + self.of_posterior

    def ahead(self, offset: int) -> float:
        """`I(s_t; o_{t+k})`. Later observations share the signal with `z`; the one at hand shares its noise too."""
        if offset == 0:
            return self.truth
        covariance = self.phi**offset * torch.tensor([self.history, self.history + self.gain * self.predicted], dtype=torch.float64)
        variance = torch.full((2, 2), self.history, dtype=torch.float64)
        variance[1, 1] = 1.0
        share = covariance @ torch.linalg.lstsq(variance, covariance[:, None], driver="gelsd").solution[:, 0] / (1 + self.noise)
        return -self.dimensions / 2 * math.log1p(-share.item())

    @property
    def predictive(self) -> float:
        """`I(h; z)`: what the prior knows of the posterior's sample."""
        return -self.dimensions / 2 * math.log(self.predicted)

    def draw(self, count: int, generator: torch.Generator, offset: int = 0) -> Step:
        """Steps of as many independent histories."""
        past, error, noise, sample, later, later_noise, prior = normal(7, count, self.dimensions, generator=generator)
        h = math.sqrt(self.history) * past
        x = h + math.sqrt(self.predicted) * error
        o = x + math.sqrt(self.noise) * noise
        z = h + self.gain * (o - h) + math.sqrt(self.filtered) * sample
        future = self.phi**offset * x + math.sqrt(1 - self.phi ** (2 * offset)) * later + math.sqrt(self.noise) * later_noise
        return Step(h=h, z=z, prior=h + math.sqrt(self.predicted) * prior, observation=o, later=future if offset else o)

    def densities(self, step: Step) -> Mapping[str, Float[Tensor, "N N"]]:
        """What a head could be: all `[N, N]`, of latent i given observation j."""
        history = self._gaussian(step.h, self.history / (1 + self.noise) * step.observation, self.history * self._rest)
        stochastic = self._gaussian(step.z, step.observation / (1 + self.noise), self.noise / (1 + self.noise))
        filtering = self._gaussian(step.z - (1 - self.gain) * step.h, self.gain * step.observation, self.filtered)
        return {
            "exact q(h,z|o)": (history + filtering).float(),
            "filtering q(z|h,o')": filtering.float(),
            "diagonal q(h|o)q(z|o)": (history + stochastic).float(),
            "q(z|o)": stochastic.float(),
        }

    @property
    def _rest(self) -> float:
        """What an observation leaves of the history's variance."""
        return 1 - self.history / (1 + self.noise)

    def _gaussian(self, value: Tensor, mean: Tensor, variance: float) -> Tensor:
        return gaussian_scores(value, mean, torch.full_like(mean, math.sqrt(max(variance, TINY))))


DENSITIES: Final = ("exact q(h,z|o)", "filtering q(z|h,o')", "diagonal q(h|o)q(z|o)", "q(z|o)")


@final
class KalmanLatents:
    """The filter as a critic sees it: latents of either kind. A categorical `z` is the Gaussian one's quantile in each dimension."""

    def __init__(self, filter_: Kalman, kind: LatentKind) -> None:
        self.filter, self.kind = filter_, kind
        size = filter_.dimensions
        self.spec = {
            "gaussian": LatentSpec(deterministic=size, stochastic=size, kind="gaussian"),
            "categorical": LatentSpec(deterministic=size, stochastic=size * CLASSES, kind="categorical", classes=CLASSES),
        }[kind]
        self.edges = torch.special.ndtri(torch.arange(1, CLASSES, dtype=torch.float64) / CLASSES)

    def latents(self, step: Step, anchor: str | None) -> Latent:
        """The posterior at each step, or the prior."""
        filtering = (1 - self.filter.gain) * step.h + self.filter.gain * step.observation
        prior, posterior = (step.h, self.filter.predicted, step.prior), (filtering, self.filter.filtered, step.z)
        mean, variance, value = prior if anchor == "prior" else posterior
        deviation = torch.full_like(mean, math.sqrt(variance))
        statistics = {"mean": mean, "std": deviation} if self.kind == "gaussian" else {"logits": self._log_classes(mean, variance)}
        latent = Latent(deterministic=step.h, stochastic=self.stochastic(value), statistics=statistics)
        return latent.map(Tensor.float)

    def stochastic(self, z: Float[Tensor, "N D"]) -> Float[Tensor, "N Z"]:
        if self.kind == "gaussian":
            return z
        return rearrange(F.one_hot(torch.bucketize(z, self.edges), CLASSES).to(z.dtype), "n d k -> n (d k)")

    def truth(self, *, anchor: str | None, candidate: str, offset: int) -> float | None:
        """The information between what a critic is given; None where it has no closed form here."""
        if candidate == "stochastic":
            return self.filter.predictive if anchor == "prior" and self.kind == "gaussian" and offset == 0 else None
        if self.kind == "gaussian" and anchor != "prior":
            return self.filter.ahead(offset)
        if offset:
            return None
        return self.filter.of_history + (0.0 if anchor == "prior" else self._of_classes())

    def _of_classes(self) -> float:
        """`I(c; o | h)` of the quantile c of z, by Gauss and Hermite's quadrature."""
        nodes, weights = _hermite()
        h = math.sqrt(self.filter.history) * nodes
        innovation = math.sqrt(self.filter.predicted + self.filter.noise) * nodes
        given_h = self._classes(h, self.filter.predicted)
        given_both = self._classes(h[:, None] + self.filter.gain * innovation, self.filter.filtered)
        both = torch.special.entr(given_both).sum(dim=-1) @ weights
        return self.filter.dimensions * (weights @ (torch.special.entr(given_h).sum(dim=-1) - both)).item()

    def _classes(self, mean: Tensor, variance: float) -> Tensor:
        below = torch.special.ndtr((self.edges - mean[..., None]) / math.sqrt(variance))
        return F.pad(F.pad(below, (1, 0), value=0.0), (0, 1), value=1.0).diff(dim=-1)

    def _log_classes(self, mean: Tensor, variance: float) -> Tensor:
        return rearrange(self._classes(mean, variance).clamp(min=TINY).log(), "n d k -> n (d k)")


def _hermite() -> tuple[Tensor, Tensor]:
    """Nodes and weights of an expectation under N(0, 1): the eigenvalues of Golub and Welsch's matrix."""
    beside = torch.arange(1, NODES, dtype=torch.float64).sqrt()
    nodes, vectors = torch.linalg.eigh(torch.diag(beside, 1) + torch.diag(beside, -1))
    return nodes, vectors[0].square()
