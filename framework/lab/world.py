"""A discrete world small enough to enumerate, and latents that tell of its observations: every expectation is a sum, in float64."""

import math
from dataclasses import dataclass
from typing import Final, final

import torch
from jaxtyping import Float, Int
from torch import Tensor

from framework.functional.contrastive import infonce_estimate

SITUATIONS: Final = 4
STEP: Final = 0.1
"""Of the trapezoids. The integrand is analytic where |Im u| < pi / 2, so that their error is about exp(-pi^2 / 0.1): nothing."""


@final
@dataclass(frozen=True)
class World:
    """Hidden situations `x`, and the observations `o` that each of them shows, by chance."""

    situation: Float[Tensor, " X"]
    shows: Float[Tensor, "X O"]

    @staticmethod
    def draw(observations: int, generator: torch.Generator) -> "World":
        situation = (torch.randn(SITUATIONS, generator=generator, dtype=torch.float64) / 2).softmax(dim=0)
        shows = (2 * torch.randn(SITUATIONS, observations, generator=generator, dtype=torch.float64)).softmax(dim=1)
        return World(situation, shows)

    @property
    def observation(self) -> Float[Tensor, " O"]:
        """`p(o)`."""
        return self.situation @ self.shows


@final
@dataclass(frozen=True)
class Representation:
    """A latent `s ~ q(s | o)` of one symbol: the softmax of a table of parameters, which may be -inf."""

    name: str
    world: World
    logits: Float[Tensor, "O S"]

    @staticmethod
    def noisy(world: World, latents: int, generator: torch.Generator) -> "Representation":
        """Tells something of the observation, and not all."""
        observations = world.observation.shape[0]
        return Representation("noisy", world, 3 * torch.randn(observations, latents, generator=generator, dtype=torch.float64))

    @staticmethod
    def collapsed(world: World, latents: int, generator: torch.Generator) -> "Representation":
        """Ignores the observation: every row of the table is the same."""
        row = torch.randn(latents, generator=generator, dtype=torch.float64)
        return Representation("collapsed", world, row.expand(world.observation.shape[0], -1))

    @staticmethod
    def one_to_one(world: World) -> "Representation":
        """Another symbol for each observation, and never a different one."""
        return Representation("one-to-one", world, torch.eye(world.observation.shape[0], dtype=torch.float64).log())

    @property
    def given(self) -> Float[Tensor, "O S"]:
        """`q(s | o)`."""
        return self.logits.softmax(dim=1)

    @property
    def joint(self) -> Float[Tensor, "O S"]:
        """`p(o) q(s | o)`."""
        return self.world.observation[:, None] * self.given

    @property
    def latent(self) -> Float[Tensor, " S"]:
        """`q(s)`."""
        return self.joint.sum(dim=0)

    @property
    def posterior(self) -> Float[Tensor, "O S"]:
        """`p(o | s)`, by Bayes: the best decoder that there is. A latent that never occurs is said to show what the world shows."""
        occurs = self.latent > 0
        return torch.where(occurs, self.joint / self.latent.where(occurs, 1.0), self.world.observation[:, None])

    @property
    def information(self) -> Tensor:
        """`I(s; o) = H(s) + H(o) - H(s, o)`, in nats."""
        return entropy(self.latent) + entropy(self.world.observation) - entropy(self.joint)

    @property
    def of_situation(self) -> Tensor:
        """`I(s; x)`, where the latent knows of the situation only through the observation."""
        together = self.world.situation[:, None] * (self.world.shows @ self.given)
        return entropy(self.world.situation) + entropy(self.latent) - entropy(together)

    def mean(self, of: Float[Tensor, "O S"]) -> Tensor:
        """The expectation over the joint distribution; what never occurs counts for nothing, even if infinite."""
        return (self.joint * of.masked_fill(self.joint == 0, 0.0)).sum()

    def estimates(self, candidates: Int[Tensor, " Q"]) -> Float[Tensor, " Q"]:
        """The expectation of Eq. 15 for each number of candidates K, exactly.

            E[ log q(s|o) - log (q(s|o) + sum_k q(s|o'_k)) / K ],    K - 1 independent o' of p(o)

        A sum over all sets of K - 1 observations, which one integral comes to, for any K:

            E log X = integral over u of exp(-t) - E exp(-t X),    t = exp(u),    E exp(-t X) = exp(-t q(s|o)) (E exp(-t q(s|o')))^(K - 1)
        """
        with torch.no_grad():
            given, observation = self.given, self.world.observation
            least, most = given[given > 0].min().item(), candidates.max().item()
            time = torch.arange(-37.0 - math.log(most), 7.0 - math.log(least), STEP, dtype=torch.float64).exp()
            others = (candidates - 1).to(time.dtype)
            logarithm = torch.stack([self._log_sums(given[:, each], observation, time, others) for each in range(given.shape[1])], dim=2)
            return candidates.to(time.dtype).log() + torch.stack([self.mean(given.log() - each) for each in logarithm])

    def sample(self, candidates: int, batches: int, generator: torch.Generator) -> Float[Tensor, " R"]:
        """What `infonce_estimate`, the code that training runs, makes of batches of as many pairs: the mean of each."""
        score = self.given.detach().log()
        pairs = torch.multinomial(self.joint.detach().flatten(), batches * candidates, replacement=True, generator=generator)
        observed, latent = (part.reshape(batches, candidates) for part in (pairs // score.shape[1], pairs % score.shape[1]))
        nothing = torch.zeros(candidates, candidates, dtype=score.dtype)
        found = [infonce_estimate(score.T[s][:, o], nothing).mean() for s, o in zip(latent, observed, strict=True)]
        return torch.stack(found)

    def _log_sums(
        self, given: Float[Tensor, " O"], observation: Float[Tensor, " O"], time: Float[Tensor, " U"], others: Float[Tensor, " Q"]
    ) -> Float[Tensor, "Q O"]:
        """`E log (q(s|o) + sum of the others' q(s|o'))` of one symbol s, for each number of others and each o."""
        decay = given[:, None] * time
        log_each = torch.log1p(observation @ torch.expm1(-decay))
        powers = [(torch.exp(-time) - torch.exp(count * log_each - decay)).sum(dim=1) for count in others]
        return STEP * torch.stack(powers)


def entropy(probability: Tensor) -> Tensor:
    """In nats, of a table of probabilities of any shape."""
    return torch.special.entr(probability).sum()
