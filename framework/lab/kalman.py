"""The latents of a Kalman filter in its steady state, a world model with known densities.

    x_t = phi x_{t-1} + N(0, 1 - phi^2),    o_t = x_t + N(0, noise)        D independent dimensions of unit variance
    h: the predicted mean,   z ~ N((1 - g) h + g o, F): the filtering posterior     g = P / (P + noise),  F = P noise / (P + noise)

`P`, the variance of x given the past, is the fixed point of `P = phi^2 F + 1 - phi^2`. Then `I(h; o) = D/2 log((1 + noise) / (P + noise))`
and `I(z; o | h) = D/2 log(P / F)`, whose sum is `I(s; o) = D/2 log(1 + 1 / noise)` whatever phi is.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, final

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from framework.data import Latent
from framework.errors import UserError
from framework.functional.distributions import gaussian_scores
from framework.lab.sources import check_stationary, normal
from framework.specs import LatentKind, LatentSpec

CLASSES: Final = 8
"""Quantiles into which each dimension of `z` is cut for critics of categorical latents."""
NODES: Final = 64
TINY: Final = 1e-12
DENSITIES: Final = ("exact q(h,z|o)", "filtering q(z|h,o')", "diagonal q(h|o)q(z|o)", "q(z|o)")


@final
@dataclass(frozen=True)
class KalmanStep:
    """Latents, their observation and a later one, of independent histories."""

    h: Float[Tensor, "N D"]
    z: Float[Tensor, "N D"]
    prior: Float[Tensor, "N D"]
    observation: Float[Tensor, "N D"]
    later: Float[Tensor, "N D"]


@final
class Kalman:
    """The filter with its exact densities, and informations in nats."""

    def __init__(self, *, phi: float, noise: float, dimensions: int) -> None:
        check_stationary(phi)
        if not 0 < noise < math.inf:
            raise UserError(f"--noise = {noise:g} is the variance of the observation's noise: give a finite number above 0.")
        self.phi, self.noise, self.dimensions = phi, noise, dimensions
        half = (1 - phi**2) * (1 - noise) / 2
        self.predicted = half + math.sqrt(half**2 + (1 - phi**2) * noise)
        self.gain = self.predicted / (self.predicted + noise)
        self.filtered = self.predicted * noise / (self.predicted + noise)
        self.history = max(1 - self.predicted, 0.0)

    @property
    def history_information(self) -> float:
        """`I(h; o)`."""
        return self.dimensions / 2 * math.log((1 + self.noise) / (self.predicted + self.noise))

    @property
    def posterior_information(self) -> float:
        """`I(z; o | h)`."""
        return self.dimensions / 2 * math.log(self.predicted / self.filtered)

    @property
    def truth(self) -> float:
        """`I(s; o)`."""
        return self.history_information + self.posterior_information

    @property
    def prior_information(self) -> float:
        """`I(h; z)`, between the prior and a sample of the posterior."""
        return -self.dimensions / 2 * math.log(self.predicted)

    def information_ahead(self, offset: int) -> float:
        """`I(s_t; o_{t+k})`. Later observations share the signal with `z`; the one of the same step shares its noise too."""
        if offset == 0:
            return self.truth
        covariance = self.phi**offset * torch.tensor([self.history, self.history + self.gain * self.predicted], dtype=torch.float64)
        variance = torch.full((2, 2), self.history, dtype=torch.float64)
        variance[1, 1] = 1.0
        share = covariance @ torch.linalg.lstsq(variance, covariance[:, None], driver="gelsd").solution[:, 0] / (1 + self.noise)
        return -self.dimensions / 2 * math.log1p(-share.item())

    def draw(self, count: int, generator: torch.Generator, offset: int = 0) -> KalmanStep:
        """Steps of independent histories; `later` is the observation after `offset` steps."""
        past, error, noise, sample, drive, later_noise, prior = normal(7, count, self.dimensions, generator=generator)
        h = math.sqrt(self.history) * past
        x = h + math.sqrt(self.predicted) * error
        o = x + math.sqrt(self.noise) * noise
        z = h + self.gain * (o - h) + math.sqrt(self.filtered) * sample
        later = self.phi**offset * x + math.sqrt(1 - self.phi ** (2 * offset)) * drive + math.sqrt(self.noise) * later_noise
        return KalmanStep(h=h, z=z, prior=h + math.sqrt(self.predicted) * prior, observation=o, later=later if offset else o)

    def densities(self, step: KalmanStep) -> Mapping[str, Float[Tensor, "N N"]]:
        """Candidates for the density of a head, of latent i given observation j."""
        observation, noise = step.observation, self.noise / (1 + self.noise)
        history = _gaussian(step.h, self.history / (1 + self.noise) * observation, self.history * (1 - self.history / (1 + self.noise)))
        stochastic = _gaussian(step.z, observation / (1 + self.noise), noise)
        filtering = _gaussian(step.z - (1 - self.gain) * step.h, self.gain * observation, self.filtered)
        densities = (history + filtering, filtering, history + stochastic, stochastic)
        return {name: density.float() for name, density in zip(DENSITIES, densities, strict=True)}


@final
class KalmanLatents:
    """The latents as a critic takes them, of either kind. A categorical `z` is the quantile of the Gaussian one in each dimension."""

    def __init__(self, filter_: Kalman, kind: LatentKind) -> None:
        self.filter, self.kind = filter_, kind
        size = filter_.dimensions
        self.spec = {
            "gaussian": LatentSpec(deterministic=size, stochastic=size, kind="gaussian"),
            "categorical": LatentSpec(deterministic=size, stochastic=size * CLASSES, kind="categorical", classes=CLASSES),
        }[kind]
        self.edges = torch.special.ndtri(torch.arange(1, CLASSES, dtype=torch.float64) / CLASSES)

    def latents(self, step: KalmanStep, anchor: str | None) -> Latent:
        """The prior of each step, or its posterior."""
        filtering = (1 - self.filter.gain) * step.h + self.filter.gain * step.observation
        prior, posterior = (step.h, self.filter.predicted, step.prior), (filtering, self.filter.filtered, step.z)
        mean, variance, value = prior if anchor == "prior" else posterior
        deviation = torch.full_like(mean, math.sqrt(variance))
        statistics = {"mean": mean, "std": deviation} if self.kind == "gaussian" else {"logits": self._logits(mean, variance)}
        latent = Latent(deterministic=step.h, stochastic=self.stochastic(value), statistics=statistics)
        return latent.map(Tensor.float)

    def stochastic(self, z: Float[Tensor, "N D"]) -> Float[Tensor, "N Z"]:
        if self.kind == "gaussian":
            return z
        return rearrange(F.one_hot(torch.bucketize(z, self.edges), CLASSES).to(z.dtype), "n d k -> n (d k)")

    def truth(self, *, anchor: str | None, candidate: str, offset: int) -> float | None:
        """The information between the two arguments of a critic; None where it has no closed form here."""
        if candidate == "stochastic":
            return self.filter.prior_information if anchor == "prior" and self.kind == "gaussian" and offset == 0 else None
        if self.kind == "gaussian" and anchor != "prior":
            return self.filter.information_ahead(offset)
        if offset:
            return None
        return self.filter.history_information + (0.0 if anchor == "prior" else self._class_information())

    def _class_information(self) -> float:
        """`I(c; o | h)` of the quantile c of z, by Gauss-Hermite quadrature."""
        nodes, weights = (torch.from_numpy(each) for each in np.polynomial.hermite_e.hermegauss(NODES))
        weights = weights / weights.sum()
        h = math.sqrt(self.filter.history) * nodes
        innovation = math.sqrt(self.filter.predicted + self.filter.noise) * nodes
        before = self._probabilities(h, self.filter.predicted)
        after = self._probabilities(h[:, None] + self.filter.gain * innovation, self.filter.filtered)
        remaining = torch.special.entr(after).sum(dim=-1) @ weights
        return self.filter.dimensions * (weights @ (torch.special.entr(before).sum(dim=-1) - remaining)).item()

    def _probabilities(self, mean: Tensor, variance: float) -> Tensor:
        below = torch.special.ndtr((self.edges - mean[..., None]) / math.sqrt(variance))
        return F.pad(F.pad(below, (1, 0), value=0.0), (0, 1), value=1.0).diff(dim=-1)

    def _logits(self, mean: Tensor, variance: float) -> Tensor:
        return rearrange(self._probabilities(mean, variance).clamp(min=TINY).log(), "n d k -> n (d k)")


def _gaussian(value: Tensor, mean: Tensor, variance: float) -> Tensor:
    return gaussian_scores(value, mean, torch.full_like(mean, math.sqrt(max(variance, TINY))))
