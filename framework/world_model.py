"""The world model: encoder, dynamics, heads and objectives over one batch.

e_t = encoder(o_t)      posterior, prior = dynamics(e, a)      losses = divergence + heads + objectives
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Final, cast, final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from framework.contrastive.contrast import ExtraCandidates
from framework.data import Batch, ExtraSteps, Latent, Losses, Metrics, Observation, Pictures
from framework.dynamics.base import Dynamics
from framework.encoders.base import Encoder
from framework.errors import UserError
from framework.functional.random import Key, fold_in
from framework.heads.base import Head
from framework.nn.blocks import copy_parameters
from framework.objectives.base import InferredBatch, Objective, View

AUGMENTING: Final = 1
AUGMENTING_AGAIN: Final = 2
"""What the encoder draws from the seed, for each view, is not what the objectives draw."""


@dataclass(frozen=True)
class WorldModelOutput:
    """What the world model made of a batch, and what that costs, `[B, T]` by name."""

    seen: InferredBatch
    losses: Losses
    metrics: Metrics


@final
class WorldModel(nn.Module):
    """Holds the four stages in the order of the data flow. The head `reward` is needed; `continuation` is used where it is bound."""

    def __init__(self, *, encoder: Encoder, dynamics: Dynamics, heads: Mapping[str, Head], objectives: Sequence[Objective]) -> None:
        super().__init__()
        if "reward" not in heads:
            raise UserError("Agent.heads names no 'reward', which imagination needs; bind {'reward': @heads.RewardHead}.")
        self.encoder, self.dynamics = encoder, dynamics
        self.heads = nn.ModuleDict(heads)
        self.objectives = nn.ModuleList(objectives)
        self.slow_rate = _slow_rate(objectives)
        self.slow_encoder = None if self.slow_rate is None else deepcopy(encoder).requires_grad_(False)
        self.two_views = _two_views(objectives, encoder)

    @property
    def each_head(self) -> dict[str, Head]:
        return {name: cast(Head, head) for name, head in self.heads.items()}

    @property
    def each_objective(self) -> list[Objective]:
        return [cast(Objective, objective) for objective in self.objectives]

    def observe(self, batch: Batch, noise: Float[Tensor, "B T Z"]) -> InferredBatch:
        """Filter a batch: posterior, prior and embedding of every step."""
        embedding = self.encoder(batch.observation)
        start = self.dynamics.initial(batch.reward.shape[0])
        posterior, prior = self.dynamics.observe(embedding, batch.action, batch.is_first, start, noise)
        slow = self.slow_encoder
        return InferredBatch(
            posterior=posterior,
            prior=prior,
            embedding=embedding,
            batch=batch,
            dynamics=self.dynamics,
            slow_embedding=None if slow is None else slow(batch.observation),
            drawn=None if batch.draws is None else self._drawn(batch.draws),
        )

    def _view(self, observation: Observation) -> View:
        slow = self.slow_encoder
        return View(embedding=self.encoder(observation), slow_embedding=None if slow is None else slow(observation))

    def _drawn(self, draws: ExtraSteps) -> ExtraCandidates:
        encoder = self.encoder if self.slow_encoder is None else self.slow_encoder
        return ExtraCandidates(embedding=encoder(draws.observation), episode=draws.episode)

    def forward(self, batch: Batch, noise: Float[Tensor, "B T Z"], key: Key) -> WorldModelOutput:
        """Filter a batch and charge for it; objectives draw from the seed."""
        shown = self.encoder.augment(batch.observation, fold_in(key, AUGMENTING))
        seen = self.observe(replace(batch, observation=shown), noise)
        if self.two_views:
            seen = replace(seen, second=self._view(self.encoder.augment(batch.observation, fold_in(key, AUGMENTING_AGAIN))))
        losses, metrics = self.dynamics.kl_loss(seen.posterior, seen.prior)
        losses |= {name: head.loss(seen.posterior.features, batch) for name, head in self.each_head.items()}
        for objective in self.each_objective:
            found, said = objective(seen, key)
            losses |= found
            metrics = _beside(metrics, said, objective)
        return WorldModelOutput(seen=seen, losses=losses, metrics=metrics)

    def after_update(self, seen: InferredBatch, key: Key) -> None:
        """After an update: slow copies, queues and running means."""
        if self.slow_encoder is not None and self.slow_rate is not None:
            copy_parameters(source=self.encoder, target=self.slow_encoder, rate=self.slow_rate)
        for objective in self.each_objective:
            objective.after_update(seen, key)

    def step(self, latent: Latent, observation: Observation, action: Tensor, is_first: Tensor, noise: Tensor) -> Latent:
        """Filter one step of acting."""
        return self.dynamics.observe_step(latent, self.encoder(observation), action, is_first, noise)

    @torch.no_grad()
    def diagnose(self, batch: Batch, noise: Float[Tensor, "B T Z"], key: Key) -> Metrics:
        """What the objectives read once per logging interval."""
        seen, metrics = self.observe(batch, noise), dict[str, Tensor]()
        for objective in self.each_objective:
            metrics = _beside(metrics, objective.diagnose(seen, key), objective)
        return metrics

    @torch.no_grad()
    def pictures(self, batch: Batch, noise: Float[Tensor, "B T Z"], key: Key) -> Pictures:
        seen, pictures = self.observe(batch, noise), dict[str, Tensor]()
        for objective in self.each_objective:
            pictures = _beside(pictures, objective.pictures(seen, key), objective)
        return pictures


def _beside(found: Mapping[str, Tensor], said: Mapping[str, Tensor], objective: Objective) -> dict[str, Tensor]:
    """What an objective says beside those before it: under a name that is taken, its own name stands after the group."""
    own = {name: f"{name.partition('/')[0]}/{type(objective).__name__}/{name.partition('/')[2]}" for name in said if name in found}
    return {**found, **{own.get(name, name): value for name, value in said.items()}}


def _slow_rate(objectives: Sequence[Objective]) -> float | None:
    rates = {objective.slow_rate for objective in objectives} - {None}
    if len(rates) > 1:
        raise UserError(f"The objectives ask for slow encoders that follow at {sorted(map(str, rates))}; one encoder has one slow copy.")
    return rates.pop() if rates else None


def _two_views(objectives: Sequence[Objective], encoder: Encoder) -> bool:
    """Whether an objective compares two views of a batch."""
    comparing = [type(objective).__name__ for objective in objectives if objective.needs_second_view]
    if comparing and not encoder.augments:
        raise UserError(
            f"{comparing[0]} compares two augmented views of a batch, and {type(encoder).__name__} augments nothing, so that both would be "
            "the same; wrap it: bind Agent.encoder = @encoders.RandomShift, and RandomShift.encoder to the one that is bound now."
        )
    return bool(comparing)
