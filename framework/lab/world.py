"""A discrete world small enough to enumerate, and latents of its observations: every expectation is a sum, in float64."""

import math
from dataclasses import dataclass
from typing import Final, final

import torch
from jaxtyping import Float, Int
from torch import Tensor

from framework.functional.contrastive import infonce_estimate

SITUATIONS: Final = 4
STEP: Final = 0.1
"""Width of the trapezoids. The integrand is analytic where |Im u| < pi / 2: their error, about exp(-pi^2 / 0.1), is below rounding."""


@final
@dataclass(frozen=True)
class World:
    """Hidden situations `x` with `p(x)`, and observations `o` with `p(o | x)`."""

    situation: Float[Tensor, " X"]
    conditional: Float[Tensor, "X O"]

    @staticmethod
    def draw(observations: int, generator: torch.Generator) -> "World":
        situation = (torch.randn(SITUATIONS, generator=generator, dtype=torch.float64) / 2).softmax(dim=0)
        conditional = (2 * torch.randn(SITUATIONS, observations, generator=generator, dtype=torch.float64)).softmax(dim=1)
        return World(situation, conditional)

    @property
    def observation(self) -> Float[Tensor, " O"]:
        """`p(o)`."""
        return self.situation @ self.conditional


@final
@dataclass(frozen=True)
class Representation:
    """A latent `s ~ p(s | o)` of one symbol: the softmax of a table of parameters, which may be -inf."""

    name: str
    world: World
    logits: Float[Tensor, "O S"]

    @staticmethod
    def noisy(world: World, latents: int, generator: torch.Generator) -> "Representation":
        """A latent with a part of the information of the observation."""
        observations = world.observation.shape[0]
        return Representation("noisy", world, 3 * torch.randn(observations, latents, generator=generator, dtype=torch.float64))

    @staticmethod
    def collapsed(world: World, latents: int, generator: torch.Generator) -> "Representation":
        """A latent that is independent of the observation: all rows of the table are equal."""
        row = torch.randn(latents, generator=generator, dtype=torch.float64)
        return Representation("collapsed", world, row.expand(world.observation.shape[0], -1))

    @staticmethod
    def one_to_one(world: World) -> "Representation":
        """A different symbol for each observation, without noise."""
        return Representation("one-to-one", world, torch.eye(world.observation.shape[0], dtype=torch.float64).log())

    @property
    def encoder(self) -> Float[Tensor, "O S"]:
        """`p(s | o)`."""
        return self.logits.softmax(dim=1)

    @property
    def joint(self) -> Float[Tensor, "O S"]:
        """`p(o) p(s | o)`."""
        return self.world.observation[:, None] * self.encoder

    @property
    def latent(self) -> Float[Tensor, " S"]:
        """`p(s)`."""
        return self.joint.sum(dim=0)

    @property
    def decoder(self) -> Float[Tensor, "O S"]:
        """`p(o | s)` by Bayes, the best decoder; `p(o)` for a latent that never occurs."""
        occurs = self.latent > 0
        return torch.where(occurs, self.joint / self.latent.where(occurs, 1.0), self.world.observation[:, None])

    @property
    def information(self) -> Tensor:
        """`I(s; o) = H(s) + H(o) - H(s, o)`, in nats."""
        return entropy(self.latent) + entropy(self.world.observation) - entropy(self.joint)

    @property
    def situation_information(self) -> Tensor:
        """`I(s; x)`, where the latent depends on the situation only through the observation."""
        joint = self.world.situation[:, None] * (self.world.conditional @ self.encoder)
        return entropy(self.world.situation) + entropy(self.latent) - entropy(joint)

    def mean(self, values: Float[Tensor, "O S"]) -> Tensor:
        """The expectation over the joint distribution; entries of probability zero count as zero, even if infinite."""
        return (self.joint * values.masked_fill(self.joint == 0, 0.0)).sum()

    def estimates(self, candidates: Int[Tensor, " Q"]) -> Float[Tensor, " Q"]:
        """The exact expectation of Eq. 7 for each number of candidates K.

            E[ log p(s|o) - log (p(s|o) + sum_k p(s|o'_k)) / K ],    K - 1 independent o' of p(o)

        The sum over all sets of K - 1 observations is one integral, for any K:

            E log X = integral over u of exp(-t) - E exp(-t X),    t = exp(u),    E exp(-t X) = exp(-t p(s|o)) (E exp(-t p(s|o')))^(K - 1)
        """
        with torch.no_grad():
            encoder, observation = self.encoder, self.world.observation
            least, most = encoder[encoder > 0].min().item(), candidates.max().item()
            time = torch.arange(-37.0 - math.log(most), 7.0 - math.log(least), STEP, dtype=torch.float64).exp()
            others = (candidates - 1).to(time.dtype)
            logarithm = torch.stack([_log_sums(column, observation, time, others) for column in encoder.T], dim=2)
            return candidates.to(time.dtype).log() + torch.stack([self.mean(encoder.log() - each) for each in logarithm])

    def sample(self, candidates: int, batches: int, generator: torch.Generator) -> Float[Tensor, " R"]:
        """The mean of `infonce_estimate`, which training runs too, over each of several sampled batches of pairs."""
        score = self.encoder.detach().log()
        pairs = torch.multinomial(self.joint.detach().flatten(), batches * candidates, replacement=True, generator=generator)
        observed, latent = (part.reshape(batches, candidates) for part in (pairs // score.shape[1], pairs % score.shape[1]))
        weights = torch.zeros(candidates, candidates, dtype=score.dtype)
        return torch.stack([infonce_estimate(score.T[s][:, o], weights).mean() for s, o in zip(latent, observed, strict=True)])


def entropy(probability: Tensor) -> Tensor:
    """In nats, of a table of probabilities of any shape."""
    return torch.special.entr(probability).sum()


def _log_sums(
    encoder: Float[Tensor, " O"], observation: Float[Tensor, " O"], time: Float[Tensor, " U"], others: Float[Tensor, " Q"]
) -> Float[Tensor, "Q O"]:
    """`E log (p(s|o) + sum of p(s|o') over the others)` of one symbol s, for each number of others and each o."""
    decay = encoder[:, None] * time
    log_each = torch.log1p(observation @ torch.expm1(-decay))
    powers = [(torch.exp(-time) - torch.exp(count * log_each - decay)).sum(dim=1) for count in others]
    return STEP * torch.stack(powers)
