"""The world model: encoder, dynamics, heads and objectives over one batch.

e_t = encoder(o_t)      posterior, prior = dynamics(e, a)      losses = divergence + heads + objectives
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast, final

import torch
from jaxtyping import Float
from torch import Tensor, nn

from framework.data import Batch, Latent, Losses, Metrics, Observation, Pictures
from framework.dynamics.base import Dynamics
from framework.encoders.base import Encoder
from framework.errors import UserError
from framework.heads.base import Head
from framework.objectives.base import Objective


@dataclass(frozen=True)
class Understanding:
    """What the world model made of a batch: its beliefs, and what they cost, `[B, T]` by name."""

    posterior: Latent
    prior: Latent
    embedding: Float[Tensor, "B T E"]
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

    @property
    def each_head(self) -> dict[str, Head]:
        return {name: cast(Head, head) for name, head in self.heads.items()}

    @property
    def each_objective(self) -> list[Objective]:
        return [cast(Objective, objective) for objective in self.objectives]

    def observe(self, batch: Batch, noise: Float[Tensor, "B T Z"]) -> tuple[Latent, Latent, Tensor]:
        """Filter a batch: posterior, prior and embedding of every step."""
        embedding = self.encoder(batch.observation)
        start = self.dynamics.initial(batch.reward.shape[0])
        posterior, prior = self.dynamics.observe(embedding, batch.action, batch.is_first, start, noise)
        return posterior, prior, embedding

    def forward(self, batch: Batch, noise: Float[Tensor, "B T Z"]) -> Understanding:
        posterior, prior, embedding = self.observe(batch, noise)
        losses, metrics = self.dynamics.divergence(posterior, prior)
        losses |= {name: head.loss(posterior.features, batch) for name, head in self.each_head.items()}
        for objective in self.each_objective:
            found, said = objective(posterior, prior, embedding, batch)
            losses |= found
            metrics |= said
        return Understanding(posterior=posterior, prior=prior, embedding=embedding, losses=losses, metrics=metrics)

    def step(self, latent: Latent, observation: Observation, action: Tensor, is_first: Tensor, noise: Tensor) -> Latent:
        """Filter one step of acting."""
        return self.dynamics.observe_step(latent, self.encoder(observation), action, is_first, noise)

    @torch.no_grad()
    def diagnose(self, batch: Batch, noise: Float[Tensor, "B T Z"]) -> Metrics:
        """What the objectives read once per logging interval."""
        posterior, _, embedding = self.observe(batch, noise)
        return {name: value for objective in self.each_objective for name, value in objective.diagnose(posterior, embedding, batch).items()}

    @torch.no_grad()
    def pictures(self, batch: Batch, noise: Float[Tensor, "B T Z"]) -> Pictures:
        posterior, _, embedding = self.observe(batch, noise)
        return {name: value for objective in self.each_objective for name, value in objective.pictures(posterior, embedding, batch).items()}
